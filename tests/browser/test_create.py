"""The create tab, driven as a person would, against the real studio and the starter models."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from playwright.sync_api import Page, expect

from studio.settings import Settings
from tests.browser.conftest import Opener, Server, Watch, keep, stage, write

SLOW = {"prompt": "a red apple on a blue background", "steps": 150, "count": 16}
"""A job that is still running whenever a test looks."""


def seeds(page: Page) -> list[str]:
    return [text.removeprefix("seed ") for text in page.locator("#stage .seed").all_inner_texts()]


def last_request(server: Server) -> dict:
    return server.call("/api/v1/jobs?limit=1")[0]["request"]


def open_panel(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


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


def test_a_sentence_becomes_the_picture_it_describes(page: Page, server: Server) -> None:
    from studio.starter.judge import Judge

    keep(page, "create-empty")
    write(page, "a red apple on a blue background")
    page.locator("#count").get_by_label("4", exact=True).check()
    open_panel(page, "Advanced")
    page.get_by_label("Fixed seed").press_sequentially("7")  # typed, as the page hears keys
    expect(page.locator("#seed-mode").get_by_label("Fixed")).to_be_checked()
    page.get_by_role("button", name="Generate").click()
    stage(page, "done")
    expect(page.locator("#stage .pic img")).to_have_count(4)
    assert seeds(page) == ["7", "8", "9", "10"]
    keep(page, "create")

    judge = Judge.load(Settings().starter_dir / "judge")
    seen = []
    for picture in page.locator("#stage .pic").all():
        png = server.bytes(f"/api/v1/assets/{picture.get_attribute('data-id')}")
        verdict = judge.look(Image.open(BytesIO(png)).convert("RGB"))
        seen.append((verdict.objects[0][0], verdict.background))
    assert ("apple", "blue") in seen, seen


def test_drawing_is_seen_live_and_can_be_cancelled(page: Page, server: Server) -> None:
    job = server.submit(**SLOW)
    first = page.locator("#stage img.preview").get_attribute("src")
    page.wait_for_function("(first) => document.querySelector('#stage img.preview')?.src !== first", arg=first)
    assert first and first.startswith("data:image/webp;base64,")
    expect(page.locator("#stage [role=progressbar]")).to_contain_text("Step")
    page.get_by_role("button", name="Cancel", exact=True).first.click()
    page.wait_for_selector("#stage [role=progressbar]", state="detached")
    assert server.call(f"/api/v1/jobs/{job}")["status"] == "cancelled"
    expect(page.get_by_role("button", name="Cancel", exact=True).first).to_be_disabled()


def test_what_was_finished_before_a_cancel_stays(page: Page, server: Server) -> None:
    job = server.submit(prompt="a red apple on a blue background", steps=40, count=16)
    # Of this job: the stage still shows the one before.
    expect(page.locator(f'#stage [data-job="{job}"] figure.pic')).not_to_have_count(0)
    page.get_by_role("button", name="Cancel", exact=True).first.click()
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
    page.get_by_label("number input for Steps").fill("150")
    page.get_by_label("Number of pictures").fill("16")
    page.get_by_role("button", name="Generate").click()
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
    write(page, "a fox")
    page.get_by_label("Prompt", exact=True).press("Control+Enter")
    stage(page, "done")
    assert last_request(server)["prompt"] == "a fox"
    server.submit(**SLOW)
    page.reload(wait_until="commit")
    stage(page, "running")
    expect(page.get_by_role("button", name="Cancel", exact=True).first).to_be_enabled()
    page.locator("body").press("Escape")
    page.wait_for_selector("#stage [role=progressbar]", state="detached")
    assert server.call("/api/v1/jobs?limit=1")[0]["status"] == "cancelled"


def test_waiting_jobs_show_their_place_and_each_can_be_cancelled(page: Page, server: Server) -> None:
    running = server.submit(**SLOW)
    waiting = [server.submit(prompt=f"a cat number {number}") for number in (1, 2)]
    page.reload(wait_until="commit")
    rows = page.locator("#queue li")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("a cat number 1")
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
        ("a fox", "Fixed seed", "lots", "seed"),
    ],
    ids=["empty prompt", "odd size", "wrong seed"],
)
def test_wrong_input_gets_a_sentence_and_loses_nothing(
    page: Page, server: Server, prompt: str, field: str | None, value: str, words: str
) -> None:
    before = len(server.call("/api/v1/jobs?limit=500"))
    write(page, prompt)
    if field:
        open_panel(page, "Advanced")
        page.get_by_label(field, exact=True).fill("")
        page.get_by_label(field, exact=True).press_sequentially(value)
        page.get_by_label(field, exact=True).blur()
        if field == "Fixed seed":
            expect(page.locator("#seed-mode").get_by_label("Fixed")).to_be_checked()
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#problem [role=alert]")).to_contain_text(words)
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(prompt)
    assert len(server.call("/api/v1/jobs?limit=500")) == before


def test_what_a_user_writes_is_text_everywhere(page: Page, server: Server) -> None:
    nasty = "<img src=x onerror=alert(1)> $9 `x` & <b>bold</b>"
    page.on("dialog", lambda dialog: pytest.fail(f"ran: {dialog.message}"))
    write(page, nasty)
    page.get_by_role("button", name="Generate").click()
    stage(page, "done")
    expect(page.locator("#stage .stage-prompt")).to_have_text(nasty)
    assert page.locator("#stage .stage-prompt b").count() == 0


def test_a_dropped_picture_brings_back_its_settings(page: Page, server: Server) -> None:
    (asset,) = server.draw("a sticker of an owl on a grey background", seed=42, steps=9, guidance_scale=4.5, width=320)
    drop(page, server.bytes(f"/api/v1/assets/{asset}"))
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a sticker of an owl on a grey background")
    open_panel(page, "Advanced")
    expect(page.get_by_label("Fixed seed")).to_have_value("42")
    expect(page.get_by_label("number input for Steps")).to_have_value("9")
    expect(page.get_by_label("number input for Guidance")).to_have_value("4.5")
    expect(page.get_by_label("Width")).to_have_value("320")
    expect(page.get_by_text("Brought back all settings")).to_be_visible()
    latest = server.newest_job()
    page.get_by_role("button", name="Generate").click()
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
    expect(page.get_by_text("not: model dreamy")).to_be_visible()
    open_panel(page, "Advanced")
    expect(page.get_by_label("Fixed seed")).to_have_value("99")
    expect(page.get_by_label("Sampler")).to_have_value("Euler ancestral")


@pytest.mark.parametrize(
    ("data", "name", "kind", "words"),
    [
        (b"not a picture at all", "x.png", "image/png", "not a readable PNG"),
        (b"hello", "notes.txt", "text/plain", "Drop a PNG, JPEG or WebP"),
    ],
    ids=["corrupt", "text"],
)
def test_a_wrong_file_is_refused_kindly(page: Page, data: bytes, name: str, kind: str, words: str) -> None:
    write(page, "my unfinished sentence")
    drop(page, data, name, kind)
    expect(page.get_by_text(words)).to_be_visible()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("my unfinished sentence")


def test_suggestions_come_from_the_vocabulary_and_build_a_sentence(page: Page) -> None:
    words = json.loads((Settings().starter_dir / "vocabulary.json").read_text())
    page.get_by_text("What it can draw").click()
    expect(page.locator("#ideas .limits")).to_have_text(words["limits"])
    assert page.locator('#ideas [data-part="object"]').count() == len(words["objects"])
    page.locator('#ideas [data-part="object"]').get_by_text("apple", exact=True).click()
    page.locator('#ideas [data-part="style"]').get_by_text(words["styles"][0], exact=True).click()
    page.locator('#ideas [data-part="colour"]').get_by_text("blue", exact=True).click()
    prompt = page.get_by_label("Prompt", exact=True)
    composed = f"an apple on a blue background, {words['styles'][0]} style"
    expect(prompt).to_have_value(composed)
    page.get_by_role("button", name="Surprise me").click()
    expect(prompt).not_to_have_value(composed)
    expect(prompt).not_to_have_value("")


def test_sizes_follow_the_shape_and_styles_are_kept(page: Page, server: Server) -> None:
    page.locator("#ratio").get_by_label("16:9", exact=True).check()
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
    page.get_by_role("button", name="Generate").click()
    stage(page, "done")
    request = last_request(server)
    assert request["prompt"] == "a frog, cartoon drawing"
    assert request["styles"] == ["Comic"]
    assert (request["width"], request["height"]) == (448, 256)


def test_generate_is_in_reach_on_a_laptop_and_the_page_stacks_on_a_tablet(opened: Opener, server: Server) -> None:
    laptop = opened(viewport={"width": 1366, "height": 768})
    box = laptop.locator("#generate").bounding_box()
    assert box and box["y"] + box["height"] <= 768
    server.draw("3d rocket on a purple background", count=2)
    tablet = opened(viewport={"width": 820, "height": 1180}, has_touch=True)
    stage(tablet, "done")
    controls, results = (tablet.locator(name).bounding_box() for name in ("#controls", "#results"))
    assert controls and results
    assert results["y"] >= controls["y"] + controls["height"]
    assert tablet.evaluate("document.documentElement.scrollWidth") <= 820
    keep(tablet, "create-tablet")


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


def test_paths_that_nobody_uploaded_are_refused(page: Page, server: Server, tmp_path: Path, watch: Watch) -> None:
    """Gradio checks file arguments only when the mounted app says that it was launched (see studio/ui)."""
    secret = tmp_path / "secret.png"
    Image.new("RGB", (64, 64)).save(secret)
    config = page.evaluate("window.gradio_config")
    drop_id = next(each["id"] for each in config["components"] if each["props"].get("elem_id") == "drop")
    event = next(each for each in config["dependencies"] if each["inputs"] == [drop_id])
    watch.allowed.append("the server responded with a status")
    answer = page.evaluate(
        """async ([path, fn]) => {
            const session = "probe" + Math.random();
            const body = { data: [{ path, meta: { _type: "gradio.FileData" } }], fn_index: fn, session_hash: session };
            const headers = { "Content-Type": "application/json" };
            const options = { method: "POST", headers, body: JSON.stringify(body) };
            await fetch("/gradio_api/queue/join", options);
            const stream = await fetch(`/gradio_api/queue/data?session_hash=${session}`);
            return await stream.text();
        }""",
        [str(secret), event["id"]],
    )
    assert '"success":false' in answer.replace(" ", ""), answer
    assert secret.exists()
