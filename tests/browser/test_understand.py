"""Understanding pictures, driven as a person would, on the starter models: sort, search, ask, check, measure, watch."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Response, expect

from benchmarks.watermark import photographs
from studio.capabilities import BY_NAME
from tests.browser.conftest import PATIENCE, Opener, Server, Watch, go_to, keep
from tests.viewing import scene

NASTY = "<img src=x onerror=alert(1)>"
SCENES = {
    "apple-1": ("apple", "blue", "3d"), "apple-2": ("apple", "yellow", "cartoon"), "apple-3": ("apple", "white", "3d"),
    "fox-1": ("fox", "blue", "3d"), "fox-2": ("fox", "teal", "cartoon"), "fox-3": ("fox", "pink", "3d"),
    "penguin-1": ("penguin", "blue", "3d"), "penguin-2": ("penguin", "purple", "sticker"),
    "car-1": ("car", "yellow", "3d"), "car-2": ("car", "blue", "cartoon"),
    "rocket-1": ("rocket", "teal", "3d"), "heart-1": ("heart", "grey", "3d"),
}  # fmt: skip
"""Name -> object, background and style of pictures made for these tests alone."""
LABELS = tuple(dict.fromkeys(thing for thing, _, _ in SCENES.values()))


def draw(name: str) -> Image.Image:
    thing, background, style = SCENES[name]
    return scene(thing, background=background, style=style)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as people have it: pictures, and files that are none."""
    place = tmp_path_factory.mktemp("fruit stall")
    for name in SCENES:
        draw(name).save(place / f"{name}.png")
    (place / "broken.png").write_bytes(b"not a picture")
    return place


@pytest.fixture(scope="module")
def scenes(server: Server, folder: Path) -> dict[str, str]:
    """Name -> id of its upload, all of them known to the search."""
    ids = {name: server.upload(folder / f"{name}.png")["id"] for name in SCENES}
    wait_for_search(server)
    return ids


def wait_for_search(server: Server) -> None:
    end = time.monotonic() + 3 * PATIENCE
    while (state := server.call("/api/v1/search/status"))["embedded"] < state["total"]:
        assert time.monotonic() < end, state
        time.sleep(0.3)


@pytest.fixture
def understand(page: Page, watch: Watch) -> Iterator[Page]:
    """The open tab; a label, a name or an answer that runs as markup fails the test."""
    page.on("dialog", lambda dialog: watch.errors.append(f"ran: {dialog.message}"))
    yield open_tab(page)


def open_tab(page: Page) -> Page:
    go_to(page, "Understand")
    page.wait_for_selector(".model-field option", state="attached")
    return page


def use(page: Page, tool: str) -> Locator:
    """Switch to a tool and give its results."""
    page.get_by_role("radiogroup", name="Tool").get_by_role("radio", name=tool).click()
    return page.locator(".tool-stage:visible")


def hand_over(page: Page, tool: str, *ids: str) -> None:
    """What the gallery's buttons call."""
    page.evaluate(
        """async ([tool, ids]) => {
            const main = document.querySelector("script[type=module][src$='main.js']").src;
            (await import(main.replace("main.js", "handing.js"))).handOver(tool, ids);
        }""",
        [tool, list(ids)],
    )


def choose(page: Page, *ids: str) -> None:
    """Hand pictures over from the gallery, as its buttons do."""
    hand_over(page, "sort", *ids)
    expect(page.locator(".chooser:visible .chosen-cell")).to_have_count(len(ids))


def run(page: Page, verb: str) -> None:
    """Press the button and wait for what the studio says to it: another job's answers may be on the page."""

    def submitted(answer: Response) -> bool:  # the page also asks for pictures and searches by POST
        return answer.request.method == "POST" and answer.url.rpartition("/api/v1/")[2] in BY_NAME

    with page.expect_response(submitted) as said:
        page.get_by_role("button", name=verb, exact=True).click()
    if said.value.ok:
        expect(page.locator(".tool-stage:visible")).to_have_attribute("data-job", said.value.json()["id"])


def over(stage: Locator, status: str = "done") -> None:
    expect(stage).to_have_attribute("data-status", status)


def download(page: Page, stage: Locator) -> list[dict[str, str]]:
    with page.expect_download() as carried:
        stage.get_by_role("link", name="CSV").click()
    return list(csv.DictReader(io.StringIO(Path(carried.value.path()).read_text(encoding="utf-8-sig"))))


def test_a_folder_is_sorted_by_labels_and_its_table_downloaded(
    understand: Page, folder: Path, server: Server, watch: Watch
) -> None:
    watch.allowed.append("422")  # the browser's own line about the file that is refused
    page = understand
    page.locator(".chooser:visible input[webkitdirectory]").set_input_files(folder)
    expect(page.locator(".skipped:visible")).to_contain_text("1 file could not be used")
    page.locator(".skipped:visible summary").click()
    expect(page.locator(".skipped:visible")).to_contain_text("broken.png")
    page.get_by_label("Labels", exact=True).fill("\n".join([*LABELS, NASTY]))
    page.locator(".switch").get_by_role("checkbox").check()
    run(page, "Sort")
    stage = use(page, "Sort")
    over(stage)
    rows = download(page, stage)
    right = [row["name"] for row in rows if row["name"].startswith(f"{row['top']}-")]
    assert len(rows) == len(SCENES)
    assert len(right) >= len(SCENES) - 1, [(row["name"], row["top"]) for row in rows]
    stage.locator(".pile").get_by_role("button", name=right[0]).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("canvas.heat-layer")).to_be_visible()
    expect(dialog.get_by_text(NASTY)).to_be_attached()
    page.keyboard.press("Escape")
    page.reload(wait_until="commit")
    watch.allowed += ["AbortError", "errored out"]  # Gradio's stream of the page that is left
    over(open_tab(page).locator(".tool-stage:visible"))
    expect(page.get_by_label("Labels", exact=True)).to_have_value("\n".join([*LABELS, NASTY]))
    assert page.locator("img[src='x']").count() == 0


def test_a_heat_map_is_hot_where_the_label_is(understand: Page, server: Server, tmp_path: Path) -> None:
    scene("apple", "fox", background="white").save(tmp_path / "pair.png")
    page = understand
    choose(page, server.upload(tmp_path / "pair.png")["id"])
    page.get_by_label("Labels", exact=True).fill("apple, fox, a white wall")
    page.locator(".switch").get_by_role("checkbox").check()
    run(page, "Sort")
    stage = use(page, "Sort")
    over(stage)
    centres = {}
    for label in ("fox", "apple"):
        bar = stage.get_by_role("button", name=label)
        if bar.get_attribute("aria-pressed") != "true":
            bar.click()
        expect(stage.locator(f".heat-layer[data-label={label}]")).to_be_visible()
        centres[label] = page.evaluate(
            """() => {
                const canvas = document.querySelector(".heat-layer");
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                let sum = 0, all = 0;
                for (let at = 0; at < data.length; at += 4) {
                    sum += data[at + 3] * ((at / 4) % canvas.width);
                    all += data[at + 3];
                }
                return sum / all / canvas.width;
            }"""
        )
        if label == "fox":
            keep(page, "understand-heat")
    assert centres["apple"] < 0.5 < centres["fox"], centres


def test_without_labels_or_pictures_a_sentence_says_what_to_do(
    understand: Page, scenes: dict[str, str], watch: Watch
) -> None:
    watch.allowed.append("422")
    page = understand
    choose(page, scenes["apple-1"])
    page.get_by_role("button", name="Clear").click()
    run(page, "Sort")
    expect(page.locator(".tool-problem [role=alert]")).to_contain_text("Choose at least one picture")
    choose(page, scenes["apple-1"])
    page.get_by_label("Labels", exact=True).fill(" , ")
    run(page, "Sort")
    expect(page.locator(".tool-problem [role=alert]")).to_contain_text("Write at least one label")
    use(page, "Ask")
    run(page, "Ask")
    expect(page.locator(".tool-problem [role=alert]")).to_contain_text("question")
    use(page, "Check")
    run(page, "Check")
    expect(page.locator(".tool-problem [role=alert]")).to_contain_text("yes/no question")


@contextmanager
def searched(page: Page) -> Iterator[None]:
    """Until what is asked for inside is answered and drawn."""
    with page.expect_response("**/api/v1/search"):
        yield
    expect(page.locator(".gallery-main")).to_have_attribute("aria-busy", "false")


def titles(page: Page) -> list[str]:
    return [cell.get_attribute("title") or "" for cell in page.locator(".grid .thumb").all()]


def rank(names: list[str], word: str) -> int:
    return next(place for place, name in enumerate(names) if word in name)


def test_pictures_are_found_by_words_by_picture_and_by_both(page: Page, scenes: dict[str, str], folder: Path) -> None:
    go_to(page, "Gallery")
    words = page.get_by_role("search").get_by_label("Search by meaning")
    first = page.locator(".grid .thumb").first
    words.fill("a penguin on a blue background")
    expect(first).to_have_attribute("title", re.compile("penguin"))
    words.fill("a fox on a teal background")
    expect(first).to_have_attribute("data-id", scenes["fox-2"])
    keep(page, "gallery-search")
    words.fill(NASTY)
    expect(page.locator(".total")).to_contain_text("closest first")
    words.fill("a photograph of a wedding")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    words.fill("")

    buffer = io.BytesIO()
    draw("fox-2").resize((200, 200)).save(buffer, "PNG")
    with searched(page):
        page.locator(".finder input[type=file]").set_input_files(
            {"name": "my fox.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
        )
    expect(page.locator(".find-chip")).to_contain_text("my fox.png")
    expect(first).to_have_attribute("data-id", scenes["fox-2"])
    alone = titles(page)
    with searched(page):
        words.fill("a penguin on a blue background")
    together = titles(page)
    assert rank(together, "penguin") < rank(alone, "penguin"), (alone, together)
    page.get_by_role("button", name="Take this picture out of the search").click()
    expect(page.locator(".find-chip")).to_have_count(0)
    expect(first).to_have_attribute("title", re.compile("penguin"))
    words.fill("a fox on a pink background")
    expect(first).to_have_attribute("data-id", scenes["fox-3"])
    first.click()
    page.get_by_role("complementary", name="Selected picture").get_by_role("button", name="More like this").click()
    expect(page.locator(".find-chip")).to_have_count(1)
    expect(first).to_have_attribute("title", re.compile("fox"))


def test_the_same_picture_twice_is_shown_and_the_map_can_be_flown_over(
    page: Page, server: Server, scenes: dict[str, str], tmp_path: Path
) -> None:
    draw("penguin-2").resize((250, 250)).save(tmp_path / "again.png")
    twin = server.upload(tmp_path / "again.png")["id"]
    wait_for_search(server)
    go_to(page, "Gallery")
    views = page.get_by_role("radiogroup", name="Show as")
    views.get_by_role("radio", name="Duplicates").click()
    group = page.locator(".twin", has=page.locator(f"[data-id='{twin}']"))
    expect(group.locator(f"[data-id='{scenes['penguin-2']}']")).to_be_visible()
    views.get_by_role("radio", name="Map").click()
    canvas = page.get_by_role("application")
    expect(canvas).to_be_visible()
    page.wait_for_timeout(500)  # its pictures arrive
    keep(page, "gallery-map")
    before = canvas.screenshot()
    canvas.press("+")
    canvas.press("ArrowRight")
    page.wait_for_timeout(300)
    assert canvas.screenshot() != before
    server.call(f"/api/v1/uploads/{twin}", method="DELETE")


def test_two_questions_in_a_row_and_the_talk_survives_a_reload(
    understand: Page, server: Server, scenes: dict[str, str], watch: Watch
) -> None:
    page = understand
    choose(page, scenes["apple-1"], scenes["fox-1"])
    stage = use(page, "Ask")
    question = page.get_by_label("Question", exact=True)
    question.fill("What is in the picture?")
    question.press("Enter")
    answers = stage.locator(".answer:not(.pending)")
    expect(answers).to_have_count(1)
    expect(answers.first).to_contain_text("apple")
    question.fill("What colour is the background?")
    question.press("Enter")
    expect(answers).to_have_count(2)
    expect(answers.nth(1)).to_contain_text("blue")
    asked = server.call("/api/v1/jobs?limit=1")[0]["request"]
    assert asked["pictures"] == [scenes["apple-1"]]
    assert [turn["question"] for turn in asked["history"]] == ["What is in the picture?"]
    keep(page, "understand-ask")

    question.fill(f"Is there {NASTY} in it?")
    question.press("Enter")
    expect(answers).to_have_count(3)
    watch.allowed += ["AbortError", "errored out"]
    page.reload(wait_until="commit")
    open_tab(page)
    expect(page.locator(".talk .question")).to_have_count(3)
    expect(page.locator(".talk .question").nth(2)).to_have_text(f"Is there {NASTY} in it?")
    assert page.locator("img[src='x']").count() == 0


def test_a_checklist_puts_a_batch_into_lanes(understand: Page, server: Server, scenes: dict[str, str]) -> None:
    page = understand
    choose(page, *scenes.values())
    stage = use(page, "Check")
    rows = page.get_by_label("Yes or no question")
    rows.first.fill("Is the background blue?")
    rows.first.press("Enter")
    rows.nth(1).fill("Is it cartoon style?")
    page.get_by_role("button", name="Wanted answer: yes").nth(1).click()
    run(page, "Check")
    over(stage)
    table = download(page, stage)
    assert {row["name"] for row in table} == {f"{name}.png" for name in SCENES}
    lanes = {row["name"].removesuffix(".png"): row["lane"] for row in table}
    assert (lanes["apple-1"], lanes["fox-2"], lanes["rocket-1"]) == ("pass", "fail", "fail"), lanes
    fail = stage.get_by_role("region", name="Fail")
    expect(fail.locator(".lane-card")).to_have_count(sum(lane == "fail" for lane in lanes.values()))
    keep(page, "understand-check")
    page.get_by_role("button", name="Save list").click()
    page.get_by_role("dialog").get_by_label("Name").fill(f"Blue {NASTY}")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_label("Saved checklist")).to_have_value(f"Blue {NASTY}")
    fail.get_by_role("button", name="Save as board").click()
    page.get_by_role("dialog").get_by_label("Name of the board").fill("Not blue")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved the board Not blue")).to_be_visible()
    boards = {board["name"]: board["count"] for board in server.call("/api/v1/boards")}
    assert boards["Not blue"] == sum(lane == "fail" for lane in lanes.values())
    assert server.call("/api/v1/checklists")[0]["questions"][0] == {"question": "Is the background blue?", "want": True}


def test_a_running_check_is_found_again_and_can_be_cancelled(
    understand: Page, server: Server, scenes: dict[str, str], watch: Watch
) -> None:
    watch.allowed += ["AbortError", "errored out"]
    page = understand
    questions = [{"question": f"Are there {number} apples?", "want": True} for number in range(50)]
    job = server.call("/api/v1/checklist", {"pictures": list(scenes.values()), "questions": questions})["id"]
    page.reload(wait_until="commit")
    open_tab(page)
    stage = use(page, "Check")
    expect(stage).to_have_attribute("data-job", job)
    expect(stage.get_by_role("progressbar")).to_be_visible()
    page.locator("body").press("Escape")
    expect(stage.get_by_role("progressbar")).to_have_count(0)
    assert server.call(f"/api/v1/jobs/{job}")["status"] == "cancelled"


def test_a_caption_goes_back_to_create_and_a_measure_into_the_gallery(
    understand: Page, server: Server, scenes: dict[str, str]
) -> None:
    page = understand
    choose(page, scenes["fox-2"])
    stage = use(page, "Caption")
    page.get_by_role("radio", name="Prompt", exact=True).click()
    run(page, "Describe")
    over(stage)
    words = stage.locator(".captioned-words").inner_text()
    assert "fox" in words
    stage.get_by_role("button", name="To Create").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(words)

    (drawn,) = server.draw("a red apple on a blue background", seed=7)
    hand_over(page, "measure", drawn)
    stage = use(page, "Measure")
    run(page, "Measure")
    over(stage)
    expect(stage.get_by_role("row").nth(1)).to_contain_text("a red apple on a blue background")
    go_to(page, "Gallery")
    expect(page.locator(f".grid .thumb[data-id='{drawn}'] .thumb-badge")).to_be_visible()


def test_two_sets_are_compared_and_say_what_few_pictures_mean(understand: Page, scenes: dict[str, str]) -> None:
    page = understand
    ids = list(scenes.values())
    choose(page, *ids[:8])
    stage = use(page, "Measure")
    page.get_by_role("radio", name="Two sets").click()
    second = page.locator(".chooser:visible").nth(1)
    second.get_by_role("button", name="Gallery and boards").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("radio", name="Uploads").click()
    for name in list(SCENES)[8:]:
        dialog.get_by_role("button", name=f"{name}.png").click()
    dialog.get_by_role("button", name="Use 4 pictures").click()
    run(page, "Measure")
    over(stage)
    for words in ("CMMD", "KID", "FID", "Vendi", "mostly show chance"):
        expect(stage).to_contain_text(words)
    keep(page, "understand-compare")


def test_a_clip_becomes_a_timeline(understand: Page, tmp_path: Path) -> None:
    frames = [
        draw(name).crop((2 * step, 2 * step, 256 - 2 * step, 256 - 2 * step)).resize((256, 256))  # slowly closer
        for name in ("apple-1", "fox-3")
        for step in range(8)
    ]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:], duration=125, loop=0)
    page = understand
    stage = use(page, "Clip")
    page.locator(".chooser:visible input[type=file]").set_input_files(tmp_path / "clip.gif")
    expect(page.locator(".chosen-clip img")).to_be_visible()
    page.get_by_label("Labels of the clip").fill("apple\nfox")
    page.get_by_label("One look every").fill("0.25")
    run(page, "Look")
    over(stage)
    expect(stage.locator(".series polyline")).to_have_count(2)
    moments = stage.get_by_role("list", name="Moments").get_by_role("listitem")
    expect(moments.first).to_contain_text("apple")
    expect(moments.last).to_contain_text("fox")
    keep(page, "understand-clip")


def test_the_tab_fits_a_tablet_and_the_dark(opened: Opener, scenes: dict[str, str]) -> None:
    for name, options in (
        ("understand-sort", {}),
        ("understand-tablet", {"viewport": {"width": 820, "height": 1180}}),
        ("understand-dark", {"color_scheme": "dark"}),
    ):
        page = open_tab(opened(**options))
        choose(page, *scenes.values())
        page.get_by_label("Labels", exact=True).fill("\n".join(LABELS))
        run(page, "Sort")
        over(use(page, "Sort"))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_function(
            """[...document.images].every((each) => each.complete || !each.getClientRects().length
                || each.getBoundingClientRect().top > innerHeight)"""
        )
        keep(page, name)


def test_a_photograph_is_told_apart_from_the_models_own_world(
    understand: Page, server: Server, scenes: dict[str, str], tmp_path: Path
) -> None:
    next(iter(photographs(1))).save(tmp_path / "holiday.jpg")
    page = understand
    choose(page, server.upload(tmp_path / "holiday.jpg")["id"], scenes["apple-1"])
    page.get_by_label("Labels", exact=True).fill("apple, cup")
    run(page, "Sort")
    stage = use(page, "Sort")
    over(stage)
    expect(stage.locator(".doubt")).to_contain_text("1 picture of 2")
    strange = stage.get_by_role("region", name="Not of this model's world")
    expect(strange.get_by_role("button", name="holiday.jpg", exact=True)).to_be_visible()
    expect(strange).not_to_contain_text("%")
    expect(stage.get_by_role("region", name="apple")).to_contain_text("%")
    strange.get_by_role("button", name="holiday.jpg", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".doubt")).to_be_visible()
    expect(dialog).not_to_contain_text("%")
    dialog.locator(".doubt").get_by_role("button").click()
    expect(page.get_by_role("tab", name="Models")).to_have_attribute("aria-selected", "true")
    expect(dialog).to_be_hidden()
