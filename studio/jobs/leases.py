"""The executor's side of the queue: who is next, how far it is, how it ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Select, exists, select, update
from sqlalchemy.orm import Session

from studio.jobs.executor import Lane, WorkerState
from studio.jobs.job import ACTIVE, Job, Status
from studio.jobs.live import Live
from studio.jobs.snapshots import Snapshots, in_line
from studio.jobs.watchers import Watchers
from studio.store.database import AssetRow, Database, JobRow, ResultRow, now

log = logging.getLogger(__name__)

MAX_LOSSES = 10
"""Workers that may die with a job without anything new being kept."""
MAX_LOSSES_THERE = 3
"""In a row at the same step: what is wrong with a job comes back at the same place, what befalls it does not."""
MAX_STOPS = 10
"""Ends of the server that a job may see while it runs. They are not its fault, but one that causes them must end."""
SAVE_EVERY = 2.0
"""Seconds between step updates of a row; subscribers see every step."""


class Leases:
    """Jobs in the hands of the executor. Any thread may call; `on_finish` is told of every end."""

    def __init__(self, database: Database, snapshots: Snapshots, watchers: Watchers) -> None:
        self._database = database
        self._snapshots = snapshots
        self._watchers = watchers
        self._lock = snapshots.lock
        self._running = snapshots.running
        self._on_finish: list[Callable[[Job], None]] = []

    def on_finish(self, callback: Callable[[Job], None]) -> None:
        """Have every job told that is over, whatever its end; the executor waits meanwhile, so be brief."""
        self._on_finish.append(callback)

    def worker(self, state: WorkerState) -> None:
        """The worker is in another state than before."""
        self._watchers.tell_worker(state)

    def take(self, lane: Lane = "main") -> Job | None:
        """Hand the next job to the worker that asks, to the light lane a small answer only. The one place that decides
        who is next: see `in_line`."""
        if not self.waiting(lane):
            return None
        resident = self._snapshots.resident(lane)
        with self._database.write() as session:
            row = session.scalars(_line_of(lane).with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            row.status, row.started_at, row.attempt = "running", now(), row.attempt + 1
            row.step, row.steps, row.message = 0, 0, ""
        with self._lock, self._database.read() as session:
            cold = bool(row.family) and row.family not in resident
            self._running[row.id] = Live(cold, self._snapshots.estimates.of(session, row, cold), lane)
            job = self._snapshots.of(session, [row])[0]
        with self._lock:
            self._watchers.tell_job(row.id)
            self._watchers.tell_line()
        return job

    def waiting(self, lane: Lane) -> bool:
        """Whether `take` would find something."""
        with self._database.read() as session:
            return session.scalars(_line_of(lane)).first() is not None

    def progress(self, id: str, step: int, steps: int, message: str = "", preview: bytes | None = None) -> None:
        with self._lock:
            live = self._running.get(id)
            if live is None:
                return
            live.advance(step, steps, message, preview)
            due = time.monotonic() - live.saved_at > SAVE_EVERY
            if due:
                live.saved_at = time.monotonic()
            self._watchers.tell_job(id, "progress", preview)
        if due:
            with self._database.write() as session:
                session.execute(
                    update(JobRow)
                    .where(JobRow.id == id, JobRow.status == "running")
                    .values(step=step, steps=steps, message=message)
                )

    def output(self, id: str) -> None:
        """The worker has kept a picture or a record of this job."""
        with self._lock:
            if live := self._running.get(id):
                live.preview = None  # it showed what is finished now
        self._watchers.tell_job(id, "output")

    def step_seconds(self, id: str) -> float | None:
        """Median seconds per step of a running job; None before its second step."""
        with self._lock:
            live = self._running.get(id)
            return live.step_seconds if live else None

    def done(self, id: str, notes: Iterable[str] = ()) -> None:
        with self._lock:
            live = self._running.get(id)
            load = live.load_seconds if live else 0.0
        self._finish(id, "done", notes=list(dict.fromkeys(notes)), load_seconds=load)

    def fail(self, id: str, error: str, field: str | None = None) -> None:
        self._finish(id, "failed", error=error, error_field=field)

    def cancelled(self, id: str) -> None:
        self._finish(id, "cancelled")

    def lost(self, id: str, reason: str) -> None:
        """The worker died while it ran this job: it runs again with the same request, or fails when `MAX_LOSSES`
        workers have died, `MAX_LOSSES_THERE` of them at the same step. Once something new is kept, the counts begin
        again."""
        with self._lock:
            live = self._running.get(id)
        with self._database.read() as session:
            row = _row(session, id)
            kept = _has_kept(session, row)
        step = live.step if live else row.step
        losses = 1 if kept else row.losses + 1
        there = row.lost_there + 1 if step == row.lost_at and not kept else 1
        if losses >= MAX_LOSSES or there >= MAX_LOSSES_THERE:
            times = losses if losses >= MAX_LOSSES else there
            self._end(row, f"{reason} {times} times in this job: try a smaller size or another model.")
        else:
            self._queue_again(row, f"{reason}: starting again", losses=losses, lost_at=step, lost_there=there)

    def give_back(self, id: str) -> None:
        """The executor stops, or its worker died, before the job was begun or ended: this attempt does not count."""
        with self._database.read() as session:
            row = _row(session, id)
        self._queue_again(row, "", attempt=row.attempt - 1)

    def recover(self) -> None:
        """At start, before the executor: queue again what was running, finish what was being cancelled."""
        unfinished = select(JobRow).where((JobRow.status == "running") | JobRow.cancel_requested, _active())
        with self._database.read() as session:
            rows = session.scalars(unfinished.order_by(JobRow.number)).all()
        for row in rows:
            stops = row.stops + int(row.status == "running")
            if stops >= MAX_STOPS:
                self._end(row, f"The studio stopped {stops} times in this job: try a smaller size or another model.")
            else:
                attempt = row.attempt - int(row.status == "running")
                self._queue_again(row, "The studio stopped: starting again", attempt=attempt, stops=stops)

    # -- inside --------------------------------------------------------------------------------------------------

    def _end(self, row: JobRow, error: str) -> None:
        if row.cancel_requested:
            self.cancelled(row.id)
        else:
            self.fail(row.id, error)

    def _queue_again(self, known: JobRow, message: str, **changes: int) -> None:
        """Let a job wait again, or end it when its owner has cancelled it."""
        with self._database.write() as session:
            row = _row(session, known.id)
            again = row.status == "running" and not row.cancel_requested
            if again:
                row.status, row.started_at, row.message, row.step = "queued", None, message, 0
                for name, value in changes.items():
                    setattr(row, name, value)
        if row.cancel_requested:
            self.cancelled(row.id)
        elif again:
            with self._lock:
                self._running.pop(row.id, None)
                self._watchers.tell_job(row.id)
                self._watchers.tell_line()

    def _finish(self, id: str, status: Status, **values: Any) -> None:
        moment = now()
        with self._lock:
            live = self._running.get(id)
        with self._database.write() as session:
            row = _row(session, id)
            if row.status not in ACTIVE:
                return
            row.status, row.finished_at, row.message = status, moment, ""
            if row.started_at and status == "done":
                row.seconds = (moment - row.started_at).total_seconds()
            if live:
                row.step, row.steps = live.step, live.steps
            for name, value in values.items():
                setattr(row, name, value)
        with self._lock:
            self._running.pop(id, None)
            self._snapshots.estimates.forget(row.capability, row.family)
            self._watchers.tell_job(id)
            self._watchers.tell_line()
        if self._on_finish:
            with self._database.read() as session:
                job = self._snapshots.of(session, [row])[0]
            for callback in self._on_finish:
                try:
                    callback(job)
                except Exception:  # who listens must not stop the queue
                    log.exception("after job %s", id)


def _line_of(lane: Lane) -> Select[JobRow]:
    line = in_line().where(JobRow.cancel_requested.is_(False)).limit(1)
    return line.where(JobRow.light) if lane == "light" else line


def _has_kept(session: Session, row: JobRow) -> bool:
    """Whether the attempt that runs has kept a picture or a record."""
    if row.started_at is None:
        return False
    kept = [
        exists().where(table.job_id == row.id, table.created_at >= row.started_at) for table in (AssetRow, ResultRow)
    ]
    return any(session.scalar(select(each)) for each in kept)


def _active() -> Any:
    return JobRow.status.in_(ACTIVE)


def _row(session: Session, id: str) -> JobRow:
    return session.scalars(select(JobRow).where(JobRow.id == id)).one()
