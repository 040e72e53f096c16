"""Server-sent events to any number of readers: no thread and no database connection is held while one waits.

What is told is encoded once for all who hear it. The more streams there are, the rarer each hears of mere progress.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections import OrderedDict
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Literal

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from studio.api.schemas import Event, JobTold, WorkerTold
from studio.errors import StudioError
from studio.jobs import JobEvent, WorkerEvent

MOST_STREAMS = 2000
BEGIN_SECONDS = 10.0
"""Within which a stream has its first event, or is refused."""
PING_SECONDS = 15.0
"""Between signs of life while nothing happens."""
REMEMBERED = 256
"""Encoded events that the next reader may ask for."""
_PACE = 0.02, 0.004
"""Seconds of rest after progress was told: always, and for each open stream."""
_SPREAD = 0.001
"""Seconds for each open stream within which all of them tell what happens: others are answered in between."""

Kind = Literal["one", "all"]
"""Of one job: events are named state, progress or output. Of all: job, worker or ping."""


class Streams:
    """All open streams of one server; belongs to its event loop."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self._most = most
        self._open = 0
        self._encoded: OrderedDict[tuple[int, bool, Kind], tuple[JobEvent | WorkerEvent, bytes]] = OrderedDict()

    async def answer(self, events: AsyncGenerator[JobEvent | WorkerEvent], kind: Kind) -> Response:
        """The stream, once its first event is there. Raises what ``events`` raises, and 503 when it cannot begin."""
        if self._open >= self._most:
            await events.aclose()
            raise StudioError(f"{self._open} event streams are open already: close some, or try again.", status=503)
        self._open += 1
        first = asyncio.ensure_future(anext(events, None))
        try:
            await asyncio.wait({first}, timeout=BEGIN_SECONDS)
            if not first.done():
                raise StudioError("The studio is too busy to begin an event stream: try again in a moment.", status=503)
            first.result()
        except BaseException:
            self._open -= 1
            first.add_done_callback(lambda _: asyncio.ensure_future(events.aclose()))
            raise
        return EventStream(self, first, events, kind)

    def left(self) -> None:
        self._open -= 1

    @property
    def rest(self) -> float:
        """Seconds between two events of mere progress on one stream; other ones on another, lest all write at once."""
        return (_PACE[0] + _PACE[1] * self._open) * random.uniform(0.7, 1.3)

    @property
    def turn(self) -> float:
        """Seconds until it is one stream's turn to tell what all streams have to tell."""
        return random.uniform(0, _SPREAD * (self._open - 1))

    def encode(self, event: JobEvent | WorkerEvent, *, request: bool, kind: Kind) -> bytes:
        """``request`` tells of a job all of its request, which does not change and may be long."""
        key = id(event), request, kind
        known = self._encoded.get(key)
        if known is None:
            known = event, _encode(event, request, kind)
            self._encoded[key] = known
            if len(self._encoded) > REMEMBERED:
                self._encoded.popitem(last=False)
        return known[1]


class EventStream(Response):
    media_type = "text/event-stream"

    def __init__(
        self,
        streams: Streams,
        first: asyncio.Future[JobEvent | WorkerEvent | None],
        events: AsyncGenerator[JobEvent | WorkerEvent],
        kind: Kind,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._streams = streams
        self._next = first
        self._events = events
        self._kind: Kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with anyio.create_task_group() as group:
                group.start_soon(self._hang_up, receive, group.cancel_scope)
                await self._tell(send)
                group.cancel_scope.cancel()
        finally:
            self._streams.left()
            self._next.cancel()
            with anyio.CancelScope(shield=True):  # also when the server ends: nobody may stay subscribed
                await asyncio.wait({self._next})
                await self._events.aclose()

    @staticmethod
    async def _hang_up(receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _tell(self, send: Send) -> None:
        told: set[str] = set()
        begun = False
        while (event := await self._heard(send)) is not None:
            if begun:
                await asyncio.sleep(self._streams.turn)
            begun = True
            fresh = isinstance(event, JobEvent) and event.job.id not in told
            await _write(send, self._streams.encode(event, request=fresh, kind=self._kind))
            if isinstance(event, JobEvent):
                told.add(event.job.id)
                if event.job.terminal:
                    told.discard(event.job.id)
                if event.kind == "progress":
                    await asyncio.sleep(self._streams.rest)  # what comes meanwhile is told as one
            self._next = asyncio.ensure_future(anext(self._events, None))
        await send({"type": "http.response.body", "body": b""})

    async def _heard(self, send: Send) -> JobEvent | WorkerEvent | None:
        while not (await asyncio.wait({self._next}, timeout=PING_SECONDS))[0]:
            await _write(send, b"event: ping\ndata: {}\n\n" if self._kind == "all" else b": ping\n\n")
        return self._next.result()


async def _write(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


def _encode(event: JobEvent | WorkerEvent, request: bool, kind: Kind) -> bytes:
    if isinstance(event, WorkerEvent):
        state = event.state
        name = "worker"
        data = WorkerTold(
            status=state.status,
            device=state.device,
            message=state.message,
            residents=[each.family for each in state.residents],
        ).model_dump_json()
    else:
        job = event.job if request else replace(event.job, request={})
        preview = f"data:image/webp;base64,{base64.b64encode(event.preview).decode()}" if event.preview else None
        name = "job" if kind == "all" else event.kind
        told = JobTold(id=job.id, kind=event.kind, job=job, preview=preview) if kind == "all" else None
        data = (told or Event(job=job, preview=preview)).model_dump_json()
    return f"event: {name}\ndata: {data}\n\n".encode()
