"""Threads for one kind of work, so that no route can take what all the others need."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from studio.errors import StudioError

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Lane:
    """At most ``threads`` calls at once; ``waiting`` more wait, and what comes on top of them is refused with 503."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._limiter = anyio.CapacityLimiter(threads)
        self._most = threads + waiting
        self._inside = 0

    def __call__(self, function: Callable[Given, Result]) -> Callable[Given, Awaitable[Result]]:
        """Make a route's blocking ``function`` one that waits in this lane."""

        @functools.wraps(function)
        async def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            with self.place():
                return await self.run(functools.partial(function, *args, **kwargs))

        return call

    async def run(self, function: Callable[[], Result]) -> Result:
        """In a thread of this lane; take a `place` first."""
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the lane, also while a body is read. Raises `StudioError` 503 when there is none."""
        if self._inside >= self._most:
            raise StudioError("The studio is busy with requests like this one: try again in a moment.", status=503)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
