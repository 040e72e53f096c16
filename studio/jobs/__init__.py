"""The durable queue: submit, lease, progress, cancel, retry. The database is the truth; no browser tab owns a job.

Surfaces use `Jobs.submit`, `get`, `list`, `results`, `cancel`, `wait`, `events` and `aevents`; an executor uses the
rest. No torch here.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import shutil
import statistics
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError
from sqlalchemy import Row, Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from studio.capability import Capability, Request
from studio.errors import StudioError, refusal
from studio.store.database import AssetRow, Database, JobRow, ResultRow, now

if TYPE_CHECKING:
    from studio.models.catalog import Catalog
    from studio.settings import Settings
    from studio.store.library import Library
    from studio.store.words import Words
    from studio.worker import Executor

log = logging.getLogger(__name__)

Status = Literal["queued", "running", "done", "failed", "cancelled"]
ACTIVE: tuple[Status, ...] = ("queued", "running")
MAX_ATTEMPTS = 3
SAVE_EVERY = 2.0
"""Seconds between step updates of a row; subscribers see every step."""
REMEMBERED_RUNS = 20
"""Past runs that an estimate is the median of."""


@dataclass(frozen=True)
class Job:
    """What is known about a job at one moment."""

    id: str
    owner: str
    capability: str
    family: str
    request: dict[str, Any]
    """The prepared request: seed and every default are filled in."""
    source: str
    status: Status
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    """How often it was started; more than 1 after a worker was lost."""
    step: int
    steps: int
    message: str
    error: str | None
    error_field: str | None
    seconds: float | None
    """Wall time of the attempt that finished."""
    notes: tuple[str, ...]
    asset_ids: tuple[str, ...]
    results: int
    """How many records it has given so far; `Jobs.results` has them."""
    position: int | None
    """1-based place in line while queued."""
    eta_seconds: float | None
    """Seconds until it is done, learned from past runs and from its own steps; None while unknown."""

    @property
    def terminal(self) -> bool:
        return self.status not in ACTIVE


@dataclass(frozen=True)
class JobEvent:
    job: Job
    kind: Literal["state", "progress", "output"]
    preview: bytes | None = None
    """A small WebP of the picture so far."""


class Jobs:
    """Every method that takes ``user`` raises the same `StudioError` 404 for an unknown job and for another owner's."""

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
        self._executor: Executor | None = None
        self._lock = threading.RLock()  # held only for memory and for reads, which WAL never blocks
        self._live: dict[str, _Live] = {}
        self._subscribers: dict[str, set[_Subscription]] = {}
        self._rates: dict[tuple[str, str], tuple[float | None, float]] = {}
        self._on_finish: list[Callable[[Job], None]] = []
        self._closed = False

    def attach(self, executor: Executor) -> None:
        """Name the executor that `submit` and `cancel` wake."""
        self._executor = executor

    def on_finish(self, callback: Callable[[Job], None]) -> None:
        """Have every job told that is over, whatever its end; the executor waits meanwhile, so be brief."""
        self._on_finish.append(callback)

    # -- for the surfaces ----------------------------------------------------------------------------------------

    def submit(
        self,
        capability: str,
        request: Request | Mapping[str, Any],
        *,
        user: str = "local",
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
        prepared = known.prepare(self._library.resolve(request, user), self._catalog)
        known.check(prepared, self._words.of(user))
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
        if self._executor:
            self._executor.submitted()
        return self.get(row.id, user=user)

    def get(self, id: str, *, user: str) -> Job:
        with self._database.read() as session:
            return self._snapshots(session, [_owned(session, id, user)])[0]

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
            return self._snapshots(session, session.scalars(query).all())

    def wait(self, id: str, *, user: str, timeout: float) -> Job:
        """The job once it is over, or as it is after ``timeout`` seconds. Blocks its thread."""
        wake = threading.Event()
        subscription = self._subscribe(id, user, wake.set)
        end = time.monotonic() + timeout
        try:
            while not subscription.over and wake.wait(max(end - time.monotonic(), 0)):
                wake.clear()
                subscription.take()
        finally:
            self._unsubscribe(id, subscription)
        return self.get(id, user=user)

    def cancel(self, id: str, *, user: str) -> Job:
        """Stop a running job within one step, a queued one at once. What it has finished by then stays."""
        with self._database.write() as session:
            row = _owned(session, id, user, lock=True)
            status = row.status
            if status in ACTIVE:
                row.cancel_requested = True
        if status == "queued":
            self.cancelled(id)
        elif status == "running" and self._executor:
            self._executor.cancel(id)
        return self.get(id, user=user)

    def events(self, id: str, *, user: str) -> Generator[JobEvent, None, None]:
        """A snapshot first, then every change, the terminal one last (or the end of the server). Blocks its thread."""
        wake = threading.Event()
        subscription = self._subscribe(id, user, wake.set)
        try:
            while wake.wait():
                wake.clear()
                yield from subscription.take()
                if subscription.over:
                    return
        finally:
            self._unsubscribe(id, subscription)

    async def aevents(self, id: str, *, user: str) -> AsyncGenerator[JobEvent, None]:
        """`events` for an event loop, which it never blocks."""
        loop, wake = asyncio.get_running_loop(), asyncio.Event()

        def notify() -> None:
            with suppress(RuntimeError):  # the loop is gone, and its reader with it
                loop.call_soon_threadsafe(wake.set)

        subscription = await asyncio.to_thread(self._subscribe, id, user, notify)
        try:
            while await wake.wait():
                wake.clear()
                for event in subscription.take():
                    yield event
                if subscription.over:
                    return
        finally:
            self._unsubscribe(id, subscription)

    # -- for the executor ----------------------------------------------------------------------------------------

    def lease(self) -> Job | None:
        """Hand the next job to the worker that asks. The one place that decides who is next: see `_in_line`."""
        line = _in_line().where(JobRow.cancel_requested.is_(False)).limit(1)
        with self._database.read() as session:
            if session.scalars(line).first() is None:
                return None
        resident = self._resident()
        with self._database.write() as session:
            row = session.scalars(line.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            row.status, row.started_at, row.attempt = "running", now(), row.attempt + 1
            row.step, row.steps, row.message = 0, 0, ""
        with self._lock, self._database.read() as session:
            cold = bool(row.family) and row.family not in resident
            self._live[row.id] = _Live(cold, self._estimate(session, row, cold))
            job = self._snapshots(session, [row])[0]
            self._publish(JobEvent(job, "state"))
            self._publish_line()
        return job

    def progress(self, id: str, step: int, steps: int, message: str = "", preview: bytes | None = None) -> None:
        with self._lock:
            live = self._live.get(id)
            if live is None:
                return
            live.advance(step, steps, message, preview)
            due = time.monotonic() - live.saved_at > SAVE_EVERY
            if due:
                live.saved_at = time.monotonic()
            if id in self._subscribers:
                with self._database.read() as session:
                    job = self._snapshots(session, [_row(session, id)])[0]
                self._publish(JobEvent(job, "progress", preview))
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
            if live := self._live.get(id):
                live.preview = None  # it showed what is finished now
        self._publish_state(id, "output")

    def step_seconds(self, id: str) -> float | None:
        """Median seconds per step of a running job; None before its second step."""
        with self._lock:
            live = self._live.get(id)
            return live.step_seconds if live else None

    def done(self, id: str, notes: Iterable[str] = ()) -> None:
        with self._lock:
            live = self._live.get(id)
            load = live.load_seconds if live else 0.0
        self._finish(id, "done", notes=list(dict.fromkeys(notes)), load_seconds=load)

    def fail(self, id: str, error: str, field: str | None = None) -> None:
        self._finish(id, "failed", error=error, error_field=field)

    def cancelled(self, id: str) -> None:
        self._finish(id, "cancelled")

    def lost(self, id: str, reason: str) -> None:
        """The worker died with this job: it runs again with the same request, or fails after the third time."""
        with self._database.read() as session:
            row = _row(session, id)
        if row.cancel_requested:
            self.cancelled(id)
        elif row.attempt >= MAX_ATTEMPTS:
            self.fail(id, f"{reason} {row.attempt} times in this job: try a smaller size or another model.")
        elif not self._requeue(id, f"{reason}: starting again"):
            self.cancelled(id)

    def give_back(self, id: str) -> None:
        """The executor stops before the job is done; the next start runs it, and this attempt does not count."""
        self._requeue(id, "", uncount=True)

    def recover(self) -> None:
        """At start, before the executor: queue again what was running, finish what was being cancelled."""
        unfinished = select(JobRow).where((JobRow.status == "running") | JobRow.cancel_requested, _active())
        with self._database.read() as session:
            rows = session.scalars(unfinished.order_by(JobRow.number)).all()
        for row in rows:
            self.lost(row.id, "The studio stopped")
        self._forget_hidden()

    def close(self) -> None:
        """End all event streams."""
        with self._lock:
            for subscription in [each for those in self._subscribers.values() for each in those]:
                subscription.close()
            self._closed = True

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
            return self._snapshots(session, [earlier])[0]

    def _forget_hidden(self) -> None:
        """The studio's own jobs have left what they were for elsewhere; nobody asks for their history."""
        over = JobRow.capability.in_(self._hidden), JobRow.status.not_in(ACTIVE)
        with self._database.write() as session:
            session.execute(delete(ResultRow).where(ResultRow.job_id.in_(select(JobRow.id).where(*over))))
            session.execute(delete(JobRow).where(*over))

    def _check_disk(self) -> None:
        if shutil.disk_usage(self._settings.data_dir).free < self._settings.min_free_disk_mb * 1_000_000:
            raise self._disk_full()

    def _disk_full(self) -> StudioError:
        return StudioError(
            f"The disk of {self._settings.data_dir} has less than {self._settings.min_free_disk_mb} MB free: "
            "free some space, or set STUDIO_DATA_DIR to a larger disk.",
            status=507,
        )

    def _finish(self, id: str, status: Status, **values: Any) -> None:
        moment = now()
        with self._lock:
            live = self._live.get(id)
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
            self._live.pop(id, None)
            self._rates.pop((row.capability, row.family), None)
            self._publish_state(id)
            self._publish_line()
        if self._on_finish:
            with self._database.read() as session:
                job = self._snapshots(session, [row])[0]
            for callback in self._on_finish:
                try:
                    callback(job)
                except Exception:  # who listens must not stop the queue
                    log.exception("after job %s", id)

    def _requeue(self, id: str, message: str, *, uncount: bool = False) -> bool:
        """Returns whether the job waits again; not when its owner has cancelled it meanwhile."""
        with self._database.write() as session:
            row = _row(session, id)
            if row.status == "running" and not row.cancel_requested:
                row.status, row.started_at, row.message, row.step = "queued", None, message, 0
                row.attempt -= int(uncount)
        with self._lock:
            self._live.pop(id, None)
            self._publish_state(id)
            self._publish_line()
        return row.status == "queued"

    def _snapshots(self, session: Session, rows: Sequence[JobRow]) -> list[Job]:
        assets: dict[str, list[str]] = {}
        made = select(AssetRow.job_id, AssetRow.id).where(
            AssetRow.job_id.in_([row.id for row in rows]), AssetRow.deleted_at.is_(None)
        )
        for job_id, asset_id in session.execute(made.order_by(AssetRow.index)):
            assets.setdefault(job_id, []).append(asset_id)
        counted = select(ResultRow.job_id, func.count()).where(ResultRow.job_id.in_([row.id for row in rows]))
        results = dict(session.execute(counted.group_by(ResultRow.job_id)).tuples().all())
        line = self._line(session) if any(row.status == "queued" for row in rows) else {}
        jobs = []
        for row in rows:
            position, eta = line.get(row.id, (None, None))
            job = Job(
                id=row.id,
                owner=row.owner,
                capability=row.capability,
                family=row.family,
                request=row.request,
                source=row.source,
                status=row.status,  # pyright: ignore[reportArgumentType]  # written by this module only
                created_at=row.created_at,
                started_at=row.started_at,
                finished_at=row.finished_at,
                attempt=row.attempt,
                step=row.step,
                steps=row.steps,
                message=row.message,
                error=row.error,
                error_field=row.error_field,
                seconds=row.seconds,
                notes=tuple(row.notes),
                asset_ids=tuple(assets.get(row.id, ())),
                results=results.get(row.id, 0),
                position=position,
                eta_seconds=eta,
            )
            with self._lock:
                live = self._live.get(row.id)
                if live and row.status == "running":
                    job = replace(
                        job, step=live.step, steps=live.steps, message=live.message, eta_seconds=live.seconds_left()
                    )
            jobs.append(job)
        return jobs

    def _line(self, session: Session) -> dict[str, tuple[int, float | None]]:
        """Place and seconds until done of every queued job: what runs now, then everyone ahead, then itself."""
        resident = self._resident()
        with self._lock:
            ahead: float | None = 0.0
            if self._executor and self._executor.state().status in ("starting", "stopped"):
                ahead = None  # nobody knows yet when the worker will be there
            for live in self._live.values():
                left = live.seconds_left()
                ahead = None if ahead is None or left is None else ahead + left
        line = {}
        columns = _in_line().with_only_columns(JobRow.id, JobRow.capability, JobRow.family, JobRow.work)
        for position, row in enumerate(session.execute(columns), start=1):
            own = self._estimate(session, row, bool(row.family) and row.family not in resident)
            ahead = None if ahead is None or own is None else ahead + own
            resident.add(row.family)
            line[row.id] = (position, ahead)
        return line

    def _estimate(self, session: Session, row: JobRow | Row[str, str, str, float], cold: bool) -> float | None:
        """Seconds this job will take, from past runs of its capability and family; None when there are none."""
        key = (row.capability, row.family)
        if key not in self._rates:
            past = (
                select(JobRow.work, JobRow.seconds, JobRow.load_seconds)
                .where(JobRow.capability == row.capability, JobRow.family == row.family, JobRow.status == "done")
                .order_by(JobRow.number.desc())
                .limit(REMEMBERED_RUNS)
            )
            runs = [run for run in session.execute(past).all() if run.seconds is not None and run.work > 0]
            rates = [max(run.seconds - run.load_seconds, 0.0) / run.work for run in runs]
            loads = [run.load_seconds for run in runs if run.load_seconds > 0]
            self._rates[key] = (
                statistics.median(rates) if rates else None,
                statistics.median(loads) if loads else 0.0,
            )
        rate, load = self._rates[key]
        return None if rate is None else rate * row.work + (load if cold else 0.0)

    def _resident(self) -> set[str]:
        return {each.family for each in self._executor.state().residents} if self._executor else set()

    def _subscribe(self, id: str, user: str, wake: Callable[[], None]) -> _Subscription:
        """A subscription that begins with a snapshot."""
        subscription = _Subscription(wake)
        with self._lock:
            job = self.get(id, user=user)
            live = self._live.get(id)
            subscription.push(JobEvent(job, "state", live.preview if live else None))
            if self._closed:
                subscription.close()
            self._subscribers.setdefault(id, set()).add(subscription)
        return subscription

    def _unsubscribe(self, id: str, subscription: _Subscription) -> None:
        with self._lock:
            those = self._subscribers.get(id, set())
            those.discard(subscription)
            if not those:
                self._subscribers.pop(id, None)

    def _publish(self, event: JobEvent) -> None:
        for subscription in self._subscribers.get(event.job.id, ()):
            subscription.push(event)

    def _publish_state(self, id: str, kind: Literal["state", "output"] = "state") -> None:
        """Tell the subscribers what the database says now, so that no older state can follow a newer one."""
        with self._lock:
            if id in self._subscribers:
                with self._database.read() as session:
                    self._publish(JobEvent(self._snapshots(session, [_row(session, id)])[0], kind))

    def _publish_line(self) -> None:
        """Those who wait have moved up."""
        if not self._subscribers:
            return
        waiting = select(JobRow).where(JobRow.status == "queued", JobRow.id.in_(list(self._subscribers)))
        with self._database.read() as session:
            for job in self._snapshots(session, session.scalars(waiting).all()):
                self._publish(JobEvent(job, "state"))


@dataclass
class _Live:
    """What only memory knows about a running job."""

    cold: bool
    """Its family was not resident when it started."""
    estimate: float | None
    started: float = field(default_factory=time.monotonic)
    step: int = 0
    steps: int = 0
    message: str = ""
    preview: bytes | None = None
    saved_at: float = field(default_factory=time.monotonic)
    _first_step: float | None = None
    _last_step: float | None = None
    _durations: deque[float] = field(default_factory=lambda: deque(maxlen=64))

    def advance(self, step: int, steps: int, message: str, preview: bytes | None) -> None:
        moment = time.monotonic()
        if step > self.step:
            if self._last_step is None:
                self._first_step = moment
            else:
                self._durations.append((moment - self._last_step) / (step - self.step))
            self._last_step = moment
        self.step, self.steps, self.message = step, steps, message
        self.preview = preview or self.preview

    @property
    def step_seconds(self) -> float | None:
        return statistics.median(self._durations) if self._durations else None

    @property
    def load_seconds(self) -> float:
        if not self.cold or self._first_step is None:
            return 0.0
        return max(self._first_step - self.started - (self.step_seconds or 0.0), 0.0)

    def seconds_left(self) -> float | None:
        """What was learned at first, the job's own speed more and more as it advances; None while neither is known."""
        expected = None if self.estimate is None else self.estimate - (time.monotonic() - self.started)
        if expected is not None and expected <= 0:
            expected = None  # what was learned does not hold for this run
        pace = self.step_seconds
        if pace is None or not self.steps:
            return expected
        measured = pace * max(self.steps - self.step, 0)
        if expected is None:
            return measured
        weight = min(self.step / self.steps, 1.0)
        return (1 - weight) * expected + weight * measured


class _Subscription:
    """Events on their way to one reader. A slow reader gets the newest progress, and never loses a change of state."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._events: deque[JobEvent] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self.over = False
        """Nothing follows what was taken last."""

    def push(self, event: JobEvent) -> None:
        with self._lock:
            if event.kind == "progress" and self._events and self._events[-1].kind == "progress":
                overtaken = self._events.pop()
                event = replace(event, preview=event.preview or overtaken.preview)
            self._events.append(event)
        self._wake()

    def take(self) -> list[JobEvent]:
        with self._lock:
            events = list(self._events)
            self._events.clear()
            self.over = self._closed or any(event.job.terminal for event in events)
        return events

    def close(self) -> None:
        self._closed = True
        self._wake()


def _in_line() -> Select[JobRow]:
    """Who waits, next first: by priority, and first in, first out among equals."""
    return select(JobRow).where(JobRow.status == "queued").order_by(JobRow.priority.desc(), JobRow.number)


def _active() -> Any:
    return JobRow.status.in_(ACTIVE)


def _row(session: Session, id: str) -> JobRow:
    return session.scalars(select(JobRow).where(JobRow.id == id)).one()


def _owned(session: Session, id: str, user: str, *, lock: bool = False) -> JobRow:
    query = select(JobRow).where(JobRow.id == id, JobRow.owner == user)
    row = session.scalars(query.with_for_update() if lock else query).first()
    if row is None:
        raise StudioError("There is no such job: check its id.", status=404)
    return row
