"""The queue without a worker: what submit takes and refuses, the line, estimates, owners, recovery."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select, update

from studio.errors import StudioError
from studio.jobs import MAX_LOSSES, MAX_LOSSES_THERE, MAX_STOPS, Job, JobEvent, Jobs, Resident, WorkerEvent, WorkerState
from studio.jobs.estimates import line
from studio.models.catalog import Catalog
from studio.settings import Settings
from studio.store.database import Database, JobRow, ResultRow, now
from studio.store.gallery import Gallery
from studio.store.library import Library
from studio.store.words import Words
from studio.trust import Trust
from tests.probe import ALL, GradientRequest


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings)
    database.open()
    yield database
    database.close()


@pytest.fixture
def build(settings: Settings, database: Database) -> Callable[..., Jobs]:
    def make(**changes: Any) -> Jobs:
        changed = settings.model_copy(update=changes)
        library = Library(changed, database, Gallery(changed, database))
        return Jobs(changed, database, library, Words(database), Catalog(changed), ALL)

    return make


@pytest.fixture
def jobs(build: Callable[..., Jobs]) -> Jobs:
    return build()


def submit(jobs: Jobs, user: str = "local", key: str | None = None, **request: Any) -> Job:
    return jobs.submit("gradient", request, user=user, idempotency_key=key)


def finish(jobs: Jobs, database: Database, seconds: float, load_seconds: float = 0.0, **request: Any) -> None:
    """Run a job that took ``seconds``, as the database will remember it."""
    id = submit(jobs, **request).id
    while (leased := jobs.leases.take()) and leased.id != id:
        pass
    jobs.leases.done(id)
    values = {"seconds": seconds, "load_seconds": load_seconds}
    with database.write() as session:
        session.execute(update(JobRow).where(JobRow.id == id).values(values))


def refused(call: Callable[[], object], status: int, field: str | None = None) -> str:
    with pytest.raises(StudioError) as caught:
        call()
    assert (caught.value.status, caught.value.field) == (status, field)
    assert "\n" not in caught.value.message
    return caught.value.message


# -- submit ------------------------------------------------------------------------------------------------------------


def test_a_submitted_job_waits_with_everything_filled_in(jobs: Jobs) -> None:
    job = submit(jobs, prompt="dawn", steps=5)
    assert (job.status, job.position, job.attempt, job.asset_ids) == ("queued", 1, 0, ())
    assert (job.request["prompt"], job.request["steps"], job.family) == ("dawn", 5, "starter")
    assert isinstance(job.request["seed"], int)
    assert jobs.get(job.id, user="local") == job


def test_a_request_object_is_taken_like_its_fields(jobs: Jobs) -> None:
    job = jobs.submit("gradient", GradientRequest(seed=7), source="cli", user="local")
    assert (job.request["seed"], job.source) == (7, "cli")


def test_unknown_capabilities_are_named_with_the_known_ones(jobs: Jobs) -> None:
    assert "gradient" in refused(lambda: jobs.submit("sculpt", {}, user="local"), 404)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 10_000}, "steps"),
        ({"steps": "many"}, "steps"),
        ({"step_seconds": float("nan")}, "step_seconds"),
        ({"step_seconds": float("inf")}, "step_seconds"),
        ({"prompt": "x" * 200_000}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": "forbidden"}, "prompt"),
        ({"sculptor": "Rodin"}, "sculptor"),
        ({"fault": "unknown"}, "fault"),
    ],
)
def test_a_bad_request_is_one_sentence_and_no_row(
    jobs: Jobs, database: Database, request_: dict[str, Any], field: str
) -> None:
    message = refused(lambda: jobs.submit("gradient", request_, user="local"), 422, field)
    assert message.endswith(".")
    assert len(message) < 300
    with database.read() as session:
        assert session.scalars(select(JobRow)).all() == []


def test_a_full_queue_is_refused_until_a_job_leaves_it(build: Callable[..., Jobs]) -> None:
    jobs = build(max_queued_jobs=2)
    first = submit(jobs)
    submit(jobs)
    assert "2 jobs wait" in refused(lambda: submit(jobs), 429)
    jobs.cancel(first.id, user="local")
    submit(jobs)


def test_the_cap_holds_when_many_submit_at_once(build: Callable[..., Jobs]) -> None:
    jobs = build(max_queued_jobs=5)
    answers: list[str] = []

    def push() -> None:
        for _ in range(3):
            try:
                answers.append(submit(jobs).id)
            except StudioError as error:
                assert error.status == 429
                answers.append("")

    threads = [threading.Thread(target=push) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 18
    assert len([each for each in answers if each]) == 5
    assert len(jobs.list(user="local")) == 5


def test_too_little_free_disk_is_refused(build: Callable[..., Jobs]) -> None:
    jobs = build(min_free_disk_mb=10**9)
    assert "free some space" in refused(lambda: submit(jobs), 507)


def test_the_same_key_is_the_same_job(jobs: Jobs) -> None:
    first = submit(jobs, key="k", prompt="dawn")
    assert submit(jobs, key="k", prompt="dawn").id == first.id
    assert "another request" in refused(lambda: submit(jobs, key="k", prompt="dusk"), 409, "idempotency_key")
    assert submit(jobs, user="eve", key="k", prompt="dawn").id != first.id
    assert submit(jobs, prompt="dawn").id != first.id
    refused(lambda: submit(jobs, key="x" * 256), 422, "idempotency_key")


def test_the_same_key_at_the_same_moment_makes_one_job(jobs: Jobs) -> None:
    together = threading.Barrier(6)
    ids: set[str] = set()

    def push() -> None:
        together.wait()
        ids.add(submit(jobs, key="k", prompt="dawn").id)

    threads = [threading.Thread(target=push) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 1
    assert len(jobs.list(user="local")) == 1


def test_the_server_side_imports_no_torch() -> None:
    code = """
import sys, tempfile
from studio import Studio
assert not {"pydantic", "sqlalchemy", "PIL"} & set(sys.modules), "import studio is not cheap"
from studio.store.library import Library
from studio.settings import Settings
with tempfile.TemporaryDirectory() as folder:
    studio = Studio(Settings(data_dir=folder, min_free_disk_mb=0), capabilities="tests.probe:ALL", preload=False)
    studio.start()
    job = studio.jobs.submit("gradient", {"steps": 1}, user="local")
    studio.gallery.page(user="local")
    studio.stop()
heavy = {"torch", "diffusers", "transformers", "cv2"} & set(sys.modules)
assert not heavy, heavy
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- the line ----------------------------------------------------------------------------------------------------------


def test_first_come_first_served(jobs: Jobs) -> None:
    ids = [submit(jobs, user=user).id for user in ("local", "eve", "local")]
    assert [jobs.get(ids[0], user="local").position, jobs.get(ids[2], user="local").position] == [1, 3]
    leased = [jobs.leases.take(), jobs.leases.take()]
    assert [job.id for job in leased if job] == ids[:2]
    assert jobs.get(ids[0], user="local").position is None
    assert jobs.get(ids[2], user="local").position == 1
    assert jobs.leases.take() is not None
    assert jobs.leases.take() is None


def test_a_cancelled_job_leaves_the_line_at_once(jobs: Jobs) -> None:
    first, second = submit(jobs), submit(jobs)
    assert jobs.cancel(first.id, user="local").status == "cancelled"
    assert jobs.get(second.id, user="local").position == 1
    leased = jobs.leases.take()
    assert leased is not None
    assert leased.id == second.id


def test_cancelling_what_is_over_changes_nothing(jobs: Jobs) -> None:
    job = submit(jobs)
    jobs.leases.take()
    jobs.leases.done(job.id)
    assert jobs.cancel(job.id, user="local").status == "done"


def test_a_list_shows_the_newest_first_and_only_mine(jobs: Jobs) -> None:
    first, second, other = submit(jobs), submit(jobs), submit(jobs, user="eve")
    assert [job.id for job in jobs.list(user="local")] == [second.id, first.id]
    assert [job.id for job in jobs.list(user="local", limit=1)] == [second.id]
    jobs.cancel(second.id, user="local")
    assert [job.id for job in jobs.list(user="local", active=True)] == [first.id]
    assert [job.id for job in jobs.list(user="eve")] == [other.id]


def test_another_users_job_does_not_exist(jobs: Jobs) -> None:
    job = submit(jobs)

    async def read() -> JobEvent:
        return await anext(jobs.aevents(job.id, user="eve"))

    for attempt in (
        lambda: jobs.get(job.id, user="eve"),
        lambda: jobs.cancel(job.id, user="eve"),
        lambda: next(jobs.events(job.id, user="eve")),
        lambda: asyncio.run(read()),
        lambda: jobs.get("f" * 32, user="local"),
    ):
        assert "no such job" in refused(attempt, 404)
    assert jobs.get(job.id, user="local").status == "queued"


def upload(settings: Settings, database: Database, colour: str = "red", user: str = "local") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
    return Library(settings, database, Gallery(settings, database)).add(buffer.getvalue(), "x.png", user=user).id


def test_what_somebody_waits_for_goes_first_and_unseen_work_last(
    build: Callable[..., Jobs], settings: Settings, database: Database
) -> None:
    jobs, picture = build(max_queued_jobs=3), upload(settings, database)
    hush = jobs.submit("hush", {"pictures": [picture]}, user="local")
    draw = submit(jobs)
    look = jobs.submit("look", {"pictures": [picture]}, user="local")
    again = submit(jobs)
    urgent = jobs.submit("hush", {}, priority=20, user="local")
    line = [urgent, look, draw, again, hush]
    assert [jobs.get(job.id, user="local").position for job in line] == [1, 2, 3, 4, 5]
    assert "3 jobs wait" in refused(lambda: submit(jobs), 429)
    assert jobs.submit("hush", {}, user="local").status == "queued"  # the studio's own work does not fill the queue
    leased = [jobs.leases.take() for _ in line]
    assert [job.id for job in leased if job] == [job.id for job in line]


def test_hidden_jobs_are_listed_only_on_request_and_forgotten_when_over(
    jobs: Jobs, build: Callable[..., Jobs], database: Database
) -> None:
    shown, over = submit(jobs), jobs.submit("hush", {}, priority=1, user="local")
    waiting = jobs.submit("hush", {}, user="local")
    assert jobs.leases.take() is not None
    jobs.leases.done(over.id)
    with database.write() as session:
        session.add(ResultRow(job_id=over.id, index=0, owner="local", data={}, notes=[]))
    assert [job.id for job in jobs.list(user="local")] == [shown.id]
    assert [job.id for job in jobs.list(user="local", hidden=True)] == [waiting.id, over.id, shown.id]
    assert [job.id for job in jobs.list(user="local", hidden=True, active=True)] == [waiting.id, shown.id]
    build().recover()
    assert [job.id for job in jobs.list(user="local", hidden=True)] == [waiting.id, shown.id]
    with database.read() as session:
        assert session.scalars(select(ResultRow)).all() == []


def test_a_request_names_the_pictures_that_its_board_holds(jobs: Jobs, settings: Settings, database: Database) -> None:
    library = Library(settings, database, Gallery(settings, database))
    one, two = upload(settings, database), upload(settings, database, "blue")
    board = library.boards.create("local", "b", [two, one])
    job = jobs.submit("look", {"pictures": [one], "board": board.id}, idempotency_key="k", user="local")
    assert (job.request["pictures"], job.request["board"]) == ([one, two], "")
    library.boards.remove(board.id, [two], user="local")
    assert jobs.submit("look", {"pictures": [one], "board": board.id}, idempotency_key="k", user="local").id == job.id
    refused(
        lambda: jobs.submit("look", {"pictures": [upload(settings, database, user="eve")]}, user="local"),
        404,
        "pictures",
    )
    refused(lambda: jobs.submit("look", {"pictures": ["../x"]}, user="local"), 422, "pictures.0")
    assert len(jobs.list(user="local")) == 1


def test_records_are_read_in_their_order_from_any_place(jobs: Jobs, database: Database) -> None:
    job = submit(jobs)
    events = jobs.events(job.id, user="local")
    assert next(events).job.results == 0
    jobs.leases.take()
    next(events)
    with database.write() as session:
        for index in (2, 0, 1):
            session.add(ResultRow(job_id=job.id, index=index, owner="local", data={"n": index * 10}, notes=[]))
    jobs.leases.output(job.id)
    event = next(events)
    assert (event.kind, event.job.results) == ("output", 3)
    assert jobs.results(job.id, user="local") == [{"index": index, "n": index * 10} for index in range(3)]
    assert jobs.results(job.id, user="local", after=0, limit=1) == [{"index": 1, "n": 10}]
    assert jobs.results(job.id, user="local", after=2) == []
    refused(lambda: jobs.results(job.id, user="eve"), 404)
    jobs.cancel(job.id, user="local")
    jobs.leases.cancelled(job.id)
    assert len(jobs.results(job.id, user="local")) == 3
    events.close()


def test_waiting_ends_with_the_job_or_with_the_time(jobs: Jobs) -> None:
    job = submit(jobs)
    assert jobs.wait(job.id, user="local", timeout=0.05).status == "queued"
    jobs.leases.take()
    ending = threading.Thread(target=lambda: (threading.Event().wait(0.05), jobs.leases.done(job.id)))
    ending.start()
    assert jobs.wait(job.id, user="local", timeout=60).status == "done"
    ending.join()
    assert jobs.wait(job.id, user="local", timeout=60).status == "done"
    refused(lambda: jobs.wait(job.id, user="eve", timeout=60), 404)


def test_who_asked_hears_of_every_end(jobs: Jobs) -> None:
    heard: list[tuple[str, str]] = []

    def fail(job: Job) -> None:
        raise RuntimeError

    jobs.leases.on_finish(fail)  # one bad listener stops nobody
    jobs.leases.on_finish(lambda job: heard.append((job.id, job.status)))
    done, failed, cancelled = (submit(jobs).id for _ in range(3))
    for _ in range(2):
        jobs.leases.take()
    jobs.leases.done(done)
    jobs.leases.fail(failed, "No.")
    jobs.cancel(cancelled, user="local")
    jobs.leases.done(done)
    assert heard == [(done, "done"), (failed, "failed"), (cancelled, "cancelled")]


# -- estimates ---------------------------------------------------------------------------------------------------------


class Idle:
    """An executor that does nothing, with the families that it is told to hold."""

    def __init__(self, *families: str, status: Any = "ready") -> None:
        self._state = WorkerState(status, residents=tuple(Resident(each, 1, "cpu", 0, ()) for each in families))

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def submitted(self) -> None: ...
    def cancel(self, job_id: str) -> None: ...
    def command(self, op: Any, family: str) -> None: ...
    def read(self, family: str, texts: Sequence[str]) -> Future[Any]:
        return Future()

    def state(self) -> WorkerState:
        return self._state


def test_nothing_is_promised_before_anything_is_known(jobs: Jobs) -> None:
    assert submit(jobs).eta_seconds is None


def test_an_estimate_scales_with_the_work_and_adds_what_is_ahead(jobs: Jobs, database: Database) -> None:
    jobs.attach(Idle("starter"))
    for seconds in (9.0, 10.0, 300.0):  # one run beside a busy neighbour does not spoil the median
        finish(jobs, database, seconds, steps=10)
    assert submit(jobs, steps=20).eta_seconds == pytest.approx(20)
    assert submit(jobs, steps=5).eta_seconds == pytest.approx(25)


def test_a_family_that_must_be_loaded_takes_longer_once(jobs: Jobs, database: Database) -> None:
    finish(jobs, database, 18.0, load_seconds=8.0, steps=10)
    jobs.attach(Idle("starter"))
    assert submit(jobs, steps=10).eta_seconds == pytest.approx(10)
    jobs.attach(Idle())
    waiting = [submit(jobs, steps=10), *jobs.list(user="local", active=True)]
    assert waiting[0].eta_seconds == pytest.approx(8 + 10 + 10)


def test_what_every_run_costs_is_told_from_what_the_work_costs() -> None:
    runs = [(1.0, 2.5), (2.0, 3.0), (10.0, 7.0)]  # 2 s whatever is done, and half a second for each unit
    assert line(runs) == pytest.approx((2.0, 0.5))
    assert line([*runs, (2.0, 90.0)])[1] == pytest.approx(0.5, rel=0.2), "one run that stood still"
    assert line([(4.0, 2.0), (4.0, 3.0), (4.0, 2.4)]) == pytest.approx((0.0, 0.6)), "one amount of work tells no more"
    assert line([(1.0, 3.0), (10.0, 1.0)]) == pytest.approx((0.0, 1.55)), "more work took no longer"
    assert line([]) == (0.0, None)


def test_no_estimate_while_a_family_ahead_is_unknown(jobs: Jobs, database: Database) -> None:
    jobs.attach(Idle("starter"))
    finish(jobs, database, 10.0, steps=10)
    submit(jobs, model="sdxl")
    assert submit(jobs).eta_seconds is None


def test_no_estimate_while_the_worker_is_not_there(jobs: Jobs, database: Database) -> None:
    finish(jobs, database, 10.0, steps=10)
    jobs.attach(Idle("starter", status="starting"))
    assert submit(jobs).eta_seconds is None


def test_a_running_job_is_measured_by_its_own_steps(jobs: Jobs) -> None:
    job = submit(jobs, steps=4)
    jobs.leases.take()
    assert jobs.get(job.id, user="local").eta_seconds is None
    for step in (1, 2):
        threading.Event().wait(0.05)
        jobs.leases.progress(job.id, step, 4)
    pace = jobs.leases.step_seconds(job.id)
    assert pace is not None
    assert jobs.get(job.id, user="local").eta_seconds == pytest.approx(2 * pace)
    jobs.leases.progress(job.id, 4, 4)
    assert jobs.get(job.id, user="local").eta_seconds == 0


def test_an_estimate_that_proved_wrong_is_dropped(jobs: Jobs, database: Database) -> None:
    jobs.attach(Idle("starter"))
    finish(jobs, database, 0.001, steps=4)
    job = submit(jobs, steps=4)
    jobs.leases.take()
    threading.Event().wait(0.05)
    assert jobs.get(job.id, user="local").eta_seconds is None
    jobs.leases.progress(job.id, 1, 4)
    threading.Event().wait(0.05)
    jobs.leases.progress(job.id, 2, 4)
    pace = jobs.leases.step_seconds(job.id)
    assert pace is not None
    assert jobs.get(job.id, user="local").eta_seconds == pytest.approx(2 * pace)


# -- events ------------------------------------------------------------------------------------------------------------


def test_events_begin_with_a_snapshot_and_end_with_the_end(jobs: Jobs) -> None:
    job = submit(jobs)
    events = jobs.events(job.id, user="local")
    assert next(events).job == job
    jobs.leases.take()
    assert next(events).job.status == "running"
    jobs.leases.progress(job.id, 1, 6, "Drawing", b"webp")
    event = next(events)
    assert (event.kind, event.job.step, event.job.message, event.preview) == ("progress", 1, "Drawing", b"webp")
    jobs.leases.done(job.id, ["cut", "cut"])
    last = list(events)
    assert [each.job.status for each in last] == ["done"]
    assert last[0].job.notes == ("cut",)


def test_who_comes_back_gets_the_newest_state_and_preview(jobs: Jobs) -> None:
    job = submit(jobs)
    jobs.leases.take()
    jobs.leases.progress(job.id, 3, 6, preview=b"webp")
    again = jobs.events(job.id, user="local")
    snapshot = next(again)
    assert (snapshot.kind, snapshot.job.step, snapshot.preview) == ("state", 3, b"webp")
    again.close()
    jobs.leases.done(job.id)
    assert [each.job.status for each in jobs.events(job.id, user="local")] == ["done"]


def test_a_slow_reader_skips_progress_but_no_change_of_state(jobs: Jobs) -> None:
    job = submit(jobs)
    events = jobs.events(job.id, user="local")
    next(events)
    jobs.leases.take()
    for step in range(1, 100):
        jobs.leases.progress(job.id, step, 100, preview=b"webp" if step == 50 else None)
    jobs.leases.done(job.id)
    read = list(events)
    assert [(each.kind, each.job.status) for each in read] == [
        ("state", "running"),
        ("progress", "running"),
        ("state", "done"),
    ]
    assert (read[1].job.step, read[1].preview) == (99, b"webp")


def test_those_who_wait_hear_that_they_moved_up(jobs: Jobs) -> None:
    first, second = submit(jobs), submit(jobs)
    events = jobs.events(second.id, user="local")
    assert next(events).job.position == 2
    jobs.cancel(first.id, user="local")
    assert next(events).job.position == 1


def test_events_reach_an_event_loop(jobs: Jobs) -> None:
    job = submit(jobs)

    async def read() -> list[str]:
        statuses = []
        async for event in jobs.aevents(job.id, user="local"):
            statuses.append(event.job.status)
            if len(statuses) == 1:
                await asyncio.to_thread(jobs.leases.take)
                await asyncio.to_thread(jobs.leases.fail, job.id, "No.")
        return statuses

    assert asyncio.run(read()) == ["queued", "running", "failed"]


def test_one_stream_tells_of_all_jobs_of_a_user_and_of_the_worker(jobs: Jobs) -> None:
    jobs.attach(Idle("starter"))
    over, first = submit(jobs), submit(jobs)
    jobs.cancel(over.id, user="local")

    async def read() -> None:
        stream = jobs.aevents_all(user="local")

        async def told(count: int) -> list[tuple[str, str, int | None]]:
            found = [await anext(stream) for _ in range(count)]
            assert all(isinstance(event, JobEvent) for event in found)
            return [(e.job.id, e.job.status, e.job.position) for e in found if isinstance(e, JobEvent)]

        start = await anext(stream)
        assert isinstance(start, WorkerEvent) and start.state.status == "ready"
        assert await told(1) == [(first.id, "queued", 1)]
        submit(jobs, user="eve")
        jobs.submit("hush", {}, user="local")
        second = await asyncio.to_thread(submit, jobs)
        assert await told(1) == [(second.id, "queued", 3)]
        jobs.leases.take()
        jobs.leases.progress(first.id, 1, 6)
        assert await told(3) == [
            (first.id, "running", None),
            (second.id, "queued", 2),
            (first.id, "running", None),
        ]
        jobs.leases.worker(WorkerState("busy"))
        busy = await anext(stream)
        assert isinstance(busy, WorkerEvent) and busy.state.status == "busy"
        jobs.leases.done(first.id)
        assert (await told(2))[0] == (first.id, "done", None)  # and goes on
        jobs.close()
        assert [event async for event in stream] == []

    asyncio.run(read())


def test_a_reader_who_takes_nothing_is_dropped(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.jobs.live.MOST_PENDING", 5)
    job = submit(jobs)
    events = jobs.events(job.id, user="local")
    next(events)
    jobs.leases.take()
    for _ in range(6):
        jobs.leases.output(job.id)
    assert len(list(events)) == 6  # what it was sent, and then no more


def test_many_streams_hold_no_thread_and_no_connection(jobs: Jobs, database: Database) -> None:
    job = submit(jobs)

    async def read() -> None:
        before = threading.active_count()
        streams: list[Any] = [jobs.aevents(job.id, user="local") for _ in range(300)]
        streams += [jobs.aevents_all(user="local") for _ in range(200)]
        assert len(await asyncio.gather(*(anext(stream) for stream in streams))) == 500
        waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
        assert threading.active_count() <= before + 4
        assert database.engine.pool.status().endswith("Current Checked out connections: 0")
        await asyncio.to_thread(jobs.leases.take)
        assert {event.job.status for event in await asyncio.gather(*waiting)} == {"running"}
        await asyncio.gather(*(stream.aclose() for stream in streams))

    asyncio.run(read())


def test_the_end_of_the_server_ends_the_streams(jobs: Jobs) -> None:
    job = submit(jobs)
    events = jobs.events(job.id, user="local")
    next(events)
    jobs.close()
    assert list(events) == []
    assert [each.job.status for each in jobs.events(job.id, user="local")] == ["queued"]


# -- loss and recovery -------------------------------------------------------------------------------------------------


def test_a_lost_job_runs_again_first_with_the_same_request_three_times(jobs: Jobs) -> None:
    job, behind = submit(jobs), submit(jobs)
    for attempt in range(1, MAX_LOSSES_THERE + 1):
        leased = jobs.leases.take()
        assert leased is not None
        assert (leased.id, leased.attempt, leased.request) == (job.id, attempt, job.request)
        jobs.leases.lost(job.id, "The worker stopped")
    over = jobs.get(job.id, user="local")
    assert (over.status, over.error) == (
        "failed",
        "The worker stopped 3 times in this job: try a smaller size or another model.",
    )
    leased = jobs.leases.take()
    assert leased is not None
    assert leased.id == behind.id


def test_a_cancelled_job_is_not_run_again_after_a_loss(jobs: Jobs) -> None:
    job = submit(jobs)
    jobs.leases.take()
    assert jobs.cancel(job.id, user="local").status == "running"
    jobs.leases.lost(job.id, "The worker stopped")
    assert jobs.get(job.id, user="local").status == "cancelled"


def test_a_job_given_back_has_lost_no_attempt(jobs: Jobs) -> None:
    job = submit(jobs)
    jobs.leases.take()
    jobs.leases.give_back(job.id)
    again = jobs.get(job.id, user="local")
    assert (again.status, again.attempt, again.position) == ("queued", 0, 1)


def test_a_start_queues_what_was_running_and_ends_what_was_cancelled(build: Callable[..., Jobs]) -> None:
    before = build()
    ids = [submit(before).id for _ in range(4)]
    for _ in range(3):
        before.leases.take()
    before.leases.done(ids[0])
    before.cancel(ids[1], user="local")
    after = build()
    after.recover()
    found = [(job.status, job.attempt) for job in (after.get(id, user="local") for id in ids)]
    assert found == [("done", 1), ("cancelled", 1), ("queued", 0), ("queued", 0)]
    after.recover()
    assert [after.get(id, user="local").status for id in ids] == ["done", "cancelled", "queued", "queued"]


def test_ends_of_the_server_are_not_the_jobs_own_until_the_tenth(build: Callable[..., Jobs]) -> None:
    id = submit(build()).id
    for stops in range(MAX_STOPS):
        job = build().get(id, user="local")
        assert (job.status, job.attempt) == ("queued", 0), stops
        assert build().leases.take() is not None
        build().recover()
    over = build().get(id, user="local")
    assert (over.status, over.error) == (
        "failed",
        "The studio stopped 10 times in this job: try a smaller size or another model.",
    )


def test_losses_count_anew_once_something_was_kept(jobs: Jobs, database: Database) -> None:
    job = submit(jobs)
    for index in range(2 * MAX_LOSSES):
        assert jobs.leases.take() is not None
        with database.write() as session:
            session.add(ResultRow(job_id=job.id, index=index, owner="local", data={}, notes=[], created_at=now()))
        jobs.leases.lost(job.id, "The worker stopped")
    assert jobs.get(job.id, user="local").status == "queued"
    for _ in range(MAX_LOSSES_THERE - 1):
        assert jobs.leases.take() is not None
        jobs.leases.lost(job.id, "The worker stopped")
    assert jobs.get(job.id, user="local").status == "failed"


def test_losses_at_other_places_are_borne_longer(jobs: Jobs) -> None:
    job = submit(jobs)
    for at in range(MAX_LOSSES):
        assert jobs.get(job.id, user="local").status == "queued"
        assert jobs.leases.take() is not None
        jobs.leases.progress(job.id, at % 5, 6)
        jobs.leases.lost(job.id, "The worker was killed")
    over = jobs.get(job.id, user="local")
    assert (over.status, over.attempt) == ("failed", MAX_LOSSES)
    assert over.error is not None and "10 times in this job" in over.error


def test_cancel_keeps_what_was_finished(settings: Settings, database: Database, jobs: Jobs) -> None:
    gallery = Gallery(settings, database)
    released = Trust(settings.model_copy(update={"watermark": False})).release(
        Image.new("RGB", (256, 256)), parameters={}
    )
    job = submit(jobs, count=3)
    jobs.leases.take()
    assets = [
        gallery.add(
            released, owner="local", job_id=job.id, index=index, capability="gradient", family="", seed=0, parameters={}
        )
        for index in range(2)
    ]
    jobs.cancel(job.id, user="local")
    jobs.leases.cancelled(job.id)
    over = jobs.get(job.id, user="local")
    assert (over.status, over.asset_ids) == ("cancelled", tuple(asset.id for asset in assets))
    assert gallery.page(user="local").total == 2
    assert all(gallery.file(asset.id, user="local").read_bytes() == released.png for asset in assets)


def test_steps_and_times_of_a_finished_job_are_remembered(jobs: Jobs) -> None:
    job = submit(jobs, steps=6)
    started = now()
    jobs.leases.take()
    jobs.leases.progress(job.id, 6, 6)
    jobs.leases.done(job.id)
    over = jobs.get(job.id, user="local")
    assert (over.step, over.steps, over.message) == (6, 6, "")
    assert over.started_at is not None
    assert over.finished_at is not None
    assert started <= over.started_at <= over.finished_at
    assert over.seconds == pytest.approx((over.finished_at - over.started_at) / timedelta(seconds=1), abs=1e-6)
