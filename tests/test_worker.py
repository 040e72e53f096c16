"""Running jobs: one contract for both executors, and what the supervised process survives."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from PIL import Image

from studio import Studio
from studio.errors import StudioError
from studio.jobs import Job, JobEvent, WorkerState
from studio.settings import ROOT, Settings
from studio.worker import Patience, Supervisor, messages
from tests.killing import kill_again_and_again

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds after which a wait in these tests is a failure."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    # The watermark imports torch at its first picture: not what these tests are about.
    return Settings(data_dir=tmp_path / "data", min_free_disk_mb=0, watermark=False)


@pytest.fixture(scope="class", params=["process", "inprocess"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A running studio for a whole class: the jobs of its tests do not meet."""
    folder = tmp_path_factory.mktemp("studio")
    settings = Settings(data_dir=folder, min_free_disk_mb=0, watermark=False, executor=request.param)
    studio = Studio(settings, capabilities="tests.probe:ALL", preload=False)
    studio.start()
    yield studio
    studio.stop()


def submit(studio: Studio, user: str = "local", **request: Any) -> Job:
    return studio.jobs.submit("gradient", request, user=user)


def follow(studio: Studio, job: Job) -> list[JobEvent]:
    return list(studio.jobs.events(job.id, user=job.owner))


def at_step(studio: Studio, job: Job, step: int) -> Job:
    """The job as soon as it has made ``step`` steps."""
    for event in studio.jobs.events(job.id, user=job.owner):
        if event.job.step >= step:
            return event.job
        assert not event.job.terminal, event.job
    raise AssertionError("the stream ended")


def until(read: Callable[[], T], right: Callable[[T], bool]) -> T:
    end = time.monotonic() + PATIENCE
    while not right(value := read()):
        assert time.monotonic() < end, value
        time.sleep(0.05)
    return value


def steps_made(settings: Settings, seed: int) -> list[int]:
    """Steps that the probe really made for a seed, over all attempts."""
    trace = settings.data_dir / f"trace-{seed}"
    return [int(line) for line in trace.read_text().split()] if trace.exists() else []


def pictures(settings: Settings) -> list[Path]:
    return [path for path in (settings.data_dir / "pictures").rglob("*") if path.is_file()]


def content(studio: Studio, job: Job) -> list[bytes]:
    return [studio.gallery.file(id, user=job.owner).read_bytes() for id in job.asset_ids]


class TestEveryExecutor:
    """The contract. A new executor joins by one more parameter of ``either``."""

    def test_a_job_runs_and_its_events_tell_every_step(self, either: Studio) -> None:
        events = follow(either, submit(either, seed=1, steps=5, count=2, step_seconds=0.05))
        steps = [event.job.step for event in events if event.kind == "progress"]
        assert steps == sorted(steps)
        assert steps[-1] == 10
        assert {event.job.steps for event in events if event.kind == "progress"} == {10}
        assert any(event.preview and event.preview[8:12] == b"WEBP" for event in events)
        assert [len(event.job.asset_ids) for event in events if event.kind == "output"] == [1, 2]
        over = events[-1].job
        assert (over.status, over.attempt, over.error) == ("done", 1, None)
        assert over.notes == ("Drawn by a probe.",)
        assets = [either.gallery.get(id, user="local") for id in over.asset_ids]
        assert [(asset.index, asset.seed, asset.job_id) for asset in assets] == [(0, 1, over.id), (1, 2, over.id)]

    def test_the_same_seed_gives_the_same_bytes(self, either: Studio) -> None:
        same = [content(either, follow(either, submit(either, seed=seed))[-1].job) for seed in (4, 4, 5)]
        assert same[0] == same[1] != same[2]

    def test_cancel_stops_at_the_next_step_and_keeps_what_is_finished(self, either: Studio) -> None:
        job = submit(either, user="ann", seed=9, steps=2, count=4, step_seconds=1.0)
        seen = at_step(either, job, 3)
        assert len(seen.asset_ids) == 1  # the first picture is already in the gallery
        either.jobs.cancel(job.id, user="ann")
        made = steps_made(either.settings, 9)[-1]
        over = follow(either, job)[-1].job
        assert (over.status, over.asset_ids) == ("cancelled", seen.asset_ids)
        assert steps_made(either.settings, 9)[-1] <= made + 1
        assert [asset.id for asset in either.gallery.page(user="ann").assets] == list(seen.asset_ids)
        alone = follow(either, submit(either, seed=9, steps=2))[-1].job
        assert content(either, over) == content(either, alone)  # whole, as if nothing had been cancelled
        assert follow(either, submit(either))[-1].job.status == "done"

    def test_only_the_owner_can_cancel_or_watch(self, either: Studio) -> None:
        job = submit(either, steps=8, step_seconds=0.1)
        at_step(either, job, 1)
        for attempt in (either.jobs.cancel, either.jobs.get):
            with pytest.raises(StudioError) as caught:
                attempt(job.id, user="eve")
            assert caught.value.status == 404
        with pytest.raises(StudioError):
            next(either.jobs.events(job.id, user="eve"))
        over = follow(either, job)[-1].job
        assert over.status == "done"
        assert either.gallery.page(user="eve").total == 0
        with pytest.raises(StudioError):
            either.gallery.file(over.asset_ids[0], user="eve")

    def test_a_reader_who_left_comes_back_to_the_running_job(self, either: Studio) -> None:
        job = submit(either, steps=10, step_seconds=0.1)
        first = at_step(either, job, 2)
        events = follow(either, job)
        assert events[0].job.step >= first.step
        assert (events[0].job.status, events[-1].job.status) == ("running", "done")

    def test_jobs_run_one_after_the_other_in_order(self, either: Studio) -> None:
        waiting = [submit(either, steps=3, step_seconds=0.02) for _ in range(3)]
        over = [follow(either, job)[-1].job for job in waiting]
        times = [moment for job in over for moment in (job.started_at, job.finished_at) if moment]
        assert len(times) == 6
        assert times == sorted(times)

    def test_a_small_answer_does_not_wait_behind_a_drawing(self, either: Studio) -> None:
        pictures = []  # three: the same one named three times is one, and that is a small answer too
        for colour in ("red", "lime", "blue"):
            buffer = io.BytesIO()
            Image.new("RGB", (16, 16), colour).save(buffer, "PNG")
            pictures.append(either.library.add(buffer.getvalue(), f"{colour}.png", user="local").id)
        drawing = submit(either, steps=1000, step_seconds=0.1)
        at_step(either, drawing, 1)
        small = either.jobs.submit("look", {"pictures": pictures[:1]}, user="local")
        large = either.jobs.submit("look", {"pictures": pictures}, user="local")
        over = either.jobs.wait(small.id, user="local", timeout=PATIENCE)
        assert (over.status, over.results) == ("done", 1)
        assert either.jobs.get(large.id, user="local").status == "queued"
        assert either.jobs.cancel(drawing.id, user="local").status == "running"
        assert follow(either, large)[-1].job.status == "done"

    def test_a_refusal_inside_the_job_names_its_field(self, either: Studio) -> None:
        over = follow(either, submit(either, fault="refuse"))[-1].job
        assert (over.status, over.error, over.error_field) == (
            "failed",
            "The probe refuses: ask for no fault.",
            "fault",
        )

    def test_an_unexpected_error_is_one_sentence_and_the_next_job_runs(self, either: Studio) -> None:
        over = follow(either, submit(either, fault="error"))[-1].job
        assert over.status == "failed"
        assert over.error is not None
        assert "ValueError: the probe was told to fail" in over.error
        assert "\n" not in over.error
        assert follow(either, submit(either))[-1].job.status == "done"

    def test_a_command_that_cannot_be_done_says_why(self, either: Studio) -> None:
        until(either.executor.state, lambda state: state.status == "ready")
        either.executor.command("load", "no-such-model")
        state = until(either.executor.state, lambda state: "no-such-model" in state.message)
        assert "There is no model called" in state.message
        assert follow(either, submit(either))[-1].job.status == "done"


@pytest.mark.parametrize("executor", ["process", "inprocess"])
def test_stop_gives_the_running_job_back_and_the_next_start_ends_it(
    launch: Callable[..., Studio], executor: str
) -> None:
    first = launch(executor=executor)
    job = submit(first, seed=3, steps=10, step_seconds=0.1)
    at_step(first, job, 2)
    first.stop()
    assert first.executor.state().status == "stopped"
    again = launch(executor=executor)
    over = follow(again, job)[-1].job
    assert (over.status, over.attempt) == ("done", 1)
    assert content(again, over) == content(again, follow(again, submit(again, seed=3, steps=10))[-1].job)


# -- the supervised process --------------------------------------------------------------------------------------------


def ready(studio: Studio) -> WorkerState:
    return until(studio.executor.state, lambda state: state.status == "ready")


def kill_worker(studio: Studio) -> int:
    pid = studio.executor.state().pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    return pid


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("step", [3, 12])
def test_a_job_survives_kill_9_of_its_worker_with_the_same_bytes(studio: Studio, settings: Settings, step: int) -> None:
    undisturbed = content(studio, follow(studio, submit(studio, seed=11, count=2, steps=8))[-1].job)
    job = submit(studio, seed=11, count=2, steps=8, step_seconds=0.1)
    before = at_step(studio, job, step)
    pid = kill_worker(studio)
    over = follow(studio, job)[-1].job
    assert (over.status, over.attempt, over.request) == ("done", 2, job.request)
    assert content(studio, over) == undisturbed
    if step > 8:  # the picture that was finished before the kill is the one that is kept
        assert over.asset_ids[:1] == before.asset_ids
    assert len(pictures(settings)) == 4
    state = ready(studio)
    assert state.pid != pid
    assert state.restarts == 1


def test_kill_9_between_jobs_is_repaired(studio: Studio) -> None:
    ready(studio)
    kill_worker(studio)
    until(studio.executor.state, lambda state: state.restarts == 1)
    assert follow(studio, submit(studio))[-1].job.status == "done"


def test_cancel_wins_over_the_second_attempt(studio: Studio, settings: Settings) -> None:
    job = submit(studio, seed=2, steps=6, fault="die-once", fault_step=4, step_seconds=0.1)
    at_step(studio, job, 2)
    os.kill(studio.executor.state().pid or 0, signal.SIGSTOP)
    assert studio.jobs.cancel(job.id, user="local").status == "running"
    kill_worker(studio)
    over = follow(studio, job)[-1].job
    assert (over.status, over.asset_ids, pictures(settings)) == ("cancelled", (), [])


def test_a_job_that_kills_every_worker_fails_and_the_next_one_runs(launch: Callable[..., Studio]) -> None:
    studio = launch()
    assert isinstance(studio.executor, Supervisor)
    poison, healthy = submit(studio, fault="die-always"), submit(studio)
    over = follow(studio, poison)[-1].job
    assert (over.status, over.attempt) == ("failed", 3)
    assert over.error is not None
    assert "3 times in this job" in over.error
    assert follow(studio, healthy)[-1].job.status == "done"


def supervise(studio: Studio, **options: Any) -> Studio:
    """Give a studio that is not started yet a supervisor with other limits."""
    studio.executor = Supervisor(studio.settings, studio.jobs, capabilities="tests.probe:ALL", preload=False, **options)
    studio.jobs.attach(studio.executor)
    return studio


@pytest.fixture
def hasty(settings: Settings) -> Iterator[Studio]:
    """A studio that takes two seconds without a step for a hang."""
    studio = supervise(Studio(settings, capabilities="tests.probe:ALL"), patience=Patience(hang=2.0))
    studio.start()
    yield studio
    studio.stop()


def test_a_worker_that_hangs_is_replaced_and_the_job_done(hasty: Studio) -> None:
    job = submit(hasty, seed=6, steps=6, fault="hang-once", fault_step=4, step_seconds=0.02)
    messages = {event.job.message for event in follow(hasty, job)}
    over = hasty.jobs.get(job.id, user="local")
    assert (over.status, over.attempt) == ("done", 2)
    assert "The worker made no progress for 2 seconds: starting again" in messages


def test_an_idle_worker_whose_heart_stops_is_replaced(hasty: Studio) -> None:
    state = ready(hasty)
    os.kill(state.pid or 0, signal.SIGSTOP)
    until(hasty.executor.state, lambda now: now.restarts == 1)
    assert follow(hasty, submit(hasty))[-1].job.status == "done"


def test_a_slow_step_is_no_hang(settings: Settings) -> None:
    studio = supervise(Studio(settings, capabilities="tests.probe:ALL"), patience=Patience(hang=0.3))
    studio.start()
    try:
        ready_or_later = submit(studio, steps=4, step_seconds=0.5)
        over = follow(studio, ready_or_later)[-1].job
        assert (over.status, over.attempt) == ("done", 1)
    finally:
        studio.stop()


def test_a_worker_that_cannot_start_says_so_and_takes_no_job(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "missing_in_the_worker.py").write_text(
        f"import os\nfrom tests.probe import ALL\nif os.getpid() != {os.getpid()}:\n"
        "    raise ImportError('no accelerator')\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        studio = Studio(settings, capabilities="missing_in_the_worker:ALL", preload=False)
        eager = Patience(backoff=(0.0,))
        studio.executor = Supervisor(
            settings, studio.jobs, capabilities="missing_in_the_worker:ALL", preload=False, patience=eager
        )
        studio.jobs.attach(studio.executor)
        studio.start()
        job = submit(studio)
        state = until(studio.executor.state, lambda now: now.message != "")
        assert "The worker does not start (ImportError: no accelerator)" in state.message
        assert studio.jobs.get(job.id, user="local").status == "queued"
        studio.stop()
    finally:
        sys.path.remove(str(tmp_path))


def test_what_a_capability_prints_does_not_disturb_the_pipe(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "chatty.py").write_text(
        "import os, subprocess, sys\n"
        "from tests.probe import Gradient\n"
        "class Chatty(Gradient):\n"
        "    def run(self, request, context):\n"
        "        print('hello' * 5000, flush=True)\n"
        "        os.write(1, b'raw')\n"
        "        subprocess.run([sys.executable, '-c', 'print(input())'], check=False)\n"
        "        yield from super().run(request, context)\n"
        "ALL = (Chatty(),)\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        studio = Studio(settings, capabilities="chatty:ALL", preload=False)
        studio.start()
        assert follow(studio, submit(studio))[-1].job.status == "done"
        studio.stop()
    finally:
        sys.path.remove(str(tmp_path))


# -- the whole server --------------------------------------------------------------------------------------------------

SERVER = """
import json, sys, time
from studio import Studio
from studio.settings import Settings

studio = Studio(Settings(**json.loads(sys.argv[1])), capabilities="tests.probe:ALL", preload=False)
studio.start()
done = studio.jobs.submit("gradient", {"seed": 1, "steps": 2}, user="local")
assert list(studio.jobs.events(done.id, user="local"))[-1].job.status == "done"
running = studio.jobs.submit("gradient", {"seed": 2, "steps": 10, "count": 2, "step_seconds": 0.3}, user="local")
cancelled = studio.jobs.submit("gradient", {"seed": 3}, user="local")
waiting = studio.jobs.submit("gradient", {"seed": 4, "steps": 3}, user="eve")
studio.jobs.cancel(cancelled.id, user="local")
for event in studio.jobs.events(running.id, user="local"):
    if event.job.step >= 12:
        break
ids = {"done": done.id, "running": running.id, "cancelled": cancelled.id, "waiting": waiting.id}
print(json.dumps({**ids, "worker": studio.executor.state().pid}), flush=True)
time.sleep(600)
"""


def test_kill_9_of_the_server_loses_nothing_and_leaves_no_orphan(
    settings: Settings, launch: Callable[..., Studio]
) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, settings.model_dump_json()], stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        assert server.stdout
        told = json.loads(server.stdout.readline())
        server.kill()
        server.wait()
        until(lambda: gone(told["worker"]), bool)
    finally:
        server.kill()
    studio = launch()
    jobs = {name: studio.jobs.get(told[name], user="local") for name in ("done", "running", "cancelled")}
    assert (jobs["done"].status, len(jobs["done"].asset_ids)) == ("done", 1)
    assert jobs["cancelled"].status == "cancelled"
    assert len(jobs["running"].asset_ids) == 1
    over = follow(studio, jobs["running"])[-1].job
    assert (over.status, over.attempt) == ("done", 1)  # the end of the server is not the job's own loss
    assert over.asset_ids[:1] == jobs["running"].asset_ids
    theirs = follow(studio, studio.jobs.get(told["waiting"], user="eve"))[-1].job
    assert (theirs.status, theirs.attempt) == ("done", 1)
    assert theirs.created_at > over.created_at
    assert studio.gallery.page(user="local").total == 3
    fresh = follow(studio, submit(studio, seed=2, steps=10, count=2))[-1].job
    assert content(studio, over) == content(studio, fresh)
    for asset in studio.gallery.page(user="local").assets:
        assert not asset.missing


def test_a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on(
    studio: Studio, settings: Settings
) -> None:
    code = (
        "import sys; from studio import Studio; from studio.settings import Settings\n"
        "Studio(Settings.model_validate_json(sys.argv[1]), capabilities='tests.probe:ALL').start()"
    )
    second = subprocess.run(
        [sys.executable, "-c", code, settings.model_dump_json()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert second.returncode != 0
    assert "Another studio is already running" in second.stderr
    assert follow(studio, submit(studio))[-1].job.status == "done"


# -- the whole path with a real pipeline -------------------------------------------------------------------------------


def test_a_sentence_becomes_the_same_picture_in_two_workers(tmp_path: Path) -> None:
    from studio.drawing.restore import restore
    from studio.media.images import open_image, read_parameters
    from studio.media.parameters import read_settings
    from studio.trust import read_watermark
    from tests import tiny

    settings = tiny.settings(tmp_path, min_free_disk_mb=0)
    tiny.place("starter", settings)
    studio = Studio(settings)
    studio.start()
    try:
        state = until(studio.executor.state, lambda now: bool(now.residents) or now.restarts > 0)
        assert [each.family for each in state.residents] == ["starter"]  # loaded before anyone asked
        assert state.hardware is not None
        assert (state.device, state.hardware.device) == ("cpu", "cpu")
        request = {"prompt": "a red apple on a blue background", "seed": 7, "steps": 2}
        events = follow(studio, studio.jobs.submit("text-to-image", request, user="local"))
        over = events[-1].job
        assert (over.status, over.error) == ("done", None)
        assert [event.job.step for event in events if event.kind == "progress"][-1] == 2
        [picture] = content(studio, over)
        parameters = read_parameters(picture)
        assert parameters is not None
        assert (parameters["prompt"], parameters["seed"], parameters["steps"]) == (request["prompt"], 7, 2)
        assert read_watermark(open_image(picture)) == parameters["watermark"]["key"]
        found = read_settings(picture)
        assert found is not None
        assert restore(found, studio.capabilities["text-to-image"], studio.catalog).not_restored == []
        assert studio.gallery.get(over.asset_ids[0], user="local").parameters == parameters
        kill_worker(studio)
        again = follow(studio, studio.jobs.submit("text-to-image", request, user="local"))[-1].job
        assert content(studio, again) == [picture]
        studio.executor.command("unload", "starter")
        until(studio.executor.state, lambda now: now.status == "ready" and not now.residents)
    finally:
        studio.stop()


def test_kills_of_worker_and_server_cost_nobody_a_job(settings: Settings) -> None:
    """Few of each, for the time that it takes; ``python -m tests.killing 60 40`` is the whole of it."""
    outcome = kill_again_and_again(settings, jobs=10, kills=6)
    assert (outcome.statuses, outcome.errors, outcome.pictures) == ({"done": 10}, (), 20)
    assert (outcome.rows_without_file, outcome.files_without_row) == (0, 0)
    assert outcome.worker_kills and outcome.server_kills


def test_what_is_no_message_is_an_error() -> None:
    told = messages.Progress("a", 1, 2, "Drawing", b"webp")
    pipe = io.BytesIO(messages.encode(told) + messages.encode(messages.Beat()) + b"\0\0\0")
    assert [messages.read(pipe), messages.read(pipe), messages.read(pipe)] == [told, messages.Beat(), None]
    for header in (
        b'{"type": "Sculpt", "id": "a"}',
        b'{"type": "Run"}',
        b'{"type": "Run", "id": 1}',
        b'{"type": "Run", "id": "a", "more": 1}',
        b'{"id": "a"}',
        b"[]",
        b"{",
        b"\xff",
    ):
        with pytest.raises(messages.ProtocolError):
            messages.decode(header, b"")
    with pytest.raises(messages.ProtocolError):
        messages.decode(b'{"type": "Run", "id": "a"}', b"unexpected")
