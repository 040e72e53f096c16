"""Gallery, models and about, driven as a person would."""

from __future__ import annotations

import json
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from studio.settings import Settings
from tests import checkpoints
from tests.browser.conftest import Opener, Server, Watch, go_to, keep

EXAMPLES = (
    "a red apple on a blue background",
    "3d rocket on a purple background",
    "a sticker of a fox, orange background",
    "cartoon penguin on a blue background",
    "a flat rainbow on a white background",
    "a glossy 3d teapot on an orange background",
)


@pytest.fixture(scope="module")
def pictures(server: Server) -> list[str]:
    """Asset ids, oldest first: two pictures of each example."""
    jobs = [server.submit(prompt=prompt, count=2, seed=11) for prompt in EXAMPLES]
    return [id for job in jobs for id in server.finish(job)["asset_ids"]]


def open_gallery(page: Page) -> None:
    go_to(page, "Gallery")
    page.wait_for_selector(".grid .thumb")


def picture(page: Page, id: str):
    return page.locator(f'.grid .thumb[data-id="{id}"]')


def test_a_selected_picture_tells_how_it_was_made(page: Page, pictures: list[str]) -> None:
    open_gallery(page)
    picture(page, pictures[0]).click()
    side = page.get_by_role("complementary", name="Selected picture")
    expect(side).to_contain_text("a red apple on a blue background")
    expect(side.locator("dl")).to_contain_text("Seed11")
    expect(side.locator("dl")).to_contain_text("SamplerDPM-Solver++ 2M")
    page.wait_for_function(
        "[...document.querySelectorAll('.thumb img')].slice(0, 12).every((each) => each.naturalWidth)"
    )
    keep(page, "gallery")


def test_filters_narrow_the_grid(page: Page, pictures: list[str]) -> None:
    open_gallery(page)
    filters = page.get_by_role("search")
    filters.get_by_role("radio", name="Words").click()
    filters.get_by_label("Search prompts").fill("TEAPOT")
    expect(page.locator('.grid .thumb:not([aria-label*="teapot"])')).to_have_count(0)
    for id in pictures[10:]:
        expect(picture(page, id)).to_be_visible()
    expect(page.locator(".total")).to_have_text(f"{page.locator('.grid .thumb').count()} pictures")
    filters.get_by_label("Search prompts").fill("nothing is called like this")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    filters.get_by_label("Search prompts").fill("")
    filters.get_by_label("When").select_option("Today")
    expect(picture(page, pictures[0])).to_be_visible()
    filters.get_by_label("Model").select_option("sdxl")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    filters.get_by_label("Model").select_option("starter")
    expect(picture(page, pictures[0])).to_be_visible()


def test_starred_pictures_are_found_again(page: Page, server: Server, pictures: list[str]) -> None:
    open_gallery(page)
    picture(page, pictures[3]).click()
    side = page.get_by_role("complementary", name="Selected picture")
    side.get_by_role("button", name="Star").click()
    expect(side.get_by_role("button", name="Star")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("search").get_by_label("Starred").check(force=True)
    expect(page.locator(".grid .thumb")).to_have_count(1)
    assert server.call(f"/api/v1/gallery/{pictures[3]}")["starred"] is True
    side.get_by_role("button", name="Star").click()
    expect(side.get_by_role("button", name="Star")).to_have_attribute("aria-pressed", "false")
    assert server.call(f"/api/v1/gallery/{pictures[3]}")["starred"] is False


def test_a_deleted_picture_comes_back_with_undo(page: Page, server: Server, pictures: list[str]) -> None:
    open_gallery(page)
    target = pictures[4]
    picture(page, target).click()
    page.get_by_role("complementary", name="Selected picture").get_by_role("button", name="Delete").click()
    expect(picture(page, target)).to_have_count(0)
    assert server.call(f"/api/v1/gallery/{target}")["deleted_at"]
    page.get_by_role("button", name="Undo").click()
    expect(picture(page, target)).to_be_visible()
    assert server.call(f"/api/v1/gallery/{target}")["deleted_at"] is None


def test_reuse_brings_all_settings_to_the_create_tab(page: Page, server: Server, pictures: list[str]) -> None:
    open_gallery(page)
    picture(page, pictures[1]).click()
    page.get_by_role("button", name="Reuse settings").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a red apple on a blue background")
    page.get_by_role("button", name="Advanced").click()
    expect(page.get_by_label("Seed", exact=True)).to_have_value("12")
    latest = server.newest_job()
    page.get_by_role("button", name="Draw a picture").click()
    again = server.drawn_after(latest)
    assert again not in pictures
    before, after = (
        np.asarray(Image.open(BytesIO(server.bytes(f"/api/v1/assets/{id}"))).convert("RGB"), float)
        for id in (pictures[1], again)
    )
    # The same drawing; the watermark's key differs, since it also covers what was requested (a count of 2, then of 1).
    assert np.abs(before - after).mean() < 4
    other = np.asarray(Image.open(BytesIO(server.bytes(f"/api/v1/assets/{pictures[2]}"))).convert("RGB"), float)
    assert np.abs(other - after).mean() > 20


def test_the_large_view_steps_with_the_keyboard_and_downloads_the_original(
    page: Page, server: Server, pictures: list[str], tmp_path: Path
) -> None:
    open_gallery(page)
    picture(page, pictures[5]).dblclick()
    box = page.get_by_role("dialog", name="Large view")
    expect(box.locator("dl")).to_contain_text("Seed12")
    page.keyboard.press("ArrowRight")
    expect(box.locator("dl")).to_contain_text("Seed11")
    with page.expect_download() as download:
        box.get_by_role("link", name="Download").click()
    download.value.save_as(tmp_path / "copy.png")
    assert (tmp_path / "copy.png").read_bytes() == server.bytes(f"/api/v1/assets/{pictures[4]}")
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()


def test_a_missing_file_is_shown_not_thrown(opened: Opener, server: Server, watch: Watch) -> None:
    watch.allowed.append("the server responded with a status of 410")
    (lost,) = server.draw("a cactus on a pink background")
    for path in server.data.glob(f"*/*/{lost}.*"):
        path.unlink()
    page = opened()
    expect(page.locator("#stage").get_by_text("File missing")).to_be_visible()
    open_gallery(page)
    expect(picture(page, lost).get_by_text("File missing")).to_be_visible()
    picture(page, lost).click()
    expect(page.get_by_role("complementary", name="Selected picture")).to_contain_text("missing from the data folder")
    server.call("/api/v1/gallery/delete", {"ids": [lost]})


def test_the_models_tab_names_what_fits_and_what_is_loaded(page: Page, server: Server) -> None:
    server.draw("a key")  # so that the starter is in memory
    go_to(page, "Models")
    starter = page.locator('.card[data-family="starter"]')
    expect(starter).to_contain_text("In memory")
    expect(starter).to_contain_text("commercial use")
    offer = page.locator(".first-run")
    expect(offer).to_contain_text("Best fit for this computer")
    expect(offer.get_by_role("button", name="Download")).to_be_visible()
    expect(page.locator('.card[data-family="sdxl-turbo"]')).to_contain_text("not for commercial use")
    keep(page, "models")
    starter.get_by_role("button", name="Unload").click()
    expect(starter).not_to_contain_text("In memory")
    starter.get_by_role("button", name="Load", exact=True).click()
    expect(starter).to_contain_text("In memory")


@pytest.mark.parametrize(
    ("name", "words"), [("model.ckpt", ".safetensors"), ("nothing-here", "Nothing is at")], ids=["pickle", "absent"]
)
def test_unsafe_and_absent_models_are_refused_in_a_sentence(page: Page, tmp_path: Path, name: str, words: str) -> None:
    path = tmp_path / name
    if path.suffix:
        path.write_bytes(b"\x80\x04.")
    go_to(page, "Models")
    page.get_by_label("Full path").fill(str(path))
    page.get_by_role("button", name="Add model").click()
    expect(page.locator(".add-model [role=alert]")).to_contain_text(words)


def test_a_local_folder_becomes_a_model_that_draws(page: Page, server: Server) -> None:
    starter = next(each for each in server.call("/api/v1/models") if each["id"] == "starter")
    assert starter["available"]
    go_to(page, "Models")
    page.get_by_label("Full path").fill(str(Settings().starter_dir / "painter"))
    page.get_by_label("Name (optional)").fill("My painter")
    page.get_by_role("button", name="Add model").click()
    card = page.locator(".card", has_text="My painter")
    expect(card).to_be_visible()
    go_to(page, "Create")
    page.locator("#create-form").get_by_label("Model", exact=True).click()
    page.get_by_role("option", name="My painter").click()
    expect(page.locator("#create-model-line")).to_contain_text("My painter is drawing")
    go_to(page, "Models")
    card.get_by_role("button", name="Remove from list").click()
    expect(card).to_have_count(0)


def test_a_checkpoint_that_does_not_tell_is_asked_about_once(page: Page, server: Server, tmp_path: Path) -> None:
    settings = Settings(data_dir=server.data)
    checkpoints.place("sd21", settings)  # its configs are borrowed
    file = checkpoints.save(tmp_path / "two.safetensors", checkpoints.tensors("sd21"))
    go_to(page, "Models")
    asked = page.get_by_label("It was trained to predict")
    page.get_by_label("Full path").fill(str(file))
    expect(asked).to_have_count(0)
    page.get_by_role("button", name="Add model").click()
    expect(page.locator(".add-model [role=alert]")).to_contain_text("does not say what it predicts")
    asked.select_option("v_prediction")
    page.get_by_label("Name (optional)").fill("Second")
    page.get_by_role("button", name="Add model").click()
    card = page.locator(".card", has_text="Second")
    expect(card).to_be_visible()
    expect(asked).to_have_count(0)
    added = next(each for each in json.loads((server.data / "models.json").read_text()) if each["name"] == "Second")
    assert added["prediction"] == "v_prediction"
    card.get_by_role("button", name="Remove from list").click()
    expect(card).to_have_count(0)
    shutil.rmtree(settings.models_dir / "sd21")


def test_an_entry_of_the_own_list_that_is_not_complete_is_named(page: Page, server: Server) -> None:
    file = server.data / "models.json"
    before = file.read_text() if file.exists() else "[]"
    go_to(page, "Models")
    said = page.get_by_text("My lost model in models.json is not complete and was left out; add the model again.")
    file.write_text(json.dumps([*json.loads(before), {"name": "My lost model"}]))
    page.get_by_role("button", name="Look again").click()
    expect(said).to_be_visible()
    file.write_text(before)
    page.get_by_role("button", name="Look again").click()
    expect(said).to_have_count(0)


def test_about_names_the_art_the_versions_and_the_keys(page: Page) -> None:
    go_to(page, "About")
    about = page.locator("#about")
    for words in ("Fluent", "Noto", "Twemoji", "CC BY 4.0", "Ctrl", "STUDIO_PORT", "diffusers"):
        expect(about).to_contain_text(words)
    page.mouse.move(600, 500)
    page.mouse.wheel(0, 600)
    page.wait_for_function("scrollY > 0")
    for part in (page.locator("#header"), page.get_by_role("tablist")):  # the way out stays in sight
        expect(part).to_be_in_viewport(ratio=1)
    page.evaluate("scrollTo(0, 0)")
    keep(page, "about")
    page.get_by_role("link", name="API documentation").click()
    expect(page.get_by_text("/api/v1/text-to-image").first).to_be_visible()


def test_every_control_has_a_name(opened: Opener, pictures: list[str]) -> None:
    """Buttons and fields a screen reader would announce as nothing."""
    page = opened()
    nameless = """() => [...document.querySelectorAll("button, input, select, textarea, a[href]")]
        .filter((each) => each.getClientRects().length && !each.closest("[aria-hidden=true], .backstage"))
        .filter((each) => !(each.getAttribute("aria-label") || each.title || each.textContent.trim()
            || each.labels?.length || each.getAttribute("aria-labelledby")))
        .map((each) => each.outerHTML.slice(0, 120))"""
    for tab in ("Create", "Gallery", "Understand", "Models", "About"):
        go_to(page, tab)
        if tab == "Understand":
            for tool in ("Ask", "Caption", "Check", "Measure", "Clip", "Sort"):
                page.get_by_role("radio", name=tool).click()
                assert page.evaluate(nameless) == []
        if tab == "Gallery":
            page.wait_for_selector(".grid .thumb")
        assert page.evaluate(nameless) == []
