"""The canvas on Edit: from a pointer's move to its stroke on the screen, by the browser's own trace."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from PIL import Image

from benchmarks.harness import measure_in_child, percentile, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIDE = 2048
BRUSHES = (20, 100, 400)
MOVES = 400
WARM_UP = 60
"""Moves that are not measured: the browser compiles the scripts then."""
CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline"]
ARGS = ["--no-sandbox", "--disable-gpu"]


@dataclass(frozen=True)
class Line:
    what: str
    milliseconds: list[float]


def rows(quick: bool) -> list[Line]:
    found = measure_in_child("canvas:paint", moves=60 if quick else MOVES)
    return [Line(what, samples) for what, samples in found.items()]


def table(lines: Sequence[Line]) -> str:
    text = ["| pointer to paint | moves | median [ms] | p95 [ms] | longest [ms] |", "| --- | --- | --- | --- | --- |"]
    for line in lines:
        samples = line.milliseconds
        cells = (statistics.median(samples), percentile(samples, 95), max(samples))
        text.append(f"| {line.what} | {len(samples)} | {' | '.join(f'{each:.1f}' for each in cells)} |")
    return "\n".join(text)


def as_json(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [asdict(line) | {"milliseconds": [round(each, 2) for each in line.milliseconds]} for line in lines]


def paint(moves: int) -> dict[str, list[float]]:
    """Paint on a picture of ``SIDE`` x ``SIDE`` pixels with brushes of several sizes."""
    from playwright.sync_api import sync_playwright

    found: dict[str, list[float]] = {}
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with serving((sys.executable, "app.py")) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGS)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(f"{server.url}/#edit/{_upload(server.url)}")
        page.locator("#edit-mode").get_by_label("Replace", exact=True).check()
        page.wait_for_selector(".mask-stage[data-ready=true]")
        for size in BRUSHES:
            page.get_by_label("Size in px").fill(str(size))
            page.get_by_label("Size in px").press("Tab")
            page.wait_for_timeout(300)
            found[f"{SIDE} x {SIDE}, brush of {size} px"] = traced(browser, page, ".mask-view img", moves)
        browser.close()
    return found


def _upload(url: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.png"
        Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB").save(file)
        answer = httpx.post(f"{url}/api/v1/uploads?name=large.png", content=file.read_bytes(), timeout=60)
    return answer.raise_for_status().json()["id"]


def traced(browser: Browser, page: Page, over: str, moves: int) -> list[float]:
    """Milliseconds from each move of a stroke over an element to the end of the frame that shows it.

    A move is a twentieth of the element's width, on a screen of 60 frames a second 1,000 pixels a second or so.

    The time is that of the main thread: from the dispatch of ``pointermove`` to the end of the next ``Commit``, which
    hands the drawn frame over to the compositor.
    """
    box = page.locator(over).bounding_box()
    assert box is not None

    def stroke(first: int, last: int) -> None:
        for at in range(first, last):
            across, down = (at * 5 % 200) / 200, (at * 2 % 170) / 170
            across, down = 0.1 + 0.8 * abs(2 * across - 1), 0.1 + 0.8 * abs(2 * down - 1)
            page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
            page.wait_for_timeout(4)

    stroke(0, 1)
    page.mouse.down()
    stroke(1, WARM_UP)
    browser.start_tracing(page=page, categories=CATEGORIES)
    stroke(WARM_UP, WARM_UP + moves)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    page.mouse.up()
    return _between(events)


def _between(events: list[dict[str, Any]]) -> list[float]:
    began = sorted(
        (event["ts"], event["tid"])
        for event in events
        if event["name"] == "EventDispatch" and event.get("args", {}).get("data", {}).get("type") == "pointermove"
    )
    if not began:
        raise RuntimeError("the trace has no pointer events")
    thread = began[0][1]
    ended = sorted(
        event["ts"] + event.get("dur", 0)
        for event in events
        if event["name"] == "Commit" and event["tid"] == thread and event["ph"] == "X"
    )
    samples, at = [], 0
    for start, _ in began:
        while at < len(ended) and ended[at] <= start:
            at += 1
        if at == len(ended):
            break
        samples.append((ended[at] - start) / 1000)
    return samples
