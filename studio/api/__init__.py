"""REST, made from the capability registry: a new capability has its route, its schema and its documentation at once."""

from __future__ import annotations

import base64
import logging
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, FastAPI, Header, Query, Response
from fastapi import Request as HttpRequest
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text as sql
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from studio.api.guard import Guard
from studio.capability import Capability, Request
from studio.errors import StudioError, refusal
from studio.jobs import Job
from studio.media.images import read_parameters
from studio.models.families import Family
from studio.reading.records import to_csv
from studio.references import PictureId
from studio.search import Found, Point, Status
from studio.store.gallery import Asset, Page
from studio.store.library import Board, Lineage, Upload
from studio.store.words import MAX_QUESTIONS, QUESTION_LENGTH, Checklist

if TYPE_CHECKING:
    from studio import Studio

log = logging.getLogger(__name__)

STALE_BEAT = 10.0
"""Seconds without a sign of life after which the worker does not count as ready."""


class Error(BaseModel):
    """What every refusal looks like."""

    error: str = Field(description="One sentence that names the fix.")
    field: str | None = Field(None, description="The request field at fault.")


class Submitted(BaseModel):
    id: str = Field(description="Of the job: ask /api/v1/jobs/{id} or listen to /api/v1/jobs/{id}/events.")


class Event(BaseModel):
    """Data of one server-sent event; its name is state, progress or output."""

    job: Job = Field(description="Its request is in the first event only: it does not change, and may be long.")
    preview: str | None = Field(description="The picture so far as a data URI, when there is a new one.")


class Model(BaseModel):
    id: str
    kind: str = Field(description="diffusion: it draws. understanding: it reads pictures.")
    name: str
    summary: str
    licence: str
    commercial: bool
    native_size: int
    steps: int
    guidance: float
    sampler: str
    features: list[str]
    memory_gb: float
    download_gb: float
    default: bool
    available: bool = Field(description="Its weights are on this computer.")
    resident: bool = Field(description="Its weights are in memory.")


class Selection(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ids: list[Annotated[str, Field(max_length=64)]] = Field(min_length=1, max_length=500, description="Asset ids.")


class Starring(Selection):
    on: bool = Field(True, description="False takes the star away.")


class Changed(BaseModel):
    changed: int = Field(description="How many pictures were changed; other people's and unknown ids are passed over.")


class Pictures(BaseModel):
    model_config = ConfigDict(extra="forbid")
    pictures: list[PictureId] = Field(min_length=1, max_length=5000, description="Ids of gallery pictures or uploads.")


class Picture(BaseModel):
    """A gallery picture or an upload, whichever its id is of."""

    id: str
    name: str
    prompt: str
    is_clip: bool
    url: str
    thumbnail: str


class BoardName(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=80)


class NewBoard(BoardName):
    pictures: list[PictureId] = Field(default=[], max_length=5000, description="Ids of gallery pictures or uploads.")


class BoardContent(BaseModel):
    board: Board
    pictures: tuple[str, ...] = Field(description="Ids, in the order in which they were added.")


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")
    question: str = Field(min_length=1, max_length=QUESTION_LENGTH)
    want: bool = Field(True, description="The good answer: true is yes.")


class NewChecklist(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=80)
    questions: list[Question] = Field(min_length=1, max_length=MAX_QUESTIONS)


class Wanted(BaseModel):
    """What to search for: the parts add up, and `unlike` is taken away."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field("", max_length=2000, description="What is to be seen, in words.")
    like: list[PictureId] = Field(
        default=[], max_length=20, description="Ids of pictures that the hits should be like."
    )
    unlike: str = Field("", max_length=2000, description="What is not to be seen, in words.")
    limit: int = Field(60, ge=1, le=500)
    model: str = Field("", max_length=64, description="Model id; empty is the model of the search.")


class Health(BaseModel):
    status: str
    version: str
    instance: str = Field(description="Random, new with every start: tells one server from another.")


class Readiness(BaseModel):
    ready: bool
    problems: list[str]


def current_user() -> str:
    """Who asks. One local user for now; every route goes through here, so that accounts are one change."""
    return "local"


User = Annotated[str, Depends(current_user)]
_ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": Error} for status in (404, 422)}
_IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable", "Content-Security-Policy": "default-src 'none'"}

_RAW_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


async def _raw_body(request: HttpRequest) -> bytes:
    """Whatever its content type says."""
    return await request.body()


def create_api(studio: Studio) -> FastAPI:
    """Every route but the page's. The page mounts itself afterwards, because its mount at "/" swallows later routes."""
    from studio import __version__

    api = FastAPIOffline(
        docs_url="/api/docs",
        redoc_url=None,
        static_url="/api/static",
        openapi_url="/api/openapi.json",
        swagger_ui_oauth2_redirect_url="/api/docs/oauth2-redirect",
        title="Creative Studio",
        version=__version__,
        description="Submit a request, get a job id at once, follow its events, fetch the pictures. "
        "Every refusal is `{error, field}` with one sentence that names the fix.",
    )
    api.state.instance = secrets.token_hex(16)
    settings = studio.settings
    on_space = "SPACE_ID" in os.environ
    api.add_middleware(
        Guard,
        names=(settings.host, *settings.allowed_hosts.split(",")),
        framed=on_space,
        limits=dict.fromkeys(("/api/v1/parameters", "/api/v1/uploads"), settings.max_upload_mb * 1_000_000),
    )
    api.add_exception_handler(StudioError, _on_studio_error)
    api.add_exception_handler(RequestValidationError, _on_validation_error)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(Exception, _on_crash)

    v1 = APIRouter(prefix="/api/v1", responses=_ERRORS)
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
    _add_jobs(v1, studio)
    _add_gallery(v1, studio)
    _add_library(v1, studio)
    _add_search(v1, studio)
    _add_models(v1, studio)
    api.include_router(v1)
    _add_probes(api, studio)
    return api


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


def _add_jobs(v1: APIRouter, studio: Studio) -> None:
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


def _add_gallery(v1: APIRouter, studio: Studio) -> None:
    gallery = studio.gallery

    @v1.get("/gallery", tags=["gallery"])
    def list_pictures(
        user: User,
        limit: Annotated[int, Query(ge=1, le=500)] = 60,
        before: Annotated[str | None, Query(max_length=100, description="`next` of the page before.")] = None,
        capability: str | None = None,
        model: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        starred: bool | None = None,
        text: Annotated[str, Query(max_length=200, description="Occurs in the prompt.")] = "",
        deleted: bool = False,
    ) -> Page:
        """Pictures, newest first."""
        return gallery.page(
            user=user,
            limit=limit,
            before=before,
            capability=capability,
            family=model,
            since=since,
            until=until,
            starred=starred,
            text=text,
            deleted=deleted,
        )

    @v1.get("/gallery/{id}", tags=["gallery"])
    def get_picture(id: str, user: User) -> Asset:
        """One picture with all its parameters."""
        return gallery.get(id, user=user)

    @v1.get("/gallery/{id}/lineage", tags=["gallery"])
    def get_lineage(id: str, user: User) -> Lineage:
        """What a picture was made from, and what was made from it."""
        return studio.library.lineage(id, user=user)

    @v1.post("/gallery/star", tags=["gallery"])
    def star(body: Starring, user: User) -> Changed:
        for id in body.ids:
            gallery.star(id, body.on, user=user)
        return Changed(changed=len(body.ids))

    @v1.post("/gallery/delete", tags=["gallery"])
    def delete(body: Selection, user: User) -> Changed:
        """Can be undone with restore for 30 days."""
        return Changed(changed=gallery.delete(body.ids, user=user))

    @v1.post("/gallery/restore", tags=["gallery"])
    def restore(body: Selection, user: User) -> Changed:
        return Changed(changed=gallery.restore(body.ids, user=user))

    @v1.get("/assets/{id}", tags=["gallery"], response_class=FileResponse)
    def get_asset(id: str, user: User, download: bool = False) -> FileResponse:
        """The PNG exactly as it was released; `?download=1` makes a browser save it."""
        asset = gallery.get(id, user=user)
        name = f"{asset.capability}-{asset.seed}-{asset.id[:8]}.png" if download else None
        return FileResponse(gallery.file(id, user=user), media_type="image/png", filename=name, headers=_IMMUTABLE)

    @v1.get("/assets/{id}/thumbnail", tags=["gallery"], response_class=FileResponse)
    def get_thumbnail(id: str, user: User) -> FileResponse:
        """WebP of at most 256 pixels a side."""
        return FileResponse(gallery.thumbnail(id, user=user), media_type="image/webp", headers=_IMMUTABLE)

    @v1.post("/parameters", tags=["gallery"])
    def parameters_of(
        picture: Annotated[bytes, Body(media_type="application/octet-stream", description="PNG, JPEG or WebP file.")],
    ) -> dict[str, Any] | None:
        """The settings a picture file carries, ours or another tool's; null when it carries none."""
        return read_parameters(picture)


def _add_library(v1: APIRouter, studio: Studio) -> None:
    library = studio.library

    @v1.post("/uploads", tags=["library"], status_code=201, openapi_extra=_RAW_BODY)
    def upload(
        user: User,
        file: Annotated[bytes, Depends(_raw_body)],
        name: Annotated[str, Query(max_length=1000, description="File name.")] = "",
    ) -> Upload:
        """Hand in a picture (PNG, JPEG, WebP, GIF) or a clip (MP4, WebM, MOV) as the body of the request.

        The same file a second time is the same upload.
        """
        return library.add(file, name, user=user)

    @v1.get("/uploads", tags=["library"])
    def list_uploads(user: User, limit: Annotated[int, Query(ge=1, le=5000)] = 200) -> list[Upload]:
        """Newest first."""
        return library.uploads(user, limit)

    @v1.get("/uploads/{id}", tags=["library"], response_class=FileResponse)
    def get_upload(id: str, user: User, download: bool = False) -> FileResponse:
        """The file exactly as it was handed in; `?download=1` makes a browser save it."""
        found = library.get(id, user=user)
        name = found.name if download else None
        path = library.file(id, user=user)
        return FileResponse(path, media_type=found.media_type, filename=name, headers=_IMMUTABLE)

    @v1.get("/uploads/{id}/thumbnail", tags=["library"], response_class=FileResponse)
    def get_upload_thumbnail(id: str, user: User) -> FileResponse:
        """WebP of at most 256 pixels a side; of a clip its first frame."""
        library.get(id, user=user)
        return FileResponse(library.thumbnail(id, user=user), media_type="image/webp", headers=_IMMUTABLE)

    @v1.delete("/uploads/{id}", tags=["library"])
    def delete_upload(id: str, user: User) -> Changed:
        """Can be undone for 30 days, by restore or by handing the file in again."""
        library.get(id, user=user)
        return Changed(changed=library.delete([id], user=user))

    @v1.post("/uploads/restore", tags=["library"])
    def restore_uploads(body: Selection, user: User) -> Changed:
        return Changed(changed=library.restore(body.ids, user=user))

    @v1.get("/pictures/{id}", tags=["library"])
    def get_any_picture(id: str, user: User) -> Picture:
        """What is known of a gallery picture or an upload, and where its file is."""
        source = library.source(id, user=user)
        url = f"/api/v1/{'uploads' if library.has(id, user=user) else 'assets'}/{id}"
        return Picture(**asdict(source), url=url, thumbnail=f"{url}/thumbnail")

    @v1.get("/boards", tags=["library"])
    def list_boards(user: User) -> list[Board]:
        """By name."""
        return library.boards(user)

    @v1.post("/boards", tags=["library"], status_code=201, responses={409: {"model": Error}})
    def create_board(body: NewBoard, user: User) -> Board:
        return library.create_board(user, body.name, body.pictures)

    @v1.get("/boards/{id}", tags=["library"])
    def get_board(id: str, user: User) -> BoardContent:
        pictures = library.board_pictures(id, user=user)
        return BoardContent(board=_board(id, user), pictures=pictures)

    @v1.patch("/boards/{id}", tags=["library"], responses={409: {"model": Error}})
    def rename_board(id: str, body: BoardName, user: User) -> Board:
        library.rename_board(id, body.name, user=user)
        return _board(id, user)

    @v1.delete("/boards/{id}", tags=["library"], status_code=204)
    def delete_board(id: str, user: User) -> None:
        """The pictures on it stay."""
        library.delete_board(id, user=user)

    @v1.post("/boards/{id}/add", tags=["library"])
    def add_to_board(id: str, body: Pictures, user: User) -> Changed:
        return Changed(changed=library.add_to_board(id, body.pictures, user=user))

    @v1.post("/boards/{id}/remove", tags=["library"])
    def remove_from_board(id: str, body: Pictures, user: User) -> Changed:
        return Changed(changed=library.remove_from_board(id, body.pictures, user=user))

    def _board(id: str, user: str) -> Board:
        return next(board for board in library.boards(user) if board.id == id)

    @v1.get("/checklists", tags=["library"])
    def list_checklists(user: User) -> list[Checklist]:
        """By name."""
        return studio.words.checklists(user)

    @v1.post("/checklists", tags=["library"])
    def save_checklist(body: NewChecklist, user: User) -> Checklist:
        """Create or replace."""
        return studio.words.save_checklist(user, body.name, [each.model_dump() for each in body.questions])

    @v1.delete("/checklists/{name:path}", tags=["library"], status_code=204)
    def delete_checklist(name: str, user: User) -> None:
        studio.words.delete_checklist(user, name)


def _add_search(v1: APIRouter, studio: Studio) -> None:
    search = studio.search

    @v1.post("/search", tags=["search"], responses={503: {"model": Error}})
    def find(body: Wanted, user: User) -> Found:
        """Pictures and moments of clips by what is on them, closest first."""
        return search.find(
            user=user, text=body.text, like=body.like, unlike=body.unlike, limit=body.limit, model=body.model
        )

    @v1.get("/search/status", tags=["search"])
    def search_status(user: User) -> Status:
        """How much can be found yet."""
        return search.status(user)

    @v1.get("/search/duplicates", tags=["search"])
    def duplicates(user: User, threshold: Annotated[float, Query(ge=0.5, le=1)] = 0.96) -> list[list[str]]:
        """Groups of ids of pictures that look almost the same."""
        return search.duplicates(user, threshold)

    @v1.get("/search/map", tags=["search"])
    def picture_map(user: User, limit: Annotated[int, Query(ge=1, le=50_000)] = 10_000) -> list[Point]:
        """Pictures on a plane on which alike ones lie close."""
        return search.map(user, limit)


def _add_models(v1: APIRouter, studio: Studio) -> None:
    @v1.get("/models", tags=["models"])
    def list_models() -> list[Model]:
        """Every model the studio knows, those that can be used now marked `available`."""
        resident = {each.family for each in studio.executor.state().residents}
        return [_model(family, family.id in resident) for family in studio.catalog.all()]

    def _model(family: Family, resident: bool) -> Model:
        own = {name: getattr(family, name) for name in Model.model_fields if hasattr(family, name)}
        return Model(
            **{**own, "features": sorted(family.features)},
            default=family.id == studio.settings.default_family,
            available=studio.catalog.available(family.id),
            resident=resident,
        )


def _add_probes(api: FastAPI, studio: Studio) -> None:
    @api.get("/healthz", tags=["probes"])
    async def healthz() -> Health:
        """The server process lives."""
        return Health(status="ok", version=api.version, instance=api.state.instance)

    @api.get("/readyz", tags=["probes"], responses={503: {"model": Readiness}})
    def readyz(response: Response) -> Readiness:
        """A job submitted now would run: the database can be written, the worker is alive, the disk has room."""
        problems = _problems(studio)
        response.status_code = 503 if problems else 200
        return Readiness(ready=not problems, problems=problems)


def _problems(studio: Studio) -> list[str]:
    problems = []
    try:
        with studio.database.write() as session:
            session.execute(sql("SELECT 1"))
    except SQLAlchemyError:
        problems.append("The database cannot be written.")
    state = studio.executor.state()
    if state.status in ("starting", "stopped"):
        problems.append(state.message or f"The worker is {state.status}.")
    elif state.last_beat is not None and time.time() - state.last_beat > STALE_BEAT:
        problems.append(f"The worker gave no sign of life for {time.time() - state.last_beat:.0f} s.")
    free = shutil.disk_usage(studio.settings.data_dir).free / 1e6
    if free < studio.settings.min_free_disk_mb:
        problems.append(f"Only {free:.0f} MB of disk are free; {studio.settings.min_free_disk_mb} MB are needed.")
    return problems


# -- refusals ------------------------------------------------------------------------------------------------------


def _answer(error: StudioError) -> JSONResponse:
    headers = {"Retry-After": "10"} if error.status in (429, 503) else None
    return JSONResponse({"error": error.message, "field": error.field}, error.status, headers)


def _on_studio_error(_: HttpRequest, error: Exception) -> JSONResponse:
    assert isinstance(error, StudioError)
    return _answer(error)


def _on_validation_error(_: HttpRequest, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _answer(refusal(error.errors()))


def _on_http_error(request: HttpRequest, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentence = {
        404: "There is nothing at this address; see /api/docs for what there is.",
        405: f"This address does not take {request.method}; see /api/docs for what it takes.",
        400: "The request body could not be read; send a JSON object.",
    }.get(error.status_code, str(error.detail))
    return JSONResponse({"error": sentence, "field": None}, error.status_code, error.headers)


def _on_crash(_: HttpRequest, error: Exception) -> JSONResponse:
    return _answer(
        StudioError("Something went wrong inside the studio; its log has the details, try again.", status=500)
    )
