"""Who listens to which jobs, and how they are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from sqlalchemy import or_, select

from studio.jobs.executor import WorkerState
from studio.jobs.job import JobEvent, WorkerEvent
from studio.jobs.live import Subscription
from studio.jobs.snapshots import Snapshots
from studio.store.database import Database, JobRow


class Watchers:
    """Who listens, by job and by user. What is told is read from the database at that moment, under the lock of the
    snapshots, so that no older state can follow a newer one. Listening holds neither a thread nor a connection."""

    def __init__(self, database: Database, snapshots: Snapshots, hidden: Iterable[str]) -> None:
        self._database = database
        self._snapshots = snapshots
        self._hidden = tuple(hidden)
        self._lock = snapshots.lock
        self._by_job: dict[str, set[Subscription]] = {}
        self._by_user: dict[str, set[Subscription]] = {}
        self._closed = False

    def listen(self, subscription: Subscription, *, job: str = "", user: str = "") -> None:
        """Hear of one job, or of all of a user's jobs and of the worker. Call it under the lock of the snapshots, after
        pushing what is so far."""
        those = self._by_job.setdefault(job, set()) if job else self._by_user.setdefault(user, set())
        those.add(subscription)
        if self._closed:
            subscription.close()

    def leave(self, subscription: Subscription) -> None:
        with self._lock:
            for table in (self._by_job, self._by_user):
                for key in [key for key, those in table.items() if subscription in those]:
                    table[key].discard(subscription)
                    if not table[key]:
                        del table[key]

    def tell(self, event: JobEvent) -> None:
        job = event.job
        for subscription in self._by_job.get(job.id, ()):
            subscription.push(event)
        if job.capability not in self._hidden:
            for subscription in self._by_user.get(job.owner, ()):
                subscription.push(event)

    def tell_job(
        self, id: str, kind: Literal["state", "progress", "output"] = "state", preview: bytes | None = None
    ) -> None:
        """Tell what the database and memory say now."""
        with self._lock:
            if id not in self._by_job and not self._by_user:
                return
            with self._database.read() as session:
                row = session.scalars(select(JobRow).where(JobRow.id == id)).one()
                if id in self._by_job or row.owner in self._by_user:
                    self.tell(JobEvent(self._snapshots.of(session, [row])[0], kind, preview))

    def tell_line(self) -> None:
        """Those who wait have moved up."""
        with self._lock:
            if not (self._by_job or self._by_user):
                return
            heard = or_(JobRow.id.in_(list(self._by_job)), JobRow.owner.in_(list(self._by_user)))
            with self._database.read() as session:
                waiting = session.scalars(select(JobRow).where(JobRow.status == "queued", heard)).all()
                for job in self._snapshots.of(session, waiting):
                    self.tell(JobEvent(job, "state"))

    def tell_worker(self, state: WorkerState) -> None:
        with self._lock:
            for those in self._by_user.values():
                for subscription in those:
                    subscription.push(WorkerEvent(state))

    def close(self) -> None:
        """The server ends: so do all streams, also those that begin later."""
        with self._lock:
            self._closed = True
            for those in [*self._by_job.values(), *self._by_user.values()]:
                for subscription in those:
                    subscription.close()
