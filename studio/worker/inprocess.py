"""The executor in this process, for ZeroGPU Spaces, where only a decorated function may use the accelerator.

A hang cannot be ended here, and a crash takes the server along; the next start runs the job again.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.exc import SQLAlchemyError

from studio.jobs import Job, Jobs, WorkerState
from studio.settings import Settings
from studio.worker.lane import relay
from studio.worker.messages import Answer, Idle, Report, Said
from studio.worker.runner import Runner, as_generator
from studio.worker.supervisor import light_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

Stream = Callable[[str], Iterator[Report]]


class InProcessExecutor:
    """The same two lanes as threads. The light one keeps off the accelerator."""

    def __init__(self, settings: Settings, jobs: Jobs, *, capabilities: str, preload: bool = True) -> None:
        self._settings = settings
        self._leases = jobs.leases
        self._light_lane = jobs.light
        self._capabilities = capabilities
        self._preload = preload
        self._wake = {"main": threading.Event(), "light": threading.Event()}
        self._stopping = False
        self._commands: deque[tuple[str, str]] = deque([("load", settings.default_family)] if preload else [])
        self._threads: list[threading.Thread] = []
        self._runner: Runner | None = None
        self._beside: Runner | None = None
        self._words: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._state = WorkerState("stopped")

    def start(self) -> None:
        global _runner
        self._state = WorkerState("starting", pid=os.getpid())
        self._stopping = False
        _runner = self._runner = Runner(self._settings, self._capabilities)
        self._words = ThreadPoolExecutor(1, "words")
        for duty in (self._main, self._light):
            thread = threading.Thread(target=duty, name="executor", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stopping = True
        self.submitted()
        for thread in self._threads:
            thread.join()
        self._threads = []
        if self._words:
            self._words.shutdown(cancel_futures=True)
        for runner in (self._runner, self._beside):
            if runner:
                runner.database.engine.dispose()
        self._runner = self._beside = None
        self._set(status="stopped", light=None)

    def submitted(self) -> None:
        for wake in self._wake.values():
            wake.set()

    def cancel(self, job_id: str) -> None:
        """Nothing to send: the running job asks the database at each step."""

    def command(self, op: Literal["load", "unload"], family: str) -> None:
        self._commands.append((op, family))
        self._wake["main"].set()

    def read(self, family: str, texts: Sequence[str]) -> Future[NDArray[np.float32]]:
        if self._words is None:
            raise RuntimeError("the executor has not been started")
        return self._words.submit(self._read, family, list(texts))

    def state(self) -> WorkerState:
        return replace(self._state, last_beat=time.time())

    # -- inside --------------------------------------------------------------------------------------------------

    def _set(self, **changes: Any) -> None:
        with self._lock:
            before = self._state
            self._state = replace(self._state, **changes)
        if self._state != before:
            self._leases.worker(self._state)

    def _read(self, family: str, texts: Sequence[str]) -> NDArray[np.float32]:
        runner = self._light_runner() if self._light_lane.fits(family) else self._runner
        assert runner
        return runner.read(family, texts)

    def _light_runner(self) -> Runner:
        with self._lock:
            if self._beside is None:
                self._beside = Runner(light_settings(self._settings), self._capabilities)
            return self._beside

    def _main(self) -> None:
        stream: Stream = _on_accelerator(_stream)
        self._set(status="ready")
        while not self._stopping:
            try:
                if not self._once(stream):
                    self._wake["main"].wait(5.0)
                    self._wake["main"].clear()
            except Exception:
                log.exception("executor")
                time.sleep(0.25)

    def _light(self) -> None:
        """Small answers, while the other lane is busy."""
        while not self._stopping:
            try:
                job = self._leases.take("light") if self._state.status == "busy" else None
                if job:
                    runner = self._light_runner()
                    self._set(light=WorkerState("busy", pid=os.getpid()))
                    self._follow(job, partial(_reports, runner))
                    known = runner.ready()
                    self._set(light=WorkerState("ready", pid=os.getpid(), residents=tuple(known.residents)))
                else:
                    self._wake["light"].wait(5.0)
                    self._wake["light"].clear()
            except Exception:
                log.exception("light executor")
                time.sleep(0.25)

    def _once(self, stream: Stream) -> bool:
        runner = self._runner
        assert runner
        if self._commands:
            op, family = self._commands.popleft()
            self._busy()
            self._rest(runner.idle(runner.command(op, family, self._say)))
            return True
        job = self._leases.take()
        if job is None:
            return False
        self._busy()
        self._follow(job, stream)
        self._rest(runner.idle())
        return True

    def _busy(self) -> None:
        self._set(status="busy")
        self._wake["light"].set()

    def _follow(self, job: Job, stream: Stream) -> None:
        """Run a job to its end, and have the database know it."""
        end: Callable[[], None] | None = None
        try:
            with contextlib.closing(as_generator(stream(job.id))) as reports:
                for report in reports:
                    end = relay(self._leases, report)
                    if self._stopping and end is None:
                        break
        except Exception:
            log.exception("job %s", job.id)
            end = partial(self._leases.fail, job.id, "The accelerator is in a broken state: restart the studio.")
        end = end or partial(self._leases.give_back, job.id)
        while True:
            try:
                return end()
            except SQLAlchemyError:
                log.exception("job %s", job.id)
                if self._stopping:
                    return None
                time.sleep(1.0)

    def _say(self, answer: Answer) -> None:
        if isinstance(answer, Said):
            self._set(message=answer.message)

    def _rest(self, idle: Idle) -> None:
        self._set(
            status="ready",
            message=idle.message,
            residents=tuple(idle.residents),
            hardware=idle.hardware,
            device=idle.hardware.device if idle.hardware else "",
        )


_runner: Runner | None = None
"""Of the `InProcessExecutor`: ZeroGPU calls `_stream` in a fork, which sees globals but takes only plain arguments."""


def _stream(job_id: str) -> Iterator[Report]:
    assert _runner
    yield from _reports(_runner, job_id)


def _reports(runner: Runner, job_id: str) -> Iterator[Report]:
    """What `Runner.run` reports, as a generator; closing it stops the job at its next step."""
    reports: queue.SimpleQueue[Report | Exception | None] = queue.SimpleQueue()
    closed = threading.Event()

    def draw() -> None:
        try:
            runner.run(job_id, reports.put, lambda: closed.is_set() or runner.is_cancelled(job_id))
            reports.put(None)
        except Exception as error:
            reports.put(error)

    thread = threading.Thread(target=draw, name="draw", daemon=True)
    thread.start()
    try:
        while (report := reports.get()) is not None:
            if isinstance(report, Exception):
                raise report
            yield report
    finally:
        closed.set()
        thread.join()


def _on_accelerator(function: Stream) -> Stream:
    """Mark what needs the accelerator, where the ``spaces`` package asks for it."""
    try:
        spaces = importlib.import_module("spaces")
    except ImportError:
        return function
    return spaces.GPU(duration=120)(function)
