"""One worker process: started, spoken to, watched, replaced. `Supervisor` decides when."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from studio.errors import StudioError
from studio.jobs import Job, Lane, Leases, WorkerState
from studio.settings import ROOT, Settings
from studio.worker.messages import (
    Answer,
    Beat,
    Cancel,
    Command,
    Done,
    Failed,
    Fatal,
    Idle,
    Kept,
    Order,
    Progress,
    ProtocolError,
    Read,
    Ready,
    Report,
    Run,
    Said,
    Start,
    Stopped,
    Unread,
    WordVectors,
    read,
    write,
)

log = logging.getLogger(__name__)

FAILED_STARTS = 3
"""In a row, after which the user is told."""
READ_TRIES = 2
"""Workers that may die with the same words before whoever waits is told."""


@dataclass(frozen=True)
class Patience:
    """Seconds. A worker is replaced when its job makes no step for max(``hang``, 20 median steps), or for
    ``first_step`` before its second step. ``backoff`` is what each new start waits while none succeeds."""

    hang: float = 120.0
    first_step: float = 600.0
    backoff: tuple[float, ...] = (0.0, 1.0, 5.0, 15.0, 60.0)


@dataclass
class Reading:
    """Words on their way to a worker and back as vectors."""

    order: Read
    future: Future[NDArray[np.float32]] = field(default_factory=Future)
    tries: int = 0

    def settle(self, answer: WordVectors | Unread) -> None:
        if isinstance(answer, Unread):
            self.future.set_exception(StudioError(answer.error, field=answer.field, status=answer.status))
        else:
            self.future.set_result(np.frombuffer(answer.blob, "<f4").reshape(answer.count, -1))


class Inbox(Protocol):
    def put(self, item: tuple[str, Any]) -> None: ...


class WorkerProcess:
    """All methods but ``state`` are called by the supervisor's thread."""

    def __init__(
        self, lane: Lane, settings: Settings, leases: Leases, capabilities: str, patience: Patience, inbox: Inbox
    ) -> None:
        self.state = WorkerState("starting")
        self.job_id: str | None = None
        self._lane: Lane = lane
        self._settings = settings
        self._leases = leases
        self._capabilities = capabilities
        self._patience = patience
        self._inbox = inbox
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = False
        self._commanded = False
        self._heard_at = 0.0
        self._start_at = 0.0
        self._followed = 0.0
        self._deaths = 0
        self._failed_starts = 0
        self._fatal = ""
        self._reason = ""
        self._readings: dict[str, Reading] = {}
        self._unsettled: deque[Callable[[], None]] = deque()
        """Ends of jobs that the database does not know yet; they are tried again until it does."""

    @property
    def free(self) -> bool:
        """Whether it can take a job or command."""
        return self.state.status == "ready" and not self._unsettled

    def run(self, job: Job) -> None:
        self.job_id, self._begun, self._heard_at, self._reason = job.id, False, time.monotonic(), ""
        self._become("busy")
        self._send(Run(job.id))

    def command(self, op: Literal["load", "unload"], family: str) -> None:
        self._commanded = True
        self._become("busy")
        self._send(Command(op, family))

    def cancel(self, job_id: str) -> None:
        if job_id == self.job_id:
            self._send(Cancel(job_id))

    def read(self, reading: Reading) -> None:
        self._readings[reading.order.id] = reading
        if self.state.status in ("ready", "busy"):
            self._send(reading.order)

    def heard(self, process: object, answer: Answer) -> None:
        if process is not self._process:
            return
        self.state = replace(self.state, last_beat=time.time())
        about = getattr(answer, "id", None)
        if self.job_id is None or about == self.job_id:
            self._heard_at = time.monotonic()
        if isinstance(answer, Ready | Idle):
            self._rest(answer)
        elif isinstance(answer, Said):
            self.state = replace(self.state, message=answer.message)
        elif isinstance(answer, Fatal):
            self._fatal = answer.error
        elif isinstance(answer, WordVectors | Unread):
            if reading := self._readings.pop(answer.id, None):
                reading.settle(answer)
        elif not isinstance(answer, Beat) and self.job_id and about == self.job_id:
            self._begun = True
            if isinstance(answer, Progress) and answer.step:
                self._deaths = 0  # it works
            if end := relay(self._leases, answer):
                self._unsettled.append(end)
                self.job_id = None

    def settle(self) -> None:
        """Tell the database how jobs ended. Raises while it cannot be told."""
        while self._unsettled:
            self._unsettled[0]()
            self._unsettled.popleft()

    def watch(self, warm: bool) -> None:
        """Start the process when it is time, end it when it hangs."""
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._start(warm)
        elif not self._reason:
            patience = self._patience_now()
            if time.monotonic() - self._heard_at > patience:
                self._reason = f"The worker made no progress for {patience:.0f} seconds"
                log.warning("%s: it is replaced", self._reason)
                self._process.kill()

    def died(self, process: object, why: str) -> None:
        if process is not self._process:
            return
        code = self._end_process()
        self._failed_starts += self.state.status == "starting"
        killed = code in (-9, 137)  # by the kernel, or by hand
        usual = "The worker was killed (memory may have run out)" if killed else "The worker stopped"
        reason = self._reason or why or usual
        log.warning("%s (%s lane) with exit code %s", reason, self._lane, code)
        self._deaths += 1
        backoff = self._patience.backoff
        self._start_at = time.monotonic() + backoff[min(self._deaths, len(backoff)) - 1]
        message = ""
        if self._commanded:
            self._commanded = False
            message = f"{reason} while it loaded a model: choose a smaller one, or unload another first."
        elif self._failed_starts >= FAILED_STARTS:
            cause = f" ({self._fatal})" if self._fatal else ""
            message = f"The worker does not start{cause}: read its log, mend the cause, and it is tried again."
        restarts = self.state.restarts + 1
        self.state = replace(self.state, status="starting", pid=None, residents=(), message=message, restarts=restarts)
        if self.job_id:
            if self._begun:
                self._unsettled.append(partial(self._leases.lost, self.job_id, reason))
            else:  # it may have been dead already when the job was given to it
                self._unsettled.append(partial(self._leases.give_back, self.job_id))
            self.job_id = None
        for reading in list(self._readings.values()):
            reading.tries += 1
            if reading.tries >= READ_TRIES:
                self._give_up(reading, f"{reason} while it read the words: search again in a moment.")

    def stop(self) -> None:
        """End the process; what it was doing is given back. Raises when the database cannot be told of it."""
        self._end_process()
        for reading in list(self._readings.values()):
            self._give_up(reading, "The studio is stopping: search again when it runs.")
        self.state = WorkerState("stopped", restarts=self.state.restarts)
        if self.job_id:
            self._leases.give_back(self.job_id)
            self.job_id = None

    # -- inside --------------------------------------------------------------------------------------------------

    def _rest(self, answer: Ready | Idle) -> None:
        message = answer.message if isinstance(answer, Idle) else self.state.message
        if isinstance(answer, Ready):
            if self._failed_starts >= FAILED_STARTS:
                message = ""
            self._failed_starts = 0
            for reading in self._readings.values():
                self._send(reading.order)
        else:
            self._deaths, self._commanded = 0, False
        hardware = answer.hardware or self.state.hardware
        self.state = replace(
            self.state,
            residents=tuple(answer.residents),
            hardware=hardware,
            device=hardware.device if hardware else self.state.device,
            message=message,
        )
        self._become("ready")

    def _become(self, status: Literal["ready", "busy"]) -> None:
        self.state = replace(self.state, status=status)

    def _patience_now(self) -> float:
        """Seconds of silence, of its job or else of its heartbeat, after which the worker counts as hung."""
        if self.state.status == "starting":
            return self._patience.first_step
        if self.job_id is None:
            return self._patience.hang
        pace = self._leases.step_seconds(self.job_id)
        return self._patience.first_step if pace is None else max(self._patience.hang, 20 * pace)

    def _start(self, warm: bool) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        if self._lane == "light":  # the drawing needs the cores more
            environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) // 2)))
        process = subprocess.Popen(
            [sys.executable, "-m", "studio.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._process, self._fatal, self._reason, self._heard_at = process, "", "", time.monotonic()
        self.state = replace(self.state, status="starting", pid=process.pid, residents=())
        self._send(
            Start(
                lane=self._lane,
                parent=os.getpid(),
                path=list(sys.path),
                settings=self._settings.model_dump(mode="json"),
                capabilities=self._capabilities,
                warm=warm or self._lane == "light" or self.state.hardware is not None,
                log_level=log.getEffectiveLevel(),
                followed=self._followed,
            )
        )
        self._followed = time.time()
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        why = ""
        with process.stdout:
            try:
                while answer := read(process.stdout):
                    if not isinstance(answer, Answer):
                        raise ProtocolError(f"{type(answer).__name__} is for a worker, not from one")
                    self._inbox.put(("heard", (self, process, answer)))
            except ProtocolError as error:
                log.error("the worker said what is no message: %s", error)
                why = "The worker could not be understood"
                process.kill()
        self._inbox.put(("died", (self, process, why)))

    def _send(self, order: Order) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError):  # it is dying; the end of its pipe says so
                write(self._process.stdin, order)

    def _give_up(self, reading: Reading, why: str) -> None:
        self._readings.pop(reading.order.id, None)
        reading.future.set_exception(StudioError(why, status=503))

    def _end_process(self) -> int | None:
        """Close the pipe, which ends the child at once, and make sure that it did."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.stdin:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            return process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def relay(leases: Leases, report: Report) -> Callable[[], None] | None:
    """Pass on what the drawing side reports of a job; returns how to end the job once that is the report."""
    if isinstance(report, Progress):
        leases.progress(report.id, report.step, report.steps, report.message, report.blob or None)
    elif isinstance(report, Kept):
        leases.output(report.id)
    elif isinstance(report, Done):
        return partial(leases.done, report.id, report.notes)
    elif isinstance(report, Failed):
        return partial(leases.fail, report.id, report.error, report.field)
    elif isinstance(report, Stopped):
        return partial(leases.cancelled, report.id)
    return None
