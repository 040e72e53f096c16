"""Submitting what a capability takes, and following, cancelling and reading the jobs that come of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, Query, Response
from fastapi import Request as HttpRequest
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from studio.api.schemas import Error, Event, JobTold, Submitted
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
        request: HttpRequest,
        response: Response,
        user: User,
        idempotency_key: Annotated[
            str | None, Header(max_length=255, description="The same key and body return the same job.")
        ] = None,
    ) -> Submitted:
        job = studio.jobs.submit(capability.name, body, user=user, source="api", idempotency_key=idempotency_key)
        response.headers["Location"] = f"{request.scope.get('root_path', '')}/api/v1/jobs/{job.id}"
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
    async def get_job(
        id: str,
        user: User,
        wait: Annotated[float, Query(ge=0, le=300, description="Seconds to wait for its end.")] = 0,
    ) -> Job:
        """State, progress, place in line and pictures of a job, and how many records it has given."""
        if wait:
            return await jobs.await_end(id, user=user, timeout=wait)
        return await run_in_threadpool(jobs.get, id, user=user)

    @v1.get("/jobs/{id}/results", tags=["jobs"])
    def get_results(
        id: str,
        user: User,
        after: Annotated[int, Query(ge=-1, le=2**31 - 1, description="The last index that is known already.")] = -1,
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

    @v1.get("/events", tags=["jobs"], response_class=Response, responses=_stream(JobTold))
    async def all_events(request: HttpRequest, user: User) -> Response:
        """How the worker is and every active job, then every change of both and every new job, as long as you listen.

        Events: `job`, whose data is a `JobTold`, `worker`, and `ping` while nothing happens.
        """
        return await request.app.state.streams.answer(jobs.aevents_all(user=user), "all")

    @v1.get("/jobs/{id}/events", tags=["jobs"], response_class=Response, responses=_stream(Event))
    async def job_events(id: str, request: HttpRequest, user: User) -> Response:
        """A snapshot first, then every change; ends after the last one. Each event's data is an `Event`."""
        return await request.app.state.streams.answer(jobs.aevents(id, user=user), "one")


def _stream(data: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "string", "description": f"Server-sent events; the data of each is a `{data.__name__}`."}
    return {200: {"content": {"text/event-stream": {"schema": schema}}}, 503: {"model": Error}}
