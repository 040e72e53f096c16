"""Words as vectors: read by the executor, remembered, never read twice at once."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from studio.errors import StudioError
from studio.jobs import Jobs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REMEMBERED = 500
"""Queries whose vectors are kept."""


class Texts:
    """Safe to call from any thread and any event loop. Waiting holds neither a thread nor a row in the queue."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, tuple[str, ...]], Future[NDArray[np.float32]]] = OrderedDict()

    def ask(self, model: str, texts: Sequence[str]) -> Future[NDArray[np.float32]]:
        """Unit vectors [texts, d], there or on their way: the same question asked by many is one reading."""
        key = (model, tuple(texts))
        with self._lock:
            future = self._known.get(key)
            if future is None or (future.done() and future.exception() is not None):
                future = self._known[key] = self._jobs.read(model, texts)
            self._known.move_to_end(key)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return future

    async def read(self, model: str, texts: Sequence[str], timeout: float) -> NDArray[np.float32]:
        """`ask`, awaited. Raises `StudioError` 503 when it takes more than ``timeout`` seconds."""
        future = self.ask(model, texts)
        waiter = asyncio.wrap_future(future)
        # wait() neither cancels what it waits for nor passes a reader's leaving on to the others.
        done, _ = await asyncio.wait({waiter}, timeout=timeout)
        if not done:
            raise StudioError(
                f"The words have not been read yet, because {self._jobs.why_waiting(model)}: search again in a moment; "
                "pictures that have been looked at can be searched by at once.",
                status=503,
            )
        return waiter.result()

    def forget(self, model: str) -> None:
        with self._lock:
            for key in [key for key in self._known if key[0] == model]:
                del self._known[key]
