"""The canvas on the tab Edit, driven as a person would: masks are painted, kept over a reload, saved and sent."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Opener, Server, go_to, keep, stage, write

PROMPT = "a red apple on a blue background"
WIDTH, HEIGHT = 480, 320


@pytest.fixture(scope="module")
def drawn(server: Server) -> str:
    return server.draw(PROMPT, seed=3)[0]


@pytest.fixture(scope="module")
def wide(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An upload that is larger than the screen shows and not square."""
    file = tmp_path_factory.mktemp("canvas") / "wide.png"
    Image.linear_gradient("L").resize((WIDTH * 4, HEIGHT * 4)).convert("RGB").save(file)
    return server.upload(file)["id"]


@pytest.fixture
def canvas(opened: Opener, wide: str) -> Page:
    return painted_on(opened(), wide)


def painted_on(page: Page, id: str, mode: str = "Replace") -> Page:
    page.goto(page.url.split("#")[0] + f"#edit/{id}")
    choose(page, mode)
    ready(page, id)
    return page


def choose(page: Page, mode: str) -> None:
    page.locator("#edit-mode").get_by_label(mode, exact=True).check()


def ready(page: Page, id: str) -> None:
    page.wait_for_selector(f".mask-stage[data-id='{id}'][data-ready=true]")


def view(page: Page) -> Locator:
    return page.get_by_role("application", name=re.compile("^Mask over"))


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a place of the picture, each 0 to 1, is on the screen."""
    box = page.locator(".mask-view img").bounding_box()
    assert box
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def drag(page: Page, *places: tuple[float, float]) -> None:
    page.mouse.move(*on_screen(page, *places[0]))
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*on_screen(page, *place), steps=6)
    page.mouse.up()


def mask(page: Page) -> np.ndarray:
    """The mask as the page saves it: uint8 (height, width)."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the mask").click()
    image = Image.open(download.value.path())
    assert image.mode in ("RGB", "RGBA")
    pixels = np.asarray(image.convert("RGB"))
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def tool(page: Page, name: str) -> Locator:
    return page.locator("#rail").get_by_role("button", name=name, exact=True)


def marked(page: Page) -> Locator:
    return page.locator(".mask-share")


def test_what_is_painted_is_saved_in_the_size_of_the_picture_and_lasts(canvas: Page, wide: str) -> None:
    page = canvas
    expect(marked(page)).to_have_text("Nothing marked")
    expect(tool(page, "Undo")).to_be_disabled()
    page.get_by_label("Size in px").fill("100")
    page.get_by_label("Size in px").press("Tab")
    page.get_by_label("Hardness in %").fill("100")
    page.get_by_label("Hardness in %").press("Tab")
    drag(page, (0.2, 0.5), (0.6, 0.5))
    expect(marked(page)).to_contain_text("% marked")
    one = mask(page)
    assert one.shape == (HEIGHT * 4, WIDTH * 4)
    line = one[HEIGHT * 2, int(WIDTH * 4 * 0.2) : int(WIDTH * 4 * 0.6)]
    assert (line == 255).all()
    across = one[:, int(WIDTH * 4 * 0.4)]
    assert 98 <= (across > 127).sum() <= 102
    assert one[:40].max() == 0
    assert one[:, : WIDTH // 2].max() == 0
    tool(page, "Ellipse").click()
    drag(page, (0.7, 0.1), (0.9, 0.4))
    two = mask(page)
    assert (two >= one).all()
    assert two[int(HEIGHT * 4 * 0.25), int(WIDTH * 4 * 0.8)] == 255
    page.keyboard.press("Control+z")
    assert (mask(page) == one).all()
    page.keyboard.press("Control+Shift+z")
    assert (mask(page) == two).all()
    # In the middle of a stroke the page is loaded again: the mask is there, and so is what can be undone.
    page.keyboard.press("b")
    page.mouse.move(*on_screen(page, 0.3, 0.8))
    page.mouse.down()
    page.mouse.move(*on_screen(page, 0.5, 0.8), steps=4)
    page.wait_for_function(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
    )
    page.reload(wait_until="commit")
    page.mouse.up()
    ready(page, wide)
    expect(tool(page, "Undo")).to_be_enabled()
    three = mask(page)
    assert (three >= two).all()
    while three[int(HEIGHT * 4 * 0.8), int(WIDTH * 4 * 0.4)]:  # the stroke under way was kept too, where there was time
        tool(page, "Undo").click()
        three = mask(page)
    assert (three == two).all()
    tool(page, "Undo").click()
    assert (mask(page) == one).all()
    # Another tab and back.
    go_to(page, "Gallery")
    go_to(page, "Edit")
    ready(page, wide)
    assert (mask(page) == one).all()
    tool(page, "Redo").click()
    assert (mask(page) == two).all()
    tool(page, "Clear").click()
    expect(marked(page)).to_have_text("Nothing marked")


def test_a_rectangle_and_its_reverse_cover_every_pixel_once(canvas: Page) -> None:
    page = canvas
    tool(page, "Rectangle").click()
    drag(page, (0.25, 0.25), (0.75, 0.5))
    inside = mask(page)
    assert set(np.unique(inside)) == {0, 255}
    ys, xs = np.nonzero(inside)
    assert inside[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].all()
    assert abs(xs.min() - WIDTH) <= 4
    assert abs(ys.max() - HEIGHT * 2) <= 4
    tool(page, "Invert").click()
    assert (mask(page) == 255 - inside).all()
    page.get_by_role("button", name="Take away").click()
    tool(page, "Fill").click()
    page.mouse.click(*on_screen(page, 0.1, 0.1))
    assert mask(page).max() == 0
    page.get_by_role("button", name="Take away").click()
    tool(page, "Lasso").click()
    drag(page, (0.2, 0.2), (0.5, 0.2), (0.5, 0.8), (0.2, 0.8), (0.2, 0.2))
    page.get_by_role("button", name="Grow, shrink or feather").click()
    page.get_by_label("By in px").fill("20")
    page.get_by_label("By in px").press("Tab")
    before = (mask(page) > 127).sum()
    page.get_by_role("button", name="Grow", exact=True).click()
    grown = (mask(page) > 127).sum()
    assert grown > before + 20 * 2 * (WIDTH * 4 * 0.3 + HEIGHT * 4 * 0.6) * 0.9
    page.get_by_role("button", name="Shrink", exact=True).click()
    assert abs(int((mask(page) > 127).sum()) - int(before)) < before * 0.02
    page.get_by_role("button", name="Feather", exact=True).click()
    assert len(np.unique(mask(page))) > 50


def test_zoom_and_pan_leave_the_mask_where_it_is(canvas: Page) -> None:
    page = canvas
    tool(page, "Rectangle").click()
    drag(page, (0.4, 0.4), (0.6, 0.6))
    before = mask(page)
    page.mouse.move(*on_screen(page, 0.5, 0.5))
    page.mouse.wheel(0, -600)
    percent = page.get_by_role("button", name="Show all")
    fitting = percent.text_content()
    expect(percent).not_to_have_text("0 %")
    view(page).focus()
    page.keyboard.down(" ")
    x, y = on_screen(page, 0.5, 0.5)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 30, steps=3)
    page.mouse.up()
    page.keyboard.up(" ")
    moved = on_screen(page, 0.5, 0.5)
    assert abs(moved[0] - x - 40) < 2
    assert abs(moved[1] - y - 30) < 2
    assert (mask(page) == before).all()
    # What is painted near lands where it was seen.
    page.keyboard.press("b")
    page.mouse.click(*on_screen(page, 0.35, 0.5))
    assert mask(page)[HEIGHT * 2, int(WIDTH * 4 * 0.35)] == 255
    percent.click()
    expect(percent).not_to_have_text(str(fitting))


def test_the_keyboard_paints_too(canvas: Page) -> None:
    page = canvas
    page.get_by_label("Size in px").fill("60")
    page.get_by_label("Size in px").press("Tab")
    view(page).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#mask-words")).to_have_text("Painted")
    assert mask(page)[HEIGHT * 2, WIDTH * 2 + 15] == 255
    view(page).focus()
    page.keyboard.press("r")
    for key in ("ArrowLeft", "ArrowUp", "Enter", *["ArrowDown"] * 6, *["ArrowLeft"] * 6, "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#mask-words")).to_have_text("Marked")
    found = mask(page)
    assert found[HEIGHT * 2 + 20, WIDTH * 2 - 60] == 255
    page.keyboard.press("Escape")
    assert (mask(page) == found).all()


def test_a_mask_comes_from_a_file_and_must_fit(canvas: Page, tmp_path: Path) -> None:
    page = canvas
    right, wrong = tmp_path / "right.png", tmp_path / "wrong.png"
    wanted = np.zeros((HEIGHT * 4, WIDTH * 4), np.uint8)
    wanted[100:400, 200:700] = 255
    wanted[500:600, 200:700] = 90
    Image.fromarray(wanted).save(right)
    Image.new("L", (64, 64), 255).save(wrong)
    page.locator(".mask-file").set_input_files(right)
    expect(page.locator("#mask-words")).to_have_text("Mask loaded")
    assert (mask(page) == wanted).all()
    page.locator(".mask-file").set_input_files(wrong)
    expect(page.locator("#toasts")).to_contain_text("64 × 64 pixels, the picture 1920 × 1280")
    assert (mask(page) == wanted).all()


def test_a_touch_paints_and_two_fingers_do_not(opened: Opener, wide: str) -> None:
    page = painted_on(opened(has_touch=True), wide)
    x, y = on_screen(page, 0.5, 0.5)
    devtools = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        told = [{"x": px, "y": py, "id": at} for at, (px, py) in enumerate(points)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": told})

    touch("touchStart", (x, y))
    touch("touchMove", (x + 30, y))
    touch("touchEnd")
    before = mask(page)
    assert before[HEIGHT * 2, WIDTH * 2 + 20] == 255
    wide_before = page.locator(".mask-view img").bounding_box()
    touch("touchStart", (x, y + 60))
    touch("touchStart", (x, y + 60), (x + 40, y + 60))
    touch("touchMove", (x - 30, y + 60), (x + 90, y + 60))
    touch("touchEnd")
    page.wait_for_function(
        "(before) => document.querySelector('.mask-view img').getBoundingClientRect().width > before * 1.5",
        arg=wide_before["width"] if wide_before else 0,
    )
    assert (mask(page) == before).all()


def test_a_marked_place_is_replaced_and_the_mask_stays(opened: Opener, server: Server, drawn: str) -> None:
    page = painted_on(opened(), drawn)
    write(page, "a green pear on a blue background")
    send = page.get_by_role("button", name="Replace what is marked")
    send.click()
    expect(page.locator("#problem [role=alert]")).to_contain_text("Nothing is marked yet")
    tool(page, "Ellipse").click()
    drag(page, (0.2, 0.2), (0.8, 0.9))
    painted = mask(page)
    keep(page, "canvas")
    latest = server.newest_job()
    send.click()
    made = server.drawn_after(latest)
    told = server.call(f"/api/v1/jobs/{server.newest_job()}")
    assert told["capability"] == "inpaint"
    assert (told["request"]["picture"], told["request"]["mode"]) == (drawn, "replace")
    handed = np.asarray(Image.open(BytesIO(server.bytes(f"/api/v1/uploads/{told['request']['mask']}"))).convert("L"))
    assert (handed == painted).all()
    stage(page, "done")
    expect(page.locator(f"#stage .compare img[src*='{made}']")).to_be_visible()
    page.get_by_role("button", name="Back to the mask").click()
    ready(page, drawn)
    assert (mask(page) == painted).all()
    # Its settings bring back mode and mask, also where it was cleared.
    tool(page, "Clear").click()
    choose(page, "Redraw all")
    page.locator(f"#filmstrip [data-cell='{made}']").click()
    page.locator("#stage").get_by_role("button", name="Reuse settings").click()
    expect(page.locator(".restored")).to_contain_text("All settings are back")
    ready(page, drawn)
    expect(page.locator("#edit-mode").get_by_label("Replace", exact=True)).to_be_checked()
    expect(marked(page)).to_contain_text("% marked")
    assert (mask(page) == painted).all()


def test_without_words_a_marked_place_is_removed(opened: Opener, server: Server, drawn: str) -> None:
    page = painted_on(opened(), drawn, "Remove")
    write(page, "")
    tool(page, "Rectangle").click()
    drag(page, (0.1, 0.1), (0.3, 0.3))
    latest = server.newest_job()
    page.get_by_role("button", name="Remove what is marked").click()
    made = server.call(f"/api/v1/gallery/{server.drawn_after(latest)}")
    assert made["parameters"]["mode"] == "remove"
    stage(page, "done")


def test_the_subject_is_selected_in_one_press(opened: Opener, server: Server, drawn: str) -> None:
    if not any(each["available"] and "matte" in each["features"] for each in server.call("/api/v1/models")):
        pytest.skip("no tool on this computer tells a subject from its background")
    page = painted_on(opened(), drawn, "Background")
    before = len(server.call("/api/v1/gallery?limit=100")["assets"])
    page.get_by_role("button", name="Select background").click()
    expect(page.locator("#mask-words")).to_have_text("The background is marked")
    found = mask(page)
    middle = found[found.shape[0] // 2, found.shape[1] // 2]
    assert middle < 64 < 192 < found[4, 4]
    page.get_by_role("button", name="Select subject").click()
    expect(page.locator("#mask-words")).to_have_text("The subject is marked")
    assert np.abs(mask(page).astype(int) + found - 255).max() <= 1
    assert len(server.call("/api/v1/gallery?limit=100")["assets"]) == before


def test_a_thing_is_marked_by_a_click(opened: Opener, server: Server, drawn: str) -> None:
    page = painted_on(opened(), drawn)
    if not tool(page, "Select a thing").count():
        pytest.skip("this studio cannot segment")
    tool(page, "Select a thing").click()
    page.mouse.click(*on_screen(page, 0.5, 0.55))
    expect(page.locator("#mask-words")).to_have_text("The thing is marked")
    found = mask(page)
    assert found[found.shape[0] // 2, found.shape[1] // 2] == 255
    assert found[3, 3] == 0
