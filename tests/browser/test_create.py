"""The create tab, driven as a person would, against the real studio and the starter models."""

from __future__ import annotations

import base64
import json
import re
from io import BytesIO

import pytest
from PIL import Image, PngImagePlugin
from playwright.sync_api import Page, expect

from studio.settings import Settings
from tests.browser.conftest import Opener, Server, Watch, keep, open_panel, stage, write

DRAW = re.compile("^Draw ")
"""The one button, whatever it will do."""
SLOW = {"prompt": "a red apple on a blue background", "steps": 150, "count": 16}
"""A job that is still running whenever a test looks."""


def last_request(server: Server) -> dict:
    return server.call("/api/v1/jobs?limit=1")[0]["request"]


def drop(page: Page, data: bytes, name: str = "picture.png", kind: str = "image/png") -> None:
    """Drop a file on the middle of the page."""
    page.evaluate(
        """([data, name, type]) => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const carrier = new DataTransfer();
            carrier.items.add(new File([bytes], name, { type }));
            const target = document.querySelector("#stage");
            for (const kind of ["dragenter", "dragover", "drop"]) {
                target.dispatchEvent(new DragEvent(kind, { dataTransfer: carrier, bubbles: true, cancelable: true }));
            }
        }""",
        [base64.b64encode(data).decode(), name, kind],
    )


def test_drawing_is_seen_live_and_can_be_cancelled(page: Page, server: Server) -> None:
    job = server.submit(**SLOW)
    first = page.locator("#stage img.preview").get_attribute("src")
    page.wait_for_function("(first) => document.querySelector('#stage img.preview')?.src !== first", arg=first)
    assert first and first.startswith("data:image/webp;base64,")
    expect(page.locator("#stage [role=progressbar]")).to_contain_text("Step")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.wait_for_selector("#stage [role=progressbar]", state="detached")
    assert server.call(f"/api/v1/jobs/{job}")["status"] == "cancelled"
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_have_count(0)
    expect(page.locator("#stage .outcome")).to_have_text("Cancelled before anything was finished.")
    expect(page.locator("#live-region")).to_have_text("Cancelled before anything was finished.")


def test_what_was_finished_before_a_cancel_stays(page: Page, server: Server) -> None:
    job = server.submit(prompt="a red apple on a blue background", steps=40, count=16)
    # Of this job: the stage still shows the one before.
    expect(page.locator(f'#stage [data-job="{job}"] figure.pic')).not_to_have_count(0)
    page.get_by_role("button", name="Cancel", exact=True).click()
    stage(page, "cancelled")
    kept = server.call(f"/api/v1/jobs/{job}")["asset_ids"]
    assert 0 < len(kept) < 16
    words = "1 finished picture" if len(kept) == 1 else f"{len(kept)} finished pictures"
    expect(page.locator("#stage .outcome")).to_have_text(f"Cancelled. {words} kept.")
    expect(page.locator("#stage figure.pic")).to_have_count(len(kept))
    newest = server.call(f"/api/v1/gallery?limit={len(kept)}")["assets"]
    assert {asset["id"] for asset in newest} == set(kept)


def test_a_reloaded_page_and_a_second_window_show_the_running_job(page: Page, server: Server, opened: Opener) -> None:
    write(page, "a cartoon penguin on a blue background")
    open_panel(page, "Advanced")
    page.get_by_label("Steps", exact=True).fill("150")
    page.get_by_label("Number of pictures").fill("16")
    page.get_by_role("button", name=DRAW).click()
    stage(page, "running")
    job = page.locator("#stage .stage-inner").get_attribute("data-job")
    page.reload(wait_until="commit")
    stage(page, "running")
    assert page.locator("#stage .stage-inner").get_attribute("data-job") == job
    second = opened()
    stage(second, "running")
    assert second.locator("#stage .stage-inner").get_attribute("data-job") == job
    server.call(f"/api/v1/jobs/{job}", method="DELETE")
    for each in (page, second):
        each.wait_for_selector("#stage [role=progressbar]", state="detached")


def test_keyboard_runs_and_cancels(page: Page, server: Server) -> None:
    latest = server.newest_job()
    write(page, "a fox")
    page.get_by_label("Prompt", exact=True).press("Control+Enter")
    server.drawn_after(latest)
    assert last_request(server)["prompt"] == "a fox"
    server.submit(**SLOW)
    page.reload(wait_until="commit")
    stage(page, "running")
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_enabled()
    page.get_by_label("Prompt", exact=True).press("Escape")  # a field's own key
    page.wait_for_timeout(300)
    assert server.call("/api/v1/jobs?limit=1")[0]["status"] == "running"
    page.get_by_role("tab", name="Create").press("Escape")
    page.wait_for_selector("#stage [role=progressbar]", state="detached")
    assert server.call("/api/v1/jobs?limit=1")[0]["status"] == "cancelled"


def test_waiting_jobs_show_their_place_and_each_can_be_cancelled(page: Page, server: Server) -> None:
    running = server.submit(**SLOW)
    waiting = [server.submit(prompt=f"a cat number {number}") for number in (1, 2)]
    page.reload(wait_until="commit")
    rows = page.locator("#filmstrip .job-cell")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("a cat number 1")
    expect(page.get_by_text("3 in line")).to_be_visible()
    rows.nth(2).get_by_role("button", name="Cancel").click()
    expect(rows).to_have_count(2)
    assert server.finish(waiting[1])["status"] == "cancelled"
    assert server.call(f"/api/v1/jobs/{running}")["status"] == "running"
    assert server.call(f"/api/v1/jobs/{waiting[0]}")["status"] == "queued"


@pytest.mark.parametrize(
    ("prompt", "field", "value", "words"),
    [
        ("", None, "", "The prompt is empty"),
        ("a fox", "Width", "300", "use 320 instead of 300"),
        ("a fox", "Seed", "banana", "“Seed” must be a whole number"),
        ("a fox", "Steps", "9999", "“Steps” must be at most 150; you gave 9999. Starter was made for about 16."),
    ],
    ids=["empty prompt", "odd size", "wrong seed", "too many steps"],
)
def test_wrong_input_gets_a_sentence_and_loses_nothing(
    page: Page, server: Server, prompt: str, field: str | None, value: str, words: str
) -> None:
    before = len(server.call("/api/v1/jobs?limit=500"))
    write(page, prompt)
    named = page.get_by_label(field or "Prompt", exact=True)
    if field:
        open_panel(page, "Advanced")
        named.fill(value)  # as pasting does
        open_panel(page, "Advanced")  # closed again: the error opens it
    page.get_by_role("button", name=DRAW).click()
    expect(page.locator("[role=alert]")).to_have_count(1)
    expect(page.locator("#problem [role=alert]")).to_contain_text(words)
    expect(named).to_have_attribute("aria-invalid", "true")
    expect(named).to_be_focused()
    expect(named).to_have_value(value)
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(prompt)
    assert len(server.call("/api/v1/jobs?limit=500")) == before


def test_what_a_user_writes_is_text_everywhere(page: Page, server: Server) -> None:
    nasty = "<img src=x onerror=alert(1)> $9 `x` & <b>bold</b>"
    page.on("dialog", lambda dialog: pytest.fail(f"ran: {dialog.message}"))
    write(page, nasty)
    page.get_by_role("button", name=DRAW).click()
    stage(page, "done")
    expect(page.locator("#stage .stage-prompt")).to_have_text(nasty)
    assert page.locator("#stage .stage-prompt b").count() == 0


def test_a_dropped_picture_brings_back_its_settings(page: Page, server: Server) -> None:
    (asset,) = server.draw("a sticker of an owl on a grey background", seed=42, steps=9, guidance_scale=4.5, width=320)
    drop(page, server.bytes(f"/api/v1/assets/{asset}"))
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a sticker of an owl on a grey background")
    open_panel(page, "Advanced")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("42")
    expect(page.get_by_label("Steps", exact=True)).to_have_value("9")
    expect(page.get_by_label("Guidance", exact=True)).to_have_value("4.5")
    expect(page.get_by_label("Width")).to_have_value("320")
    expect(page.locator(".restored")).to_contain_text("All settings are back")
    latest = server.newest_job()
    page.get_by_role("button", name=DRAW).click()
    again = server.drawn_after(latest)
    assert server.bytes(f"/api/v1/assets/{again}/thumbnail") == server.bytes(f"/api/v1/assets/{asset}/thumbnail")


def test_a_picture_of_another_tool_is_understood_and_what_is_missing_is_named(page: Page) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text(
        "parameters",
        "a castle\nNegative prompt: blurry\n"
        "Steps: 12, Sampler: Euler a, CFG scale: 5, Seed: 99, Size: 256x256, Model: dreamy",
    )
    buffer = BytesIO()
    Image.new("RGB", (256, 256), "teal").save(buffer, "PNG", pnginfo=info)
    drop(page, buffer.getvalue())
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a castle")
    told = page.locator(".restored")
    expect(told).to_contain_text("Prompt, Negative prompt, Size, Steps, Guidance, Sampler, Seed.")
    expect(told.get_by_role("listitem")).to_have_count(1)
    expect(told.get_by_role("listitem")).to_contain_text("Model (dreamy): no model here has this name")
    open_panel(page, "Advanced")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("99")
    expect(page.get_by_label("Sampler")).to_have_value("Euler ancestral")


@pytest.mark.parametrize(
    ("data", "name", "kind", "words"),
    [
        (b"not a picture at all", "x.png", "image/png", "not a readable PNG"),
        (b"hello", "notes.txt", "text/plain", "Drop a PNG, JPEG or WebP"),
    ],
    ids=["corrupt", "text"],
)
def test_a_wrong_file_is_refused_kindly(
    page: Page, watch: Watch, data: bytes, name: str, kind: str, words: str
) -> None:
    watch.allowed.append("422")
    write(page, "my unfinished sentence")
    drop(page, data, name, kind)
    expect(page.get_by_text(words)).to_be_visible()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("my unfinished sentence")


def test_suggestions_come_from_the_vocabulary_and_build_a_sentence(page: Page) -> None:
    words = json.loads((Settings().starter_dir / "vocabulary.json").read_text())
    page.get_by_role("button", name="Ideas").click()
    ideas = page.locator(".drawer")
    expect(ideas.locator(".limits")).to_have_text(words["limits"])
    assert ideas.locator('[data-part="object"] button').count() == len(words["objects"])
    ideas.locator('[data-part="object"]').get_by_text("apple", exact=True).click()
    ideas.locator('[data-part="style"]').get_by_text(words["styles"][0], exact=True).click()
    ideas.locator('[data-part="colour"]').get_by_text("blue", exact=True).click()
    prompt = page.get_by_label("Prompt", exact=True)
    composed = f"an apple on a blue background, {words['styles'][0]} style"
    expect(prompt).to_have_value(composed)
    page.get_by_role("button", name="Surprise me").click()
    expect(prompt).not_to_have_value(composed)
    expect(prompt).not_to_have_value("")


def test_a_style_with_a_preview_adds_its_words_and_takes_them_away(page: Page) -> None:
    write(page, "a fox")
    page.get_by_role("button", name="Styles", exact=True).click()
    looks = page.locator(".look")
    assert looks.count() == 12
    page.wait_for_function("[...document.querySelectorAll('.look img')].every((each) => each.naturalWidth)")
    prompt = page.get_by_label("Prompt", exact=True)
    looks.get_by_text("Sticker", exact=True).click()
    expect(prompt).to_have_value("a fox, die-cut sticker, white background")
    looks.get_by_text("Soft 3D", exact=True).click()
    expect(prompt).to_have_value("a fox, glossy 3d render, white background")
    looks.get_by_text("Soft 3D", exact=True).click()
    expect(prompt).to_have_value("a fox")


def test_words_that_the_model_does_not_know_are_named_and_replaced(page: Page) -> None:
    write(page, "a giraffe on a blue background")
    note = page.locator(".prompt-notes")
    expect(note).to_contain_text("giraffe")
    expect(note.get_by_role("button", name="Models that draw anything")).to_be_visible()
    write(page, "a fox on a blue background")
    expect(note).to_have_count(0)


def test_the_form_and_the_picture_survive_a_reload(page: Page, server: Server) -> None:
    (asset,) = server.draw("a red apple on a blue background", seed=3)
    page.locator(f"#filmstrip [data-cell='{asset}']").click()
    write(page, "a cactus")
    page.locator("#create-few").get_by_label("2", exact=True).check()
    expect(page.get_by_role("button", name="Draw 2 pictures")).to_be_visible()
    page.reload(wait_until="commit")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cactus")
    expect(page.get_by_role("button", name="Draw 2 pictures")).to_be_visible()
    expect(page.locator(f"#stage .single[data-id='{asset}'] img")).to_be_visible()
    assert page.url.endswith(f"#create/{asset}")
    page.go_back()


def test_sizes_follow_the_shape_and_styles_are_kept(page: Page, server: Server) -> None:
    page.locator("#create-ratio").get_by_label("16:9", exact=True).check()
    open_panel(page, "Advanced")
    expect(page.get_by_label("Width")).to_have_value("448")
    expect(page.get_by_label("Height")).to_have_value("256")
    open_panel(page, "Styles and negative prompt")
    write(page, "cartoon drawing")
    page.get_by_label("Style name").fill("Comic")
    page.locator("#style-save").click()
    expect(page.get_by_text("Saved the style")).to_be_visible()
    write(page, "a frog")
    page.get_by_label("Styles", exact=True).click()
    page.get_by_role("option", name="Comic").click()
    page.keyboard.press("Escape")
    latest = server.newest_job()
    page.get_by_role("button", name=DRAW).click()
    asset = server.drawn_after(latest)
    assert server.call(f"/api/v1/gallery/{asset}")["parameters"]["prompt"] == "a frog, cartoon drawing"
    request = last_request(server)
    assert request["prompt"] == "a frog"
    assert request["styles"] == ["Comic"]
    assert (request["width"], request["height"]) == (448, 256)


@pytest.mark.parametrize(
    ("width", "height"), [(1366, 768), (1920, 1080), (820, 1180), (390, 844), (683, 384)],
    ids=["laptop", "large", "tablet", "phone", "zoom"],
)  # fmt: skip
def test_picture_and_button_are_in_reach_whatever_was_drawn_before(
    opened: Opener, server: Server, width: int, height: int
) -> None:
    have = server.call("/api/v1/gallery?limit=1")["total"]
    server.draw("3d rocket on a purple background", count=max(1, 16 - have), steps=2)
    page = opened(viewport={"width": width, "height": height}, has_touch=width < 900)
    stage(page, "done")
    page.locator("#filmstrip .thumb").first.click()
    expect(page.locator("#stage .single img")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    large, button = (page.locator(name).bounding_box() for name in ("#stage", "#generate"))
    assert large and button
    assert button["y"] + button["height"] <= height  # pinned below where the page scrolls
    assert large["x"] >= 0 and large["x"] + large["width"] <= width
    if height > 400:
        picture = page.locator("#stage .single img").bounding_box()
        assert picture and picture["y"] >= 0 and picture["y"] + picture["height"] <= button["y"]
        assert min(picture["width"], picture["height"]) > 240
    if width < 900:
        settings = page.get_by_role("button", name="Settings", exact=True)
        settings.click()
        expect(page.get_by_label("Model", exact=True)).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_label("Model", exact=True)).to_be_hidden()
        expect(settings).to_be_focused()


def test_dark_follows_the_system_and_the_button_is_remembered(opened: Opener, server: Server) -> None:
    server.draw("a glossy 3d teapot on an orange background")
    page = opened(color_scheme="dark")
    stage(page, "done")

    def lightness() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(colour.removeprefix("rgb(").split(",")[0])

    assert lightness() < 60
    keep(page, "create-dark")
    page.get_by_role("button", name="Light or dark").click()
    assert lightness() > 200
    page.reload(wait_until="commit")
    page.wait_for_selector("#status[data-status]")
    assert lightness() > 200


def test_the_page_takes_no_files_through_gradio(page: Page) -> None:
    """Pictures come in over REST, which knows their owner; a component that takes files would need checks of paths."""
    config = page.evaluate("window.gradio_config")
    assert not {"file", "image", "uploadbutton", "gallery"} & {each["type"] for each in config["components"]}
