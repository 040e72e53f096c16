"""What the supervisor and its worker process say to each other, and how it travels.

A frame is two big-endian 32-bit lengths, a JSON header (``type`` and the fields) and bytes (the ``blob`` of a message
that has one). What is not one of these messages is a `ProtocolError`: both ends are of one studio, so something is
broken.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import IO, Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from studio.jobs import Lane, Resident
from studio.models.families import Hardware


class ProtocolError(Exception):
    """The other end said something that is no message."""


# -- to the worker -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """The first message, once."""

    lane: Lane
    parent: int
    """Process id of the server: when it ends, so does the worker."""
    path: list[str]
    settings: dict[str, Any]
    capabilities: str
    warm: bool
    """Import torch and find the device before anything is asked."""
    log_level: int
    followed: float
    """When the worker started that has died before this one, by ``time.time()``; 0 for the first."""


@dataclass(frozen=True)
class Run:
    id: str
    """Of a leased job."""


@dataclass(frozen=True)
class Cancel:
    id: str


@dataclass(frozen=True)
class Command:
    op: Literal["load", "unload"]
    family: str


@dataclass(frozen=True)
class Read:
    """Words that somebody waits for: `WordVectors` or `Unread` of the same ``id`` answer, also while a job runs."""

    id: str
    family: str
    texts: list[str]


# -- to the supervisor -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ready:
    """The worker takes jobs."""

    residents: list[Resident]
    hardware: Hardware | None


@dataclass(frozen=True)
class Idle:
    """The job or command is over, and the next may come."""

    residents: list[Resident]
    hardware: Hardware | None
    message: str = ""


@dataclass(frozen=True)
class Said:
    """One sentence for the user about what goes on."""

    message: str


@dataclass(frozen=True)
class Beat:
    """Nothing to say, and still here."""


@dataclass(frozen=True)
class Fatal:
    """The worker cannot start."""

    error: str


@dataclass(frozen=True)
class Begun:
    """From here on a death of the worker is the job's own loss."""

    id: str


@dataclass(frozen=True)
class Progress:
    id: str
    step: int
    steps: int
    message: str = ""
    blob: bytes = b""
    """A small WebP of the picture so far, or nothing."""


@dataclass(frozen=True)
class Kept:
    """A picture or a record of the job is in the database."""

    id: str


@dataclass(frozen=True)
class Done:
    id: str
    notes: list[str]


@dataclass(frozen=True)
class Failed:
    id: str
    error: str
    field: str | None = None


@dataclass(frozen=True)
class Stopped:
    """Its owner has cancelled the job."""

    id: str


@dataclass(frozen=True)
class WordVectors:
    id: str
    count: int
    blob: bytes
    """Little-endian float32 of ``count`` unit vectors."""


@dataclass(frozen=True)
class Unread:
    id: str
    error: str
    field: str | None
    status: int


Order = Start | Run | Cancel | Command | Read
Report = Begun | Progress | Kept | Done | Failed | Stopped
"""About one job."""
Answer = Ready | Idle | Said | Beat | Fatal | Report | WordVectors | Unread
Message = Order | Answer

_TYPES: tuple[type[Any], ...] = (
    *(Start, Run, Cancel, Command, Read),
    *(Ready, Idle, Said, Beat, Fatal, Begun, Progress, Kept, Done, Failed, Stopped, WordVectors, Unread),
)
_KINDS = {each.__name__: TypeAdapter(with_config(ConfigDict(extra="forbid"))(each)) for each in _TYPES}
_WITH_BLOB = {each.__name__ for each in _TYPES if "blob" in each.__dataclass_fields__}


def encode(message: Message) -> bytes:
    fields = asdict(message)
    blob: bytes = fields.pop("blob", b"")
    header = json.dumps({"type": type(message).__name__, **fields}).encode()
    return struct.pack(">II", len(header), len(blob)) + header + blob


def decode(header: bytes, blob: bytes) -> Message:
    """Raises `ProtocolError`."""
    try:
        fields = json.loads(header)
        kind = fields.pop("type")
        if blob or kind in _WITH_BLOB:
            fields["blob"] = blob
        return _KINDS[kind].validate_python(fields)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ProtocolError(f"{type(error).__name__} in {header[:200]!r}") from error


def write(pipe: IO[bytes], message: Message) -> None:
    pipe.write(encode(message))
    pipe.flush()


def read(pipe: IO[bytes]) -> Message | None:
    """The next message; None at the end of the pipe, also in the middle of a frame. Raises `ProtocolError`."""
    lengths = pipe.read(8)
    if len(lengths) < 8:
        return None
    size, extra = struct.unpack(">II", lengths)
    header, blob = pipe.read(size), pipe.read(extra)
    return decode(header, blob) if len(header) == size and len(blob) == extra else None
