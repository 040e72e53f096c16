"""The gallery as a person goes about in it: keys, boards, many at once, a phone; every tab as axe sees it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from studio.settings import ROOT
from tests.browser.conftest import Opener, Server, go_to

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
COLOURS = ("red", "blue", "green", "yellow", "white", "black")


@pytest.fixture(scope="module")
def pictures(server: Server) -> list[str]:
    """Asset ids, newest first: two batches of one prompt each, so that the grid has two rows."""
    jobs = [server.submit(prompt=f"a {colour} apple", count=2, seed=5, steps=1) for colour in COLOURS]
    return [id for job in reversed(jobs) for id in reversed(server.finish(job)["asset_ids"])]


@pytest.fixture
def gallery(page: Page, pictures: list[str]) -> Page:
    go_to(page, "Gallery")
    page.wait_for_selector(f'.grid [data-id="{pictures[0]}"]')
    return page


def cell(page: Page, id: str) -> Locator:
    return page.locator(f'.grid [data-id="{id}"]')


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement?.dataset?.id ?? document.activeElement?.outerHTML.slice(0, 80)")


def test_arrow_keys_go_about_and_each_key_does_what_it_says(gallery: Page, server: Server) -> None:
    page = gallery
    ids = [each.get_attribute("data-id") or "" for each in page.locator(".grid [data-id]").all()]
    columns = page.locator(".grid [role=row]").first.locator("[role=gridcell]").count()
    names = [each.get_attribute("aria-label") for each in page.locator(".grid [data-id]").all()]
    assert len(set(names[:2])) == 2  # of one batch, told apart by their seeds
    page.locator(".boards button").last.focus()
    page.keyboard.press("Tab")
    assert focused(page) == ids[0]
    for key, at in (("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowLeft", columns), ("ArrowUp", 0)):
        page.keyboard.press(key)
        assert focused(page) == ids[at], key
    page.keyboard.press("End")
    page.wait_for_timeout(300)  # the next page may come
    assert focused(page) == ids[-1]
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    expect(cell(page, ids[0])).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(cell(page, ids[0])).to_have_attribute("aria-selected", "false")
    page.keyboard.press("s")
    expect(cell(page, ids[0])).to_have_class("thumb starred")
    assert server.call(f"/api/v1/gallery/{ids[0]}")["starred"] is True
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Large view")).to_be_visible()
    page.keyboard.press("Escape")
    page.wait_for_function("(id) => document.activeElement?.dataset.id === id", arg=ids[0])
    assert page.evaluate("location.hash") == f"#gallery/{ids[0]}"

    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    expect(cell(page, ids[1])).to_have_count(0)
    assert focused(page) == ids[2]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Undo"  # the next stop
    page.keyboard.press("Control+z")
    expect(cell(page, ids[1])).to_be_visible()
    assert server.call(f"/api/v1/gallery/{ids[1]}")["deleted_at"] is None

    cell(page, ids[0]).focus()
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("!!document.activeElement.closest('.gallery-side')"):
            break
    else:
        raise AssertionError("the details are too far from their picture")


def test_boards_are_filled_by_dragging_opened_and_taken_from(
    gallery: Page, server: Server, pictures: list[str], tmp_path: Path
) -> None:
    page = gallery
    board = server.call("/api/v1/boards", {"name": "Orchard"})["id"]
    page.reload(wait_until="commit")
    target = page.locator(f'.boards [data-board="{board}"]')
    cell(page, pictures[2]).drag_to(target)
    expect(target).to_contain_text("1")
    for id in pictures[:2]:
        cell(page, id).click(modifiers=["Control"])
    bar = page.get_by_role("toolbar", name="Selected pictures")
    expect(bar).to_contain_text("2 pictures selected")
    with page.expect_download() as carried:
        bar.get_by_role("button", name="Download").click()
    carried.value.save_as(tmp_path / "pictures.zip")
    with zipfile.ZipFile(tmp_path / "pictures.zip") as archive:
        assert len(set(archive.namelist())) == 2
        assert archive.read(archive.namelist()[0]) == server.bytes(f"/api/v1/assets/{pictures[0]}")
    bar.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("dialog", name="Compare").get_by_role("slider")).to_be_visible()
    page.keyboard.press("Escape")
    bar.get_by_role("button", name="Star", exact=True).click()
    expect(page.locator(".grid .thumb.starred")).to_have_count(2)
    bar.get_by_role("button", name="Take the star away").click()
    bar.get_by_role("button", name="Add to board").click()
    page.get_by_role("dialog").get_by_role("button", name="Orchard").click()
    expect(target).to_contain_text("3")
    target.click()
    expect(page.locator(".grid .thumb")).to_have_count(3)
    expect(page.locator(".total")).to_have_text("3 pictures")
    cell(page, pictures[2]).click(modifiers=["Control"])
    bar.get_by_role("button", name="Take off the board").click()
    expect(page.locator(".grid .thumb")).to_have_count(2)
    assert server.call(f"/api/v1/boards/{board}")["pictures"] == pictures[:2]


def test_a_tap_on_a_phone_opens_the_picture_and_leaves_the_page_where_it_is(
    opened: Opener, pictures: list[str]
) -> None:
    page = opened(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    go_to(page, "Gallery")
    page.wait_for_selector(f'.grid [data-id="{pictures[-1]}"]')
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    cell(page, pictures[-1]).scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    cell(page, pictures[-1]).tap()
    box = page.get_by_role("dialog", name="Large view")
    expect(box.locator("dl")).to_contain_text("Seed")
    box.get_by_role("button", name="Close").click()
    expect(box).to_be_hidden()
    assert abs(page.evaluate("scrollY") - before) < 5
    for words in ("Ctrl", "ouble-click"):
        expect(page.locator("#gallery")).not_to_contain_text(words)


def test_the_gallery_and_the_models_ask_for_nothing_while_nothing_happens(gallery: Page) -> None:
    page = gallery
    page.wait_for_timeout(3000)  # what is drawn last comes in
    for tab in ("Gallery", "Models", "Understand"):
        go_to(page, tab)
        page.wait_for_timeout(2000)
        asked: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.wait_for_timeout(2500)
        assert [url for url in asked if "thumbnail" not in url] == [], tab


def test_no_tab_has_anything_that_axe_would_complain_of(page: Page, pictures: list[str]) -> None:
    if not AXE.is_file():
        pytest.skip("make test installs axe-core")
    page.evaluate(AXE.read_text())

    def complaints() -> list[str]:
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
        return [f"{each['impact']} {each['id']}: {[node['target'] for node in each['nodes'][:3]]}" for each in found]

    for tab in ("Create", "Edit", "Gallery", "Understand", "Models", "About"):
        go_to(page, tab)
        if tab == "Gallery":
            cell(page, pictures[0]).click()
            cell(page, pictures[1]).click(modifiers=["Control"])
            page.wait_for_selector(".marked-bar")
        if tab == "Understand":
            for tool in ("Ask", "Check", "Measure", "Clip", "Sort"):
                page.get_by_role("radio", name=tool).click()
                assert complaints() == [], f"{tab} {tool}"
        assert complaints() == [], tab
    go_to(page, "Gallery")
    for view in ("Duplicates", "Map"):
        page.get_by_role("radio", name=view).click()
        page.wait_for_selector(".twins, .sky, .gallery-main > .empty")
        assert complaints() == [], view
    page.get_by_role("radio", name="Grid", exact=True).click()
    cell(page, pictures[0]).dblclick()
    page.wait_for_selector("dialog[open] dl")
    assert complaints() == [], "the large view"


def test_without_the_hub_the_models_tab_says_what_works_and_how_to_bring_a_model(page: Page) -> None:
    go_to(page, "Models")
    card = page.locator('.card[data-family="sdxl-turbo"]')
    before = card.bounding_box()
    card.get_by_role("button", name="Download").click()
    lost = page.locator(".lost-hub")
    expect(lost).to_contain_text("The Hub cannot be reached")
    for words in ("Starter", "By disk", "HF_ENDPOINT", "HTTPS_PROXY", "docs/guides/real-models.md"):
        expect(lost).to_contain_text(words)
    after = card.bounding_box()
    assert before and after
    assert (before["width"], before["height"]) == (after["width"], after["height"])
    card.get_by_role("button", name="Why it failed").click()
    expect(page.get_by_role("dialog")).to_contain_text("cannot be reached")
    page.get_by_role("dialog").get_by_role("link").click()
    expect(page.locator("#guide")).to_have_attribute("open", "")
    expect(page.locator("#guide")).to_be_in_viewport()
