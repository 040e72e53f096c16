"""Submitting what a capability takes, and following, cancelling and reading the jobs that come of it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from studio.api.schemas import Error, Event, Submitted
from studio.api.users import User
from studio.capability import Capability, Request
from studio.jobs import Job
from studio.reading.records import to_csv

if TYPE_CHECKING:
    from studio import Studio


def add_capabilities(v1: APIRouter, studio: Studio) -> None:
    """A route each, whose body is the capability's own request."""
    for capability in studio.capabilities.values():
        if capability.hidden:
            continue
        v1.add_api_route(
            f"/{capability.name}",
            _submit_route(studio, capability),
            methods=["POST"],
            status_code=202,
            response_model=Submitted,
            responses={status: {"model": Error} for status in (409, 413, 429, 507)},
            tags=["capabilities"],
            summary=capability.title,
            description=capability.summary,
            operation_id=capability.name,
        )


def _submit_route(studio: Studio, capability: Capability) -> Callable[..., Submitted]:
    def submit(
        body: Request,
        response: Response,
        user: User,
        idempotency_key: Annotated[
            str | None, Header(max_length=255, description="The same key and body return the same job.")
        ] = None,
    ) -> Submitted:
        job = studio.jobs.submit(capability.name, body, user=user, source="api", idempotency_key=idempotency_key)
        response.headers["Location"] = f"/api/v1/jobs/{job.id}"
        return Submitted(id=job.id)

    submit.__annotations__["body"] = Annotated[capability.request, Body()]
    return submit


def add_jobs(v1: APIRouter, studio: Studio) -> None:
    jobs = studio.jobs

    @v1.get("/jobs", tags=["jobs"])
    def list_jobs(
        user: User,
        active: bool = False,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        capability: str | None = None,
    ) -> list[Job]:
        """Newest first; `active` leaves out what is over."""
        return jobs.list(user=user, active=active, limit=limit, capability=capability)

    @v1.get("/jobs/{id}", tags=["jobs"])
    def get_job(id: str, user: User) -> Job:
        """State, progress, place in line and pictures of a job, and how many records it has given."""
        return jobs.get(id, user=user)

    @v1.get("/jobs/{id}/results", tags=["jobs"])
    def get_results(
        id: str,
        user: User,
        after: Annotated[int, Query(description="The last index that is known already.")] = -1,
        limit: Annotated[int, Query(ge=1, le=5000)] = 5000,
        format: Annotated[
            Literal["json", "csv"], Query(description="`csv` is a table with nested values flat.")
        ] = "json",
    ) -> list[dict[str, Any]]:
        """Records of a job that answers, as far as it has come."""
        records = jobs.results(id, user=user, after=after, limit=limit)
        if format == "json":
            return list(records)
        headers = {"Content-Disposition": f'attachment; filename="{jobs.get(id, user=user).capability}-{id[:8]}.csv"'}
        return Response(to_csv(records), media_type="text/csv", headers=headers)  # pyright: ignore[reportReturnType]

    @v1.delete("/jobs/{id}", tags=["jobs"])
    def cancel_job(id: str, user: User) -> Job:
        """Stop a queued job at once, a running one within one step; a finished one stays as it is."""
        return jobs.cancel(id, user=user)

    @v1.get("/jobs/{id}/events", tags=["jobs"], response_class=EventSourceResponse)
    async def job_events(user: User, job: Job = Depends(get_job)) -> AsyncIterator[ServerSentEvent]:
        """A snapshot first, then every change; ends after the last one. Each event's data is an `Event`."""
        first = True
        async for event in jobs.aevents(job.id, user=user):
            told, first = event.job if first else replace(event.job, request={}), False
            preview = None
            if event.preview:
                preview = f"data:image/webp;base64,{base64.b64encode(event.preview).decode()}"
            yield ServerSentEvent(event=event.kind, data=Event(job=told, preview=preview))
