"""Makes pictures findable: asks the worker for the vectors that are missing, a few pictures at a time."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from studio.errors import StudioError
from studio.jobs import Job, Jobs
from studio.models.catalog import Catalog
from studio.store.embeddings import Embeddings
from studio.store.files import write_durably
from studio.store.library import Library

log = logging.getLogger(__name__)

MOST_PICTURES = 32
"""In one ``embed`` job; fewer where the machine is slow, so that nobody's drawing waits long behind it."""
JOB_SECONDS = 4.0
"""What an ``embed`` job should take at most."""
START_SECONDS = 1.0
"""What a process was started for goes first."""
GATHER_SECONDS = 0.2
IDLE_SECONDS = 10.0
"""Between two looks for what is missing, when nothing tells of it."""
BACKLOG = 5000
"""Ids of an owner that are looked up at once."""


@dataclass
class Work:
    """What is known about one model's missing vectors; forgotten at the end of the process."""

    backlog: dict[str, deque[tuple[str, bool]]] = field(default_factory=dict)
    """Owner -> ids, and whether they are clips."""
    unreadable: dict[str, set[str]] = field(default_factory=dict)
    size: int = 8
    """Pictures of the next job."""
    failures: int = 0
    pause_until: float = 0.0
    scan_after: float = 0.0
    error: str = ""


class Embedder:
    """One thread. ``each_round`` is called at the start of every round, ``forget`` with a model whose weights are
    others now."""

    def __init__(
        self,
        folder: Path,
        embeddings: Embeddings,
        library: Library,
        catalog: Catalog,
        jobs: Jobs,
        *,
        each_round: Callable[[], None],
        forget: Callable[[str], None],
    ) -> None:
        self._marks = folder / "models.json"
        self._embeddings = embeddings
        self._library = library
        self._catalog = catalog
        self._jobs = jobs
        self._each_round = each_round
        self._forget = forget
        self._lock = threading.Lock()
        self._work: dict[str, Work] = {}
        self._over: deque[Job] = deque()
        self._checked: set[str] = set()
        self._turn = ""
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        jobs.leases.on_finish(self._finished)

    def start(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="search", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        if self._thread:
            self._thread.join()

    def wake(self) -> None:
        """Somebody looks: see now what is missing."""
        self._wake.set()

    def trouble(self, model: str, user: str) -> tuple[set[str], str]:
        """Ids of ``user`` that could not be read, and the sentence that the last attempt failed with."""
        with self._lock:
            work = self._work.get(model, Work())
            return set(work.unreadable.get(user, ())), work.error

    def _finished(self, job: Job) -> None:
        """Called by the queue for every job that is over."""
        if job.capability == "embed" or job.asset_ids:
            self._over.append(job)
            self._wake.set()

    def _run(self) -> None:
        if self._stop.wait(START_SECONDS):
            return
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self._round()
            except StudioError as error:  # no model is here, the disk is full ...: later perhaps
                log.info("search: %s", error.message)
            except (SQLAlchemyError, OSError):
                log.exception("search")
            self._wake.wait(IDLE_SECONDS)
            self._stop.wait(GATHER_SECONDS)

    def _round(self) -> None:
        """Take in what is over, ask for the next pictures, start the next build."""
        self._each_round()
        model = self._catalog.default_for("embed").id
        with self._lock:
            work = self._work.setdefault(model, Work())
        while self._over:
            job = self._over.popleft()
            if job.capability == "embed":
                self._settle(job)
            else:
                work.backlog.setdefault(job.owner, deque()).extendleft((id, False) for id in job.asset_ids)
        self._check_weights(model)
        if time.monotonic() < work.pause_until or self._jobs.active("embed"):
            return
        if not any(work.backlog.values()):
            self._scan(model, work)
        for owner in _from(self._turn, work.backlog):
            if ids := self._take(owner, model, work):
                self._turn = owner
                try:
                    self._jobs.submit("embed", {"pictures": ids, "model": model}, user=owner, source="search")
                except StudioError as error:
                    self._pause(work, error.message)
                return

    def _settle(self, job: Job) -> None:
        """Learn from an ``embed`` job how many pictures the next may have, and what cannot be read."""
        ids: list[str] = job.request["pictures"]
        with self._lock:
            work = self._work.setdefault(job.request["model"], Work())
        known = self._embeddings.known(ids, job.request["model"])
        if job.status == "done":
            work.failures, work.error = 0, ""
            if job.seconds and (len(ids) >= work.size or (len(ids) > 1 and job.seconds > JOB_SECONDS)):
                pace = min(max(JOB_SECONDS / job.seconds, 0.25), 2.0)
                work.size = min(max(round(len(ids) * pace), 1), MOST_PICTURES)
        elif job.status == "failed":
            work.size = max(len(ids) // 4, 1)
            self._pause(work, job.error or "")
        if job.status == "done" or (job.status == "failed" and len(ids) == 1):
            with self._lock:
                work.unreadable.setdefault(job.owner, set()).update(set(ids) - known)
        work.scan_after = 0.0

    def _pause(self, work: Work, error: str) -> None:
        work.failures += 1
        work.error = error
        work.pause_until = time.monotonic() + min(5.0 * 2**work.failures, 600.0)

    def _scan(self, model: str, work: Work) -> None:
        """Find what has no vector yet, newest first, clips last."""
        began = time.monotonic()
        if began < work.scan_after:
            return
        work.backlog = {}
        for owner in self._embeddings.owners():
            lost = work.unreadable.get(owner, set())
            newest = self._embeddings.missing(owner, model, BACKLOG + len(lost))
            if found := [each for each in newest if each[0] not in lost]:
                work.backlog[owner] = deque(found)
        work.scan_after = rest(began)

    def _take(self, owner: str, model: str, work: Work) -> list[str]:
        """The next ids of an owner: pictures together, a clip alone."""
        queue = work.backlog.get(owner, deque())
        while queue:
            some = [queue.popleft()]
            while queue and not some[0][1] and not queue[0][1] and len(some) < work.size:
                some.append(queue.popleft())
            ids = list(dict.fromkeys(id for id, _ in some))
            wanted = self._library.there(ids, user=owner) - self._embeddings.known(ids, model)
            if wanted:
                return [id for id in ids if id in wanted]
        return []

    def _check_weights(self, model: str) -> None:
        """Vectors of other weights under the same name compare with nothing: forget them, and they are made again."""
        if model in self._checked:
            return
        try:
            known = json.loads(self._marks.read_text("utf-8"))
        except (OSError, ValueError):
            known = {}
        known = known if isinstance(known, dict) else {}
        mark = _fingerprint(self._catalog.location(model))
        if known.get(model, mark) != mark:
            log.info("search: %s has other weights now; all pictures are looked at again", model)
            self._embeddings.forget(model)
            self._forget(model)
        if known.get(model) != mark:
            write_durably(self._marks, json.dumps(known | {model: mark}, indent=1).encode())
        self._checked.add(model)


def _from(turn: str, owners: Iterable[str]) -> list[str]:
    """Owners in their order, beginning after the one whose turn it was."""
    return sorted(owners, key=lambda owner: (owner <= turn, owner))


def rest(began: float) -> float:
    """When a query that took from ``began`` till now may be made again: a slow one gets a twentieth of the time."""
    moment = time.monotonic()
    return moment + min(20 * (moment - began), 60.0)


def _fingerprint(folder: Path) -> str:
    """Of the files that decide what a model says: names, sizes, and the first and last megabyte of each."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".safetensors", ".json", ".txt")):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(1_000_000))
            if size > 1_000_000:
                file.seek(max(size - 1_000_000, 1_000_000))
                digest.update(file.read())
    return digest.hexdigest()
