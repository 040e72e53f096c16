"""The worker process: ``python -m studio.worker``, started by `studio.worker.supervisor.Supervisor` only.

It talks over its stdin and stdout, see `studio.worker.messages`. The end of that pipe, or of the server, ends it.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

from studio.errors import StudioError
from studio.settings import Settings
from studio.worker.messages import (
    Answer,
    Beat,
    Cancel,
    Command,
    Fatal,
    Read,
    Run,
    Start,
    Unread,
    WordVectors,
    read,
    write,
)
from studio.worker.runner import Runner

log = logging.getLogger(__name__)

BEAT_EVERY = 1.0
POISONED = 70
"""Exit code after a device error that only a new process gets rid of."""
NICE = {"main": 5, "light": 0}
"""The page, the API, small answers and whatever else runs on this computer go before drawings."""


def main() -> None:
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # whatever prints must not break a frame
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the server, which ends the pipe
    start = read(orders)
    if not isinstance(start, Start):
        return
    _die_with_parent(start.parent)
    if hasattr(os, "nice"):
        os.nice(NICE[start.lane])
    sys.path[:] = start.path
    name = "worker" if start.lane == "main" else "light worker"
    logging.basicConfig(level=start.log_level, format=f"%(asctime)s {name} %(levelname)s %(name)s: %(message)s")
    writing = threading.Lock()

    def send(answer: Answer) -> None:
        try:
            with writing:
                write(answers, answer)
        except OSError:
            os._exit(0)  # the server is gone

    try:
        runner = Runner(Settings(**start.settings), start.capabilities)
        if start.lane == "main" and start.followed:
            runner.gallery.sweep(start.followed)
        if start.warm:
            runner.models.hardware()  # imports torch and finds the device
    except Exception as error:
        log.exception("the worker cannot start")
        send(Fatal(f"{type(error).__name__}: {str(error)[:300]}"))
        sys.exit(1)

    tasks: queue.SimpleQueue[Run | Command] = queue.SimpleQueue()
    words: queue.SimpleQueue[Read] = queue.SimpleQueue()
    cancelled: set[str] = set()

    def listen() -> None:
        while order := read(orders):
            if isinstance(order, Cancel):
                cancelled.add(order.id)
            elif isinstance(order, Read):
                words.put(order)
            elif isinstance(order, Run | Command):
                tasks.put(order)
            else:
                raise TypeError(f"{type(order).__name__} is no order to a worker that has started")
        os._exit(0)

    def beat() -> None:
        while True:
            time.sleep(BEAT_EVERY)
            send(Beat())

    def read_words() -> None:
        while order := words.get():
            try:
                vectors = runner.read(order.family, order.texts)
                send(WordVectors(order.id, len(vectors), np.ascontiguousarray(vectors, "<f4").tobytes()))
            except StudioError as error:
                send(Unread(order.id, error.message, error.field, error.status))

    def work() -> None:
        send(runner.ready())
        while True:
            task = tasks.get()
            if isinstance(task, Run):
                runner.run(task.id, send, lambda id=task.id: id in cancelled)
                cancelled.discard(task.id)
                send(runner.idle())
            else:
                send(runner.idle(runner.command(task.op, task.family, send)))

    for duty in (listen, beat, read_words):
        threading.Thread(target=_or_exit, args=(duty,), daemon=True).start()
    _or_exit(work)


def _or_exit(duty: Callable[[], None]) -> None:
    """A duty that fails for good leaves a broken device or pipe behind: a new process takes over."""
    try:
        duty()
    except Exception:
        log.exception("a new worker takes over")
        os._exit(POISONED)


def _die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when the server dies; elsewhere the end of the pipe does it."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(0)
