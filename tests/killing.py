"""A studio whose worker and server are killed again and again while it works: ``python -m tests.killing 60 40``."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import select

from studio import Studio
from studio.settings import ROOT, Settings
from studio.store.database import AssetRow

SERVER = """
import json, sys, time
from studio import Studio
from studio.settings import Settings

studio = Studio(Settings(**json.loads(sys.argv[1])), capabilities="tests.probe:ALL", preload=False)
studio.start()
ids = [
    studio.jobs.submit(
        "gradient", {"seed": at, "steps": 4, "count": 2, "step_seconds": 0.03}, user="local", idempotency_key=str(at)
    ).id
    for at in range(int(sys.argv[2]))
]
while not all(studio.jobs.get(id, user="local").terminal for id in ids):
    time.sleep(0.1)
studio.stop()
"""


@dataclass(frozen=True)
class Outcome:
    statuses: dict[str, int]
    errors: tuple[str, ...]
    pictures: int
    rows_without_file: int
    files_without_row: int
    worker_kills: int
    server_kills: int


def kill_again_and_again(settings: Settings, *, jobs: int, kills: int, seed: int = 0) -> Outcome:
    """Run ``jobs`` jobs of two pictures, ending one process ``kills`` times in all by SIGKILL, every fourth time the
    server."""
    dice = random.Random(seed)
    killed = {"worker": 0, "server": 0}
    server = _serve(settings, jobs)
    try:
        while server.poll() is None and sum(killed.values()) < kills:
            what = "server" if sum(killed.values()) % 4 == 3 else "worker"
            worker = _worker(server)
            if worker is None:
                continue
            if dice.random() < 0.7:  # the others may be hit while they start
                _until_it_draws(server, settings)
            _stay(server, dice.uniform(0.0, 2.0))
            if what == "worker":
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()
            else:
                server.kill()
                server.wait()
                server = _serve(settings, jobs)
            killed[what] += 1
        server.wait(600)
    finally:
        server.kill()
        server.wait()
    return _look(settings, jobs, killed)


def _serve(settings: Settings, jobs: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SERVER, settings.model_dump_json(), str(jobs)], cwd=ROOT)


def _worker(server: subprocess.Popen[bytes]) -> psutil.Process | None:
    """The worker of a server, once it has one."""
    while server.poll() is None:
        try:
            for child in psutil.Process(server.pid).children():
                if "studio.worker" in child.cmdline():
                    return child
        except psutil.NoSuchProcess:
            pass
        threading.Event().wait(0.02)
    return None


def _until_it_draws(server: subprocess.Popen[bytes], settings: Settings) -> None:
    def steps() -> int:
        return sum(path.stat().st_size for path in settings.data_dir.glob("trace-*"))

    before = steps()
    while server.poll() is None and steps() == before:
        threading.Event().wait(0.02)


def _stay(server: subprocess.Popen[bytes], seconds: float) -> None:
    end = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < end:
        threading.Event().wait(0.02)


def _look(settings: Settings, jobs: int, killed: dict[str, int]) -> Outcome:
    studio = Studio(settings, capabilities="tests.probe:ALL", preload=False)  # not started
    found = studio.jobs.list(user="local", limit=500)
    assert len(found) == jobs
    with studio.database.read() as session:
        rows = set(session.scalars(select(AssetRow.id)))
    files = {path.stem for path in (settings.data_dir / "pictures").rglob("*") if path.is_file()}
    statuses: dict[str, int] = {}
    for job in found:
        statuses[job.status] = statuses.get(job.status, 0) + 1
    studio.database.engine.dispose()
    return Outcome(
        statuses,
        tuple(job.error for job in found if job.error),
        len(rows),
        len(rows - files),
        len(files - rows),
        killed["worker"],
        killed["server"],
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), min_free_disk_mb=0, watermark=False)
        began = time.monotonic()
        print(kill_again_and_again(settings, jobs=int(sys.argv[1]), kills=int(sys.argv[2])))
        print(f"{time.monotonic() - began:.0f} s")
