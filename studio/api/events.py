"""One stream for a page: all of the user's jobs and the worker, told as they change."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.sse import EventSourceResponse, ServerSentEvent

from studio.api.schemas import Event
from studio.api.users import User
from studio.jobs import JobEvent

if TYPE_CHECKING:
    from studio import Studio


def add_events(v1: APIRouter, studio: Studio) -> None:
    @v1.get("/events", tags=["jobs"], response_class=EventSourceResponse)
    async def events(user: User) -> AsyncIterator[ServerSentEvent]:
        """Events named `job` (an `Event`) and `worker`, without end; what is under way comes first."""
        async for event in studio.jobs.aevents_all(user=user):
            if isinstance(event, JobEvent):
                preview = None
                if event.preview:
                    preview = f"data:image/webp;base64,{base64.b64encode(event.preview).decode()}"
                yield ServerSentEvent(event="job", data=Event(job=event.job, preview=preview))
            else:
                state = event.state
                told = {"status": state.status, "device": state.device, "message": state.message}
                yield ServerSentEvent(event="worker", data=told)
