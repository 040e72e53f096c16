"""What only memory knows: how far running jobs are, and what is on its way to who listens."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from studio.jobs.executor import Lane
from studio.jobs.job import JobEvent, WorkerEvent

MOST_PENDING = 2000
"""Events that wait for one reader: more, and it is too slow to be kept."""


@dataclass
class Live:
    """A running job."""

    cold: bool
    """Its family was not resident when it started."""
    estimate: float | None
    lane: Lane = "main"
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


Event = JobEvent | WorkerEvent


class Subscription:
    """Events on their way to one reader, of one job or (``lasting``) of all of a user's.

    A slow reader gets the newest progress and place in line, and never loses a change of status. One that lets
    `MOST_PENDING` events pile up is closed.
    """

    def __init__(self, wake: Callable[[], None], *, lasting: bool = False) -> None:
        self._wake = wake
        self._lasting = lasting
        self._events: list[Event] = []
        self._lock = threading.Lock()
        self._closed = False
        self.over = False
        """Nothing follows what was taken last."""

    def push(self, event: Event) -> None:
        with self._lock:
            if self._closed:
                return
            first = not self._events  # later ones are taken with it, without waking the reader again
            at, earlier = next(
                ((at, each) for at, each in reversed([*enumerate(self._events)]) if _same(each, event)), (-1, None)
            )
            if earlier is not None and _overtakes(event, earlier):
                del self._events[at]
                if isinstance(event, JobEvent) and isinstance(earlier, JobEvent) and not event.preview:
                    event = replace(event, preview=earlier.preview)
            else:
                at = len(self._events)
            # The worker's news takes the place of the older: a stream begins with it.
            self._events.insert(at if isinstance(event, WorkerEvent) else len(self._events), event)
            self._closed |= len(self._events) > MOST_PENDING
        if first or self._closed:
            self._wake()

    def take(self) -> list[Event]:
        with self._lock:
            events, self._events = self._events, []
            ended = any(isinstance(event, JobEvent) and event.job.terminal for event in events)
            self.over = self._closed or (ended and not self._lasting)
        return events

    def close(self) -> None:
        self._closed = True
        self._wake()


def _same(one: Event, other: Event) -> bool:
    """Whether both are about the same job, or both about the worker."""
    if isinstance(one, JobEvent) and isinstance(other, JobEvent):
        return one.job.id == other.job.id
    return type(one) is type(other)


def _overtakes(new: Event, old: Event) -> bool:
    """Whether who reads ``new`` need not have read ``old``, the one before about the same."""
    if isinstance(new, JobEvent) and isinstance(old, JobEvent):
        waits = new.job.status == old.job.status == "queued"
        return new.kind == old.kind == "progress" or (new.kind == old.kind == "state" and waits)
    return True
