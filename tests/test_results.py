"""Jobs that answer instead of drawing, through a real worker: records, resume, what a capability may ask for."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from sqlalchemy import select

from studio import Studio
from studio.jobs import Job
from studio.store.database import EmbeddingRow


def hand_in(studio: Studio, *colours: str, user: str = "local") -> list[str]:
    ids = []
    for colour in colours:
        buffer = io.BytesIO()
        Image.new("RGB", (16, 16), colour).save(buffer, "PNG")
        ids.append(studio.library.add(buffer.getvalue(), f"{colour}.png", user=user).id)
    return ids


def finish(studio: Studio, job: Job) -> Job:
    return studio.jobs.wait(job.id, user="local", timeout=300)


def test_records_survive_the_loss_of_the_worker_and_are_not_made_twice(studio: Studio) -> None:
    ids = hand_in(studio, "red", "lime", "blue", "white")
    studio.library.file(ids[1], user="local").unlink()
    job = studio.jobs.submit("look", {"pictures": ids, "die_before": 3}, user="local")
    kinds = [event.kind for event in studio.jobs.events(job.id, user="local")]
    over = finish(studio, job)
    assert (over.status, over.attempt, over.results, over.asset_ids) == ("done", 2, 4, ())
    assert kinds.count("output") == 4
    records = studio.jobs.results(job.id, user="local")
    assert [(record["index"], record["name"], record.get("colour")) for record in records] == [
        (0, "red.png", [255, 0, 0]),
        (1, "lime.png", None),
        (2, "blue.png", [0, 0, 255]),
        (3, "white.png", [255, 255, 255]),
    ]
    assert "hand it in again" in records[1]["error"]
    assert (studio.settings.data_dir / "looked").read_text().split() == ["0", "1", "2", "3", "3"]
    assert over.notes == tuple(f"Looked at {name}.png." for name in ("red", "lime", "blue", "white"))

    hush = finish(studio, studio.jobs.submit("hush", {"pictures": [ids[0]]}, user="local"))
    assert (hush.status, hush.results) == ("done", 1)
    with studio.database.read() as session:
        row = session.scalars(select(EmbeddingRow)).one()
    assert (row.picture_id, row.owner, row.model) == (ids[0], "local", "probe")
    assert np.allclose(np.frombuffer(row.vector, "<f2"), [0.6, 0.8], atol=1e-3)


def test_a_cancelled_job_keeps_the_records_it_has_given(launch: Callable[..., Studio]) -> None:
    studio = launch(executor="inprocess")
    ids = hand_in(studio, "red", "lime", "blue", "white")
    job = studio.jobs.submit("look", {"pictures": ids, "step_seconds": 1.0}, user="local")
    for event in studio.jobs.events(job.id, user="local"):
        if event.job.results == 1:
            studio.jobs.cancel(job.id, user="local")
    over = finish(studio, job)
    assert over.status == "cancelled"
    assert 1 <= over.results < 4
    names = [record["name"] for record in studio.jobs.results(job.id, user="local")]
    assert names == ["red.png", "lime.png", "blue.png"][: over.results]
