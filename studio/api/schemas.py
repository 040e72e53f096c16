"""What the routes take and give that no other package defines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from studio.jobs import Job
from studio.references import PictureId
from studio.store.boards import Board
from studio.store.gallery import Asset
from studio.store.library import Upload
from studio.store.words import MAX_QUESTIONS, QUESTION_LENGTH

IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable", "Content-Security-Policy": "default-src 'none'"}
"""Headers of a file whose address never means another one."""


RAW_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
"""Of a route that takes a file as the body of the request, whatever its content type says."""


def _bounded(moment: datetime) -> datetime:
    """In UTC, and of the years that calendars and databases agree on: nothing here was made outside them."""
    if moment.year < 1901:
        return datetime(1900, 1, 1, tzinfo=UTC)
    return datetime(9000, 1, 1, tzinfo=UTC) if moment.year > 8999 else moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_bounded)]


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


class JobTold(Event):
    """Data of a `job` event of the stream of all jobs."""

    id: str = Field(description="Of the job.")
    kind: Literal["state", "progress", "output"]


class WorkerTold(BaseModel):
    """Data of a `worker` event of the stream of all jobs."""

    status: Literal["starting", "ready", "busy", "stopped"]
    device: str
    message: str = Field(description="One sentence when there is something to say, such as a model being loaded.")
    residents: list[str] = Field(description="Ids of the models in memory.")


class Model(BaseModel):
    id: str
    kind: str = Field(description="diffusion: it draws. understanding: it reads pictures. tool: one thing.")
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


class KnownPictures(BaseModel):
    """What is known of many pictures at once, each with all its parameters; those that are gone are left out."""

    assets: list[Asset]
    uploads: list[Upload]


class BoardName(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=80)


class NewBoard(BoardName):
    pictures: list[PictureId] = Field(default=[], max_length=5000, description="Ids of gallery pictures or uploads.")


class BoardContent(BaseModel):
    board: Board
    pictures: tuple[str, ...] = Field(description="Ids, in the order in which they were added.")


class NewStyle(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=80)
    prompt: str = Field("", max_length=10_000, description="Joins the prompt; `{prompt}` in it is the prompt.")
    negative: str = Field("", max_length=10_000, description="Joins the negative prompt.")


class Wildcard(BaseModel):
    name: str
    lines: list[str] = Field(description="Its choices.")


class WildcardText(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=80, description="Letters, digits, _ and - only.")
    text: str = Field(min_length=1, max_length=1_000_000, description="One choice a line.")


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
    capability: str | None = Field(None, max_length=64, description="With one of these four, uploads are left out.")
    family: str | None = Field(None, max_length=64, description="Id of the model that made the picture.")
    starred: bool | None = None
    since: Moment | None = None
    everything: bool = Field(False, description="Also what the words hardly fit; else words find only what they fit.")


class Health(BaseModel):
    status: str
    version: str
    instance: str = Field(description="Random, new with every start: tells one server from another.")


class Readiness(BaseModel):
    ready: bool
    problems: list[str]
