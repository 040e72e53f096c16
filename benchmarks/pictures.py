"""The gallery: pages of 10,000 pictures (rows in the real tables, no files) against reading the whole list."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from benchmarks.harness import Row, alternate
from studio.settings import Settings
from studio.store.database import AssetRow, Database, now
from studio.store.gallery import Gallery

OBJECTS = ("apple", "cat", "house", "tree", "car", "moon", "fish", "key", "drum", "rose")


def filled(folder: Path, count: int) -> tuple[Gallery, Database]:
    """A gallery of ``count`` pictures of two capabilities and four families over a year."""
    settings = Settings(data_dir=folder)
    database = Database(settings)
    database.open()
    dice, newest = random.Random(0), now()
    with database.write() as session:
        for index in range(count):
            prompt = f"a {dice.choice(OBJECTS)} on a blue background"
            session.add(
                AssetRow(
                    id=f"{dice.getrandbits(128):032x}",
                    owner="local",
                    job_id=f"{dice.getrandbits(128):032x}",
                    index=0,
                    capability=dice.choice(("text-to-image", "image-to-image")),
                    family=dice.choice(("starter", "sd15", "sdxl", "flux2-klein-4b")),
                    seed=index,
                    prompt=prompt,
                    width=256,
                    height=256,
                    bytes=60_000,
                    sha256=f"{dice.getrandbits(256):064x}",
                    parameters={
                        "prompt": prompt,
                        "steps": 16,
                        "guidance_scale": 3.0,
                        "seed": index,
                        "sampler": "dpmpp-2m",
                    },
                    notes=[],
                    starred=dice.random() < 0.05,
                    created_at=newest - timedelta(days=365) * index / count,
                )
            )
    return Gallery(settings, database), database


def _last_page(gallery: Gallery) -> str | None:
    """The marker of the last page, reached as a person reaches it."""
    before = None
    while (page := gallery.page(user="local", before=before)).next:
        before = page.next
    return before


def rows(quick: bool) -> list[Row]:
    count = 2_000 if quick else 10_000
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        gallery, database = filled(Path(folder), count)
        last = _last_page(gallery)

        def everything(keep: Callable[[AssetRow], bool], start: int) -> list[AssetRow]:
            with database.read() as session:
                found = session.scalars(select(AssetRow).order_by(AssetRow.created_at.desc())).all()
            return [row for row in found if keep(row)][start : start + 60]

        questions: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "first page of 60": (lambda: gallery.page(user="local"), lambda: everything(lambda row: True, 0)),
            "last page": (
                lambda: gallery.page(user="local", before=last),
                lambda: everything(lambda row: True, count - 60),
            ),
            "starred, one model": (
                lambda: gallery.page(user="local", starred=True, family="sdxl"),
                lambda: everything(lambda row: row.starred and row.family == "sdxl", 0),
            ),
            "a word of the prompt": (
                lambda: gallery.page(user="local", text="drum"),
                lambda: everything(lambda row: "drum" in row.prompt, 0),
            ),
        }

        def timed(question: Callable[[], object]) -> Callable[[], float]:
            def run() -> float:
                started = time.perf_counter()
                question()
                return (time.perf_counter() - started) * 1e3

            return run

        return [
            Row(
                f"gallery of {count:,} pictures: {name}",
                "ms",
                *alternate(timed(ours), timed(other), 5 if quick else 20, warm_up=2),
                "reading every row and cutting a page from the list",
            )
            for name, (ours, other) in questions.items()
        ]
