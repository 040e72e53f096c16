"""Keeps the worker processes alive and gives them work. Lives in the server and imports no torch.

The main lane has the accelerator and takes whatever is next. While it is busy, a second process on the processor, the
light lane, takes small answers that somebody waits for, and it always reads the words of a search. It is started when
the first of these comes, or once the main lane is warm.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.exc import SQLAlchemyError

from studio.jobs import Jobs, WorkerState
from studio.settings import Settings
from studio.worker.lane import Patience, Reading, WorkerProcess
from studio.worker.messages import Read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

WARM_AFTER = 3.0
"""Seconds of rest after which the light lane is made ready for the first search."""
LOOK_EVERY = 5.0
"""Seconds between two looks into the queue when nothing tells of it."""


class Supervisor:
    """One thread decides; `state` may be read anywhere."""

    def __init__(
        self,
        settings: Settings,
        jobs: Jobs,
        *,
        capabilities: str,
        preload: bool = True,
        patience: Patience | None = None,
    ) -> None:
        """``preload`` imports torch and loads the default family, and then the model of the search, before anyone
        asks."""
        self._settings = settings
        self._leases = jobs.leases
        self._light_lane = jobs.light
        self._preload = preload
        self._inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._commands: deque[tuple[Literal["load", "unload"], str]] = deque()
        self._look_at = self._rests_since = 0.0
        patience = patience or Patience()
        light = light_settings(settings)
        self._main_lane = WorkerProcess("main", settings, self._leases, capabilities, patience, self._inbox)
        self._beside = WorkerProcess("light", light, self._leases, capabilities, patience, self._inbox)
        self._beside_wanted = self._warm_beside = False
        self._state = self._told = WorkerState("stopped")

    def start(self) -> None:
        self._state = WorkerState("starting")
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread:
            self._inbox.put(("stop", None))
            self._thread.join()
            self._thread = None

    def submitted(self) -> None:
        self._inbox.put(("look", None))

    def cancel(self, job_id: str) -> None:
        self._inbox.put(("cancel", job_id))

    def command(self, op: Literal["load", "unload"], family: str) -> None:
        self._inbox.put(("command", (op, family)))

    def read(self, family: str, texts: Sequence[str]) -> Future[NDArray[np.float32]]:
        reading = Reading(Read(secrets.token_hex(8), family, list(texts)))
        self._inbox.put(("read", reading))
        return reading.future

    def state(self) -> WorkerState:
        return self._state

    @property
    def _lanes(self) -> tuple[WorkerProcess, ...]:
        return (self._main_lane, self._beside) if self._beside_wanted else (self._main_lane,)

    def _run(self) -> None:
        going = True
        while going:
            try:
                what, value = self._inbox.get(timeout=0.25)
            except queue.Empty:
                what, value = "", None
            try:
                going = what != "stop"
                self._take(what, value)
                for lane in self._lanes:
                    lane.settle()
                if going:
                    for lane in self._lanes:
                        lane.watch(self._preload)
                    self._work()
                self._tell()
            except Exception:  # a full disk, a busy database: the supervisor outlives them all
                log.exception("supervisor")
                time.sleep(0.25)
        for lane in self._lanes:
            with contextlib.suppress(SQLAlchemyError):  # else the next start finds it
                lane.stop()
        self._tell()

    def _take(self, what: str, value: Any) -> None:
        if what == "heard":
            lane, process, answer = value
            before = lane.state.status
            lane.heard(process, answer)
            if lane.state.status != before:
                self._look_at = 0.0
                if lane is self._main_lane:
                    self._rests_since = time.monotonic()
        elif what == "died":
            lane, process, why = value
            lane.died(process, why)
        elif what == "look":
            self._look_at = 0.0
        elif what == "cancel":
            for lane in self._lanes:
                lane.cancel(value)
        elif what == "command":
            self._commands.append(value)
        elif what == "read":
            fits = self._light_lane.fits(value.order.family)
            self._beside_wanted |= fits
            (self._beside if fits else self._main_lane).read(value)

    def _warm(self) -> None:
        """Load what will be asked for, the light lane's part once nobody asks for anything else. Once: if that kills a
        worker, the next one starts without."""
        if self._preload:
            self._preload = False
            self._warm_beside = True
            self._commands.append(("load", self._settings.default_family))
        elif self._warm_beside and time.monotonic() - self._rests_since > WARM_AFTER:
            self._warm_beside = False
            if model := self._light_lane.search_model():
                self.read(model, ["a picture"])

    def _work(self) -> None:
        if self._main_lane.free:
            self._warm()
        if self._main_lane.free and self._commands:
            self._main_lane.command(*self._commands.popleft())
        elif time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY
            if self._main_lane.free:
                if job := self._leases.take():
                    self._main_lane.run(job)
                    self._look_at = 0.0
            elif self._main_lane.state.status == "busy":
                if not self._beside_wanted:
                    self._beside_wanted = self._leases.waiting("light")
                elif self._beside.free and (job := self._leases.take("light")):
                    self._beside.run(job)

    def _tell(self) -> None:
        """Have everybody see how it is."""
        light = self._beside.state if self._beside_wanted else None
        self._state = replace(self._main_lane.state, light=light)
        quiet = replace(self._state, last_beat=None, light=light and replace(light, last_beat=None))
        if quiet != self._told:
            self._told = quiet
            self._leases.worker(self._state)


def light_settings(settings: Settings) -> Settings:
    """Of the lane beside the drawing: on the processor, within its own budget."""
    return settings.model_copy(update={"device": "cpu", "device_memory_gb": settings.light_memory_gb})
