"""The edit tab, driven as a person would: a picture is drawn again, and compared with what it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Opener, Server, Watch, go_to, stage, write

PROMPT = "a red apple on a blue background"


@pytest.fixture(scope="module")
def drawn(server: Server) -> str:
    return server.draw(PROMPT, seed=3)[0]


def strength(page: Page):
    return page.get_by_label("Strength", exact=True)


def redraw(page: Page):
    return page.get_by_role("button", name=re.compile("^Redraw this picture"))


def in_strip(page: Page, id: str):
    return page.locator(f"#filmstrip [data-cell='{id}']")


def test_a_picture_of_the_gallery_is_redrawn_and_compared(page: Page, server: Server, drawn: str) -> None:
    go_to(page, "Gallery")
    page.locator(f'.grid .thumb[data-id="{drawn}"]').click()
    side = page.get_by_role("complementary", name="Selected picture")
    side.get_by_role("button", name="Edit", exact=True).click()
    expect(page).to_have_url(re.compile(f"#edit/{drawn}$"))
    expect(page.locator(f"#stage .single[data-id='{drawn}'] img")).to_be_visible()
    expect(page.locator(f".source img[src*='{drawn}']")).to_be_visible()
    write(page, "a sticker of a green apple on a blue background")
    strength(page).fill("0.45")
    latest = server.newest_job()
    redraw(page).click()
    made = server.drawn_after(latest)
    told = server.call(f"/api/v1/jobs/{server.newest_job()}")["request"]
    assert (told["picture"], told["strength"]) == (drawn, 0.45)
    stage(page, "done")
    handle = page.locator("#stage .compare").get_by_role("slider", name="How much of before is shown")
    for id in (drawn, made):
        expect(page.locator(f"#stage .compare img[src*='{id}']")).to_be_visible()
    handle.press("End")
    expect(handle).to_have_attribute("aria-valuetext", "100 % before")
    page.locator("#stage").get_by_role("button", name="Compare with the original").click()
    expect(page.locator("#stage .compare")).to_have_count(0)
    expect(page.locator(f"#stage .single[data-id='{made}']")).to_be_visible()
    # What is redrawn next is still the picture that was picked, not the result.
    expect(page.locator(f".source img[src*='{drawn}']")).to_be_visible()
    # Picked, the result is the source; how it was made leads back.
    in_strip(page, made).click()
    expect(page.locator(f".source img[src*='{made}']")).to_be_visible()
    page.get_by_role("button", name="How it was made").click()
    expect(page.locator("#stage .lineage .thumb").first).to_have_attribute("data-id", drawn)
    # With its settings comes what it was made from.
    page.locator("#stage").get_by_role("button", name="Reuse settings").click()
    expect(page.locator(".restored")).to_contain_text("All settings are back")
    expect(page.locator(".restored")).to_contain_text("Picture")
    expect(page.locator(f".source img[src*='{drawn}']")).to_be_visible()


def test_the_form_survives_a_reload(page: Page, drawn: str) -> None:
    page.goto(page.url.split("#")[0] + f"#edit/{drawn}")
    write(page, "a teapot")
    strength(page).fill("0.8")
    page.locator("#edit-few").get_by_label("2", exact=True).check()
    expect(page.get_by_role("button", name="Redraw this picture 2 times")).to_be_visible()
    page.reload(wait_until="commit")
    expect(page.get_by_role("button", name="Redraw this picture 2 times")).to_be_visible()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a teapot")
    expect(strength(page)).to_have_value("0.8")
    expect(page.locator(f".source img[src*='{drawn}']")).to_be_visible()


def test_switching_the_tab_changes_the_tools_only(page: Page, drawn: str) -> None:
    in_strip(page, drawn).click()
    write(page, "a red teapot")
    strip = page.locator("#filmstrip [data-cell]")
    before = strip.count()
    for tab in ("Edit", "Create", "Edit"):
        go_to(page, tab)
        expect(page).to_have_url(re.compile(f"#{tab.lower()}/{drawn}$"))
        expect(page.get_by_label("Prompt", exact=True)).to_have_value("a red teapot")
        expect(page.locator(f"#stage .single[data-id='{drawn}'] img")).to_be_visible()
        expect(in_strip(page, drawn)).to_have_attribute("aria-current", "true")
        expect(strip).to_have_count(before)
        expect(strength(page)).to_be_visible(visible=tab == "Edit")
        expect(page.get_by_role("button", name=re.compile("^(Draw|Redraw) "))).to_have_count(1)


def test_a_file_is_a_source_too(page: Page, server: Server, watch: Watch, tmp_path: Path) -> None:
    watch.allowed.append("422")
    file = tmp_path / "beach.png"
    Image.linear_gradient("L").resize((320, 256)).save(file)
    go_to(page, "Edit")
    page.locator(".source input[type=file]").set_input_files(file)
    expect(page.locator(".source img[src*='/uploads/']")).to_be_visible()
    write(page, PROMPT)
    latest = server.newest_job()
    redraw(page).click()
    made = server.call(f"/api/v1/gallery/{server.drawn_after(latest)}")
    upload = server.call("/api/v1/uploads")[0]
    assert made["parameters"]["requested"]["picture"] == upload["id"]
    stage(page, "done")
    expect(page.locator("#stage .compare img[src*='/uploads/']")).to_be_visible()
    broken = tmp_path / "a.png"
    broken.write_bytes(b"no picture")
    page.locator(".source input[type=file]").set_input_files(broken)
    expect(page.locator(".source [role=alert]")).to_contain_text("a.png")


def test_without_its_source_a_picture_is_shown_alone_and_can_be_edited_itself(opened: Opener, server: Server) -> None:
    (source,) = server.draw(PROMPT, seed=4)
    job = server.finish(server.call("/api/v1/image-to-image", {"picture": source, "prompt": PROMPT})["id"])
    (made,) = job["asset_ids"]
    server.call("/api/v1/gallery/delete", {"ids": [source]})
    page = opened(f"/#edit/{made}")
    expect(page.locator(f"#stage .single[data-id='{made}'] img")).to_be_visible()
    expect(page.locator("#stage .single")).to_contain_text("The picture it was made from was deleted.")
    expect(page.get_by_role("button", name="Compare with the original")).to_have_count(0)
    page.locator("#stage").get_by_role("button", name="Reuse settings").click()
    expect(page.locator(".restored")).to_contain_text("the picture it was made from was deleted")
    # The deleted one itself: a sentence, and a way to another.
    page.goto(page.url.split("#")[0] + f"#edit/{source}")
    expect(page.locator(".source")).to_contain_text("deleted")
    write(page, PROMPT)
    before = server.newest_job()
    redraw(page).click()
    expect(page.locator("#problem [role=alert]")).to_contain_text("deleted")
    expect(page.locator(".source").get_by_role("button", name="From a file")).to_be_focused()
    assert server.newest_job() == before


def test_without_a_picture_the_button_asks_for_one(page: Page, server: Server) -> None:
    server.draw(PROMPT, count=2)  # of two results none is the source
    page.reload(wait_until="commit")
    go_to(page, "Edit")
    write(page, PROMPT)
    before = server.newest_job()
    redraw(page).click()
    expect(page.locator("#problem [role=alert]")).to_contain_text("no picture to work on")
    expect(page.locator(".source").get_by_role("button", name="From a file")).to_be_focused()
    assert server.newest_job() == before


@pytest.mark.parametrize(
    ("how", "field", "typed", "words"),
    [
        ("pasted", "Strength", "7", "“Strength” must be at most 1.0; you gave 7"),
        ("typed", "Strength", "-1", "“Strength” must be at least 0.0; you gave -1"),
        ("pasted", "Strength", "1e", "“Strength” must be a number"),
        ("typed", "Steps", "12.6", "“Steps” must be a whole number"),
        ("pasted", "Steps", "1", "raise the steps to"),
        ("typed", "Steps", "9999", "“Steps” must be at most 150; you gave 9999"),
        ("pasted", "Guidance", "-1", "“Guidance” must be at least 0"),
        ("typed", "Guidance", "1000", "“Guidance” must be at most 30"),
        ("pasted", "Number of pictures", "0", "“Number of pictures” must be at least 1; you gave 0"),
        ("pasted", "Seed", "banana", "“Seed” must be a whole number"),
    ],
)
def test_what_is_typed_or_pasted_is_taken_or_refused_never_changed(
    opened: Opener, server: Server, drawn: str, how: str, field: str, typed: str, words: str
) -> None:
    page = opened(f"/#edit/{drawn}", permissions=["clipboard-read", "clipboard-write"])
    before = server.newest_job()
    write(page, PROMPT)
    page.locator("#edit-advanced").get_by_role("button", name="Advanced").click()
    enter(page, field, typed, how)
    redraw(page).click()
    named = page.get_by_label(field, exact=True)
    expect(page.locator("#problem [role=alert]")).to_contain_text(words)
    expect(named).to_have_attribute("aria-invalid", "true")
    expect(named).to_be_focused()
    if typed != "1e":  # the browser shows it, and hands over nothing
        expect(named).to_have_value(typed)
    assert server.newest_job() == before


def test_typed_and_pasted_values_arrive_as_they_are(opened: Opener, server: Server, drawn: str) -> None:
    page = opened(f"/#edit/{drawn}", permissions=["clipboard-read", "clipboard-write"])
    write(page, PROMPT)
    page.locator("#edit-advanced").get_by_role("button", name="Advanced").click()
    wanted = {"Strength": "0.37", "Steps": "11", "Guidance": "3.3", "Number of pictures": "2", "Seed": "4294967295"}
    latest = server.newest_job()
    for at, (field, value) in enumerate(wanted.items()):
        enter(page, field, value, "pasted" if at % 2 else "typed")
    page.get_by_role("button", name="Redraw this picture 2 times").click()
    server.drawn_after(latest)
    told = server.call(f"/api/v1/jobs/{server.newest_job()}")["request"]
    names = ("strength", "steps", "guidance_scale", "count", "seed")
    assert [told[name] for name in names] == [0.37, 11, 3.3, 2, 4294967295]
    assert told["keep_best"] is None


def enter(page: Page, label: str, text: str, how: str) -> None:
    """Put ``text`` in the place of what a field holds, key by key or from the clipboard."""
    field = page.get_by_label(label, exact=True)
    field.click()
    field.press("Control+a")
    if how == "typed":
        page.keyboard.type(text)
    else:
        page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
        page.keyboard.press("Control+v")
