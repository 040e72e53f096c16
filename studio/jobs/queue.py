"""The durable queue as surfaces see it. The database is the truth; no browser tab owns a job."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import shutil
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from studio.capability import Capability, Request
from studio.errors import StudioError, refusal
from studio.jobs.executor import Executor
from studio.jobs.job import ACTIVE, Job, JobEvent, WorkerEvent
from studio.jobs.lanes import LightLane
from studio.jobs.leases import Leases
from studio.jobs.live import Event, Subscription
from studio.jobs.snapshots import Snapshots
from studio.jobs.watchers import Watchers
from studio.models.catalog import Catalog
from studio.settings import Settings
from studio.store.database import Database, JobRow, ResultRow
from studio.store.library import Library
from studio.store.words import Words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Jobs:
    """Every method that takes ``user`` raises the same `StudioError` 404 for an unknown job and for another owner's.

    Executors work through ``leases``, and ``light`` is the rule of what may run beside a drawing.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        library: Library,
        words: Words,
        catalog: Catalog,
        capabilities: Iterable[Capability],
    ) -> None:
        self._settings = settings
        self._database = database
        self._library = library
        self._words = words
        self._catalog = catalog
        self._capabilities = {capability.name: capability for capability in capabilities}
        self._hidden = [each.name for each in self._capabilities.values() if each.hidden]
        self._snapshots = Snapshots()
        self._watchers = Watchers(database, self._snapshots, self._hidden)
        self._openers = ThreadPoolExecutor(4, "watch")
        """Read what a stream begins with, so that nothing else that threads are short of can keep one from it."""
        self.light = LightLane(settings, catalog)
        self.leases = Leases(database, self._snapshots, self._watchers)

    def attach(self, executor: Executor) -> None:
        """Name the executor that `submit` and `cancel` wake."""
        self._snapshots.executor = executor

    def submit(
        self,
        capability: str,
        request: Request | Mapping[str, Any],
        *,
        user: str,
        source: str = "api",
        idempotency_key: str | None = None,
        priority: int | None = None,
    ) -> Job:
        """Check, fill in and queue a request; never waits for the model.

        The same ``idempotency_key`` with the same request returns the job that it made the first time. ``priority``
        replaces the capability's own, such as when somebody waits for what is done unasked otherwise. Raises
        `StudioError`: 404 unknown capability, picture or board, 422 bad request, 409 key reused, 429 queue full,
        507 disk full.
        """
        known = self._capabilities.get(capability)
        if known is None:
            names = ", ".join(self._capabilities)
            raise StudioError(f"There is no capability '{capability[:64]}'; choose one of: {names}.", status=404)
        if idempotency_key is not None and not 0 < len(idempotency_key) <= 255:
            raise StudioError("An idempotency key needs 1 to 255 characters.", field="idempotency_key")
        if not isinstance(request, Request):
            try:
                request = known.request.model_validate(request)
            except ValidationError as error:
                raise refusal(error.errors()) from error
        asked = json.dumps([capability, request.model_dump(mode="json")], sort_keys=True)
        resolved = self._library.resolve(request, user)
        adopted = known.adopt(resolved, partial(self._library.source, user=user), self._catalog)
        prepared = known.prepare(adopted, self._catalog)
        known.check(prepared, self._words.of(user), self._catalog)
        row = JobRow(
            id=secrets.token_hex(16),
            owner=user,
            capability=capability,
            family=str(getattr(prepared, "model", "")),
            request=prepared.model_dump(mode="json"),
            source=source,
            idempotency_key=idempotency_key,
            fingerprint=hashlib.sha256(asked.encode()).hexdigest(),
            priority=known.priority if priority is None else priority,
            work=known.work(prepared),
            light=self.light.takes(known, prepared, known.priority if priority is None else priority),
        )
        try:
            if idempotency_key and (earlier := self._earlier(row)):
                return earlier
            self._check_disk()
            with self._database.write() as session:
                others = select(func.count()).where(JobRow.status == "queued", JobRow.capability.not_in(self._hidden))
                waiting = session.scalar(others) or 0
                if waiting >= self._settings.max_queued_jobs and not known.hidden:
                    raise StudioError(
                        f"The queue is full ({waiting} jobs wait): try again when some are done.", status=429
                    )
                session.add(row)
        except IntegrityError:
            if earlier := self._earlier(row):  # the same key came twice at the same moment
                return earlier
            raise
        except OperationalError as error:
            if "full" in str(error.orig):
                raise self._disk_full() from error
            raise StudioError("The database is busy: try again in a minute.", status=503) from error
        self._watchers.tell_job(row.id)
        if self._snapshots.executor:
            self._snapshots.executor.submitted()
        return self.get(row.id, user=user)

    def get(self, id: str, *, user: str) -> Job:
        with self._database.read() as session:
            return self._snapshots.of(session, [_owned(session, id, user)])[0]

    def results(self, id: str, *, user: str, after: int = -1, limit: int = 5000) -> Sequence[dict[str, Any]]:
        """The records of a job so far, by index: {"index": ..., and what the capability says}. ``after`` is the last
        index that is known already."""
        query = select(ResultRow.index, ResultRow.data).where(ResultRow.job_id == id, ResultRow.index > after)
        with self._database.read() as session:
            _owned(session, id, user)
            rows = session.execute(query.order_by(ResultRow.index).limit(max(1, min(limit, 5000)))).all()
        return [{"index": index, **data} for index, data in rows]

    def list(
        self, *, user: str, active: bool = False, limit: int = 50, hidden: bool = False, capability: str | None = None
    ) -> list[Job]:
        """Newest first; ``active`` leaves out what is over, ``hidden`` adds the studio's own work."""
        query = select(JobRow).where(JobRow.owner == user).order_by(JobRow.number.desc()).limit(max(1, min(limit, 500)))
        if active:
            query = query.where(JobRow.status.in_(ACTIVE))
        if not hidden:
            query = query.where(JobRow.capability.not_in(self._hidden))
        if capability is not None:
            query = query.where(JobRow.capability == capability)
        with self._database.read() as session:
            return self._snapshots.of(session, session.scalars(query).all())

    def wait(self, id: str, *, user: str, timeout: float) -> Job:
        """The job once it is over, or as it is after ``timeout`` seconds. Blocks its thread."""
        wake = threading.Event()
        subscription = self._follow(id, user, wake.set)
        end = time.monotonic() + timeout
        try:
            while not subscription.over and wake.wait(max(end - time.monotonic(), 0)):
                wake.clear()
                subscription.take()
        finally:
            self._watchers.leave(subscription)
        return self.get(id, user=user)

    async def await_end(self, id: str, *, user: str, timeout: float) -> Job:
        """`wait` for an event loop, which it never blocks."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                async for _ in self.aevents(id, user=user):
                    pass
        return await self._aside(lambda: self.get(id, user=user))

    def cancel(self, id: str, *, user: str) -> Job:
        """Stop a running job within one step, a queued one at once. What it has finished by then stays."""
        with self._database.write() as session:
            row = _owned(session, id, user, lock=True)
            status = row.status
            if status in ACTIVE:
                row.cancel_requested = True
        if status == "queued":
            self.leases.cancelled(id)
        elif status == "running" and self._snapshots.executor:
            self._snapshots.executor.cancel(id)
        return self.get(id, user=user)

    def events(self, id: str, *, user: str) -> Generator[JobEvent, None, None]:
        """A snapshot first, then every change, the terminal one last (or the end of the server). Blocks its thread."""
        wake = threading.Event()
        subscription = self._follow(id, user, wake.set)
        try:
            while wake.wait():
                wake.clear()
                for event in subscription.take():
                    assert isinstance(event, JobEvent)
                    yield event
                if subscription.over:
                    return
        finally:
            self._watchers.leave(subscription)

    async def aevents(self, id: str, *, user: str) -> AsyncGenerator[JobEvent, None]:
        """`events` for an event loop, which it never blocks. Waiting holds no thread and no connection."""
        async for event in self._stream(lambda wake: self._follow(id, user, wake)):
            assert isinstance(event, JobEvent)
            yield event

    def aevents_all(self, *, user: str) -> AsyncGenerator[JobEvent | WorkerEvent, None]:
        """How the worker is and every active job of ``user``, then every change of both and every new job, until the
        server ends or the reader lets too much pile up. The studio's own jobs are left out."""
        return self._stream(lambda wake: self._follow_all(user, wake))

    def active(self, capability: str) -> bool:
        """Whether anybody's job of this kind waits or runs."""
        query = select(JobRow.id).where(JobRow.capability == capability, JobRow.status.in_(ACTIVE)).limit(1)
        with self._database.read() as session:
            return session.scalar(query) is not None

    def read(self, family: str, texts: Sequence[str]) -> Future[NDArray[np.float32]]:
        """`Executor.read`: words as vectors, without a job."""
        if self._snapshots.executor is None:
            raise StudioError("Nothing runs that could read words: start the studio.", status=503)
        return self._snapshots.executor.read(family, texts)

    def why_waiting(self, family: str) -> str:
        """Why an answer by this family is not there yet: half a sentence for the user."""
        state = self._snapshots.executor.state() if self._snapshots.executor else None
        lane = state.light if state and self.light.fits(family) else state
        if state is None or lane is None or lane.status in ("starting", "stopped"):
            return "the model is being loaded"
        return "the studio is busy with another job" if lane is state else "this computer is busy"

    def recover(self) -> None:
        """At start, before the executor: take up again what the last end of the server left."""
        self.leases.recover()
        over = JobRow.capability.in_(self._hidden), JobRow.status.not_in(ACTIVE)
        with self._database.write() as session:  # the studio's own jobs: nobody asks for their history
            session.execute(delete(ResultRow).where(ResultRow.job_id.in_(select(JobRow.id).where(*over))))
            session.execute(delete(JobRow).where(*over))

    def close(self) -> None:
        """End all event streams."""
        self._watchers.close()

    # -- inside --------------------------------------------------------------------------------------------------

    def _earlier(self, row: JobRow) -> Job | None:
        same_key = select(JobRow).where(JobRow.owner == row.owner, JobRow.idempotency_key == row.idempotency_key)
        with self._database.read() as session:
            earlier = session.scalars(same_key).first()
            if earlier is None:
                return None
            if earlier.fingerprint != row.fingerprint:
                raise StudioError(
                    "This idempotency key was used for another request: use a new key.",
                    field="idempotency_key",
                    status=409,
                )
            return self._snapshots.of(session, [earlier])[0]

    def _check_disk(self) -> None:
        if shutil.disk_usage(self._settings.data_dir).free < self._settings.min_free_disk_mb * 1_000_000:
            raise self._disk_full()

    def _disk_full(self) -> StudioError:
        return StudioError(
            f"The disk of {self._settings.data_dir} has less than {self._settings.min_free_disk_mb} MB free: "
            "free some space, or set STUDIO_DATA_DIR to a larger disk.",
            status=507,
        )

    def _follow(self, id: str, user: str, wake: Callable[[], None]) -> Subscription:
        """One job, beginning with a snapshot."""
        subscription = Subscription(wake)
        with self._snapshots.lock:
            job = self.get(id, user=user)
            live = self._snapshots.running.get(id)
            subscription.push(JobEvent(job, "state", live.preview if live else None))
            self._watchers.listen(subscription, job=id)
        return subscription

    def _follow_all(self, user: str, wake: Callable[[], None]) -> Subscription:
        """The worker and all jobs of a user, beginning with what is active, oldest first."""
        subscription = Subscription(wake, lasting=True)
        with self._snapshots.lock:
            if self._snapshots.executor:
                subscription.push(WorkerEvent(self._snapshots.executor.state()))
            for job in reversed(self.list(user=user, active=True, limit=500)):
                live = self._snapshots.running.get(job.id)
                subscription.push(JobEvent(job, "state", live.preview if live else None))
            self._watchers.listen(subscription, user=user)
        return subscription

    async def _stream(self, follow: Callable[[Callable[[], None]], Subscription]) -> AsyncGenerator[Event, None]:
        loop, wake = asyncio.get_running_loop(), asyncio.Event()

        def notify() -> None:
            with suppress(RuntimeError):  # the loop is gone, and its reader with it
                loop.call_soon_threadsafe(wake.set)

        opening = asyncio.ensure_future(self._aside(lambda: follow(notify)))
        try:
            subscription = await asyncio.shield(opening)
        except asyncio.CancelledError:  # who asked has left; so will the subscription that is being made
            opening.add_done_callback(lambda done: done.exception() or self._watchers.leave(done.result()))
            raise
        try:
            while await wake.wait():
                wake.clear()
                for event in subscription.take():
                    yield event
                if subscription.over:
                    return
        finally:
            self._watchers.leave(subscription)

    async def _aside(self, read: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._openers, read)


def _owned(session: Session, id: str, user: str, *, lock: bool = False) -> JobRow:
    query = select(JobRow).where(JobRow.id == id, JobRow.owner == user)
    row = session.scalars(query.with_for_update() if lock else query).first()
    if row is None:
        raise StudioError("There is no such job: check its id.", status=404)
    return row
