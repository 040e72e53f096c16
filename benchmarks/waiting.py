"""What somebody waits for while somebody else draws: a search by words, and a small answer, beside the drawing."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import measure_in_child, percentile

PICTURES = 40
QUERIES = 100
ANSWERS = 10
BURST = 45
PAUSE = 0.1
"""Seconds between two searches: somebody reads, too."""


@dataclass(frozen=True)
class Line:
    what: str
    milliseconds: list[float]


def rows(quick: bool) -> list[Line]:
    found = measure_in_child("waiting:ask", queries=10 if quick else QUERIES, answers=2 if quick else ANSWERS)
    return [Line(what, samples) for what, samples in found.items()]


def table(lines: Sequence[Line]) -> str:
    text = [
        "| while the worker draws | times | median [ms] | p95 [ms] | longest [ms] |",
        "| --- | --- | --- | --- | --- |",
    ]
    for line in lines:
        samples = line.milliseconds
        cells = (statistics.median(samples), percentile(samples, 95), max(samples))
        text.append(f"| {line.what} | {len(samples)} | {' | '.join(f'{each:.0f}' for each in cells)} |")
    return "\n".join(text)


def as_json(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [asdict(line) for line in lines]


def _warm(studio: Any) -> bool:
    """The first search of a server, which loads what reads words."""
    from studio.errors import StudioError

    try:
        studio.search.find(user="local", text="the first search of a server")
    except StudioError:
        return False
    return True


def ask(queries: int, answers: int) -> dict[str, list[float]]:
    """In a process of its own: a whole studio that draws one long job, with words that nobody has asked for before."""
    import asyncio
    import io

    import numpy as np
    from PIL import Image

    from studio import Studio
    from studio.settings import Settings
    from studio.starter.vocabulary import OBJECTS

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        studio = Studio(Settings(data_dir=Path(folder), device="cpu", port=0))
        studio.start()
        try:
            dice, pictures = np.random.default_rng(0), []
            for at in range(PICTURES):
                buffer = io.BytesIO()
                blocks = dice.integers(0, 256, (4, 4, 3), np.uint8)
                Image.fromarray(blocks).resize((256, 256)).save(buffer, "PNG")
                pictures.append(studio.library.add(buffer.getvalue(), f"{at}.png", user="local").id)
            while studio.search.status("local").embedded < PICTURES:
                time.sleep(0.2)
            while not _warm(studio):
                pass
            request = {"prompt": "a red apple", "steps": 100, "count": 8}
            drawing = studio.jobs.submit("text-to-image", request, user="local")

            def drawn() -> None:
                """Keep the worker at it."""
                nonlocal drawing
                job = studio.jobs.get(drawing.id, user="local")
                if job.terminal:
                    drawing = studio.jobs.submit("text-to-image", request, user="local")
                while studio.jobs.get(drawing.id, user="local").step == 0:
                    time.sleep(0.05)

            words = [f"{number} {thing} in a row" for number in ("two", "three", "four") for thing in OBJECTS]
            searches, small = [], []
            for text in words[:queries]:
                drawn()
                began = time.perf_counter()
                studio.search.find(user="local", text=text)
                searches.append((time.perf_counter() - began) * 1e3)
                time.sleep(PAUSE)
            for id in pictures[: answers + 1]:
                drawn()
                began = time.perf_counter()
                job = studio.jobs.submit("caption", {"pictures": [id]}, user="local")
                over = studio.jobs.wait(job.id, user="local", timeout=120)
                assert over.status == "done", over
                small.append((time.perf_counter() - began) * 1e3)
            drawn()

            async def burst() -> list[float]:
                async def one(text: str) -> float:
                    began = time.perf_counter()
                    await studio.search.afind(user="local", text=text)
                    return (time.perf_counter() - began) * 1e3

                return await asyncio.gather(*(one(f"{text} at night") for text in words[:BURST]))

            together = asyncio.run(burst())
            assert not studio.jobs.get(drawing.id, user="local").terminal
            studio.jobs.cancel(drawing.id, user="local")
            return {
                "search by words never asked before": searches,
                "caption of one picture (after the first)": small[1:],
                f"{BURST} such searches at the same moment": together,
            }
        finally:
            studio.stop()
