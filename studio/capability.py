"""What a capability is: a frozen request in, pictures or records out. Surfaces and worker speak only these types."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from studio.references import BoardId, PictureId

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from studio.models.catalog import Catalog
    from studio.models.manager import ModelManager
    from studio.settings import Settings


class Request(BaseModel):
    """Everything a result depends on. The same class is the REST body, the CLI flags, the form and the audit record."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PicturesRequest(Request):
    """The usual part of a request about pictures that are there already."""

    pictures: tuple[PictureId, ...] = Field(
        default=(), max_length=5000, description="Ids of gallery pictures or uploads; the command line takes files."
    )
    board: BoardId = Field(default="", description="Id of a board: all pictures in it.")


@dataclass(frozen=True)
class Output:
    """One finished picture, before trust has stamped it.

    ``parameters`` is the resolved request of this one picture (its own seed, the expanded prompt ...): JSON types only.
    ``notes`` are sentences the user should read, such as what part of a prompt was cut.
    """

    image: Image
    seed: int
    parameters: dict[str, Any]
    notes: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    """Ids of the gallery pictures and uploads that this picture was made from."""


@dataclass(frozen=True)
class Record:
    """One finished answer of a job that makes no picture, kept as soon as it is yielded. JSON types only.

    ``index`` is its place in the job (usually the picture's place in the request). After the loss of a worker the job
    runs again, and what `Context.kept` names need not be made again.
    """

    index: int
    data: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """What is known of a picture or clip that a request names."""

    id: str
    name: str
    """File name of an upload; of a gallery picture the start of its prompt."""
    prompt: str = ""
    """What a gallery picture was made from; empty for uploads."""
    is_clip: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Of a gallery picture, as they are kept with it; empty for uploads, whatever their file says."""


class Words(Protocol):
    """What a user keeps under a name and means in a prompt."""

    def style(self, name: str) -> tuple[str, str] | None:
        """The texts (prompt, negative) of a saved style; None when there is none."""
        ...

    def wildcard(self, name: str) -> list[str]:
        """Lines of the wildcard file ``__name__``; empty when there is none."""
        ...


class Context(Protocol):
    """What a running capability may use."""

    models: ModelManager
    settings: Settings
    catalog: Catalog
    kept: frozenset[int]
    """Indexes of the records that an earlier attempt of this job has kept."""

    def source(self, id: str) -> Source:
        """Raises `StudioError` 404 for an id that is not the owner's."""
        ...

    def picture(self, id: str, *, alpha: bool = False) -> Image:
        """RGB, upright; with ``alpha`` a picture with transparent parts is RGBA.

        Raises `StudioError` 404, 410 when the file is gone, 422 when it cannot be read."""
        ...

    def unmarked(self, id: str, *, alpha: bool = False) -> Image:
        """As `picture`, to draw from: of a picture that was edited here the pixels from before its watermark, so that
        the marks of one edit after the other do not pile up where none of them changes anything."""
        ...

    def file(self, id: str) -> Path:
        """The stored file of a picture or clip. Raises as `picture` does."""
        ...

    def keep_vectors(self, model: str, vectors: Mapping[tuple[str, float], NDArray[np.float32]]) -> None:
        """Store embeddings for the search: (picture or clip id, seconds into the clip or 0) -> unit vector [d]."""
        ...

    def progress(self, step: int, steps: int, preview: Image | None = None, message: str = "") -> None:
        """Report ``step`` of ``steps`` of the whole job. Raises `Cancelled` once the owner has cancelled."""
        ...

    @property
    def words(self) -> Words:
        """The owner's styles and wildcards."""
        ...


class Capability(ABC):
    """Something the studio can do. One instance each in `studio.capabilities.ALL`."""

    name: ClassVar[str]
    """Kebab case: the route, the command, the registry key."""
    title: ClassVar[str]
    summary: ClassVar[str]
    request: ClassVar[type[Request]]
    makes: ClassVar[Literal["pictures", "records"]]
    """What comes out: `Output`s, which the gallery keeps, or `Record`s."""
    priority: ClassVar[int] = 0
    """Place in line: above 0 goes before everybody's pictures (an answer somebody waits for), below 0 after them."""
    light: ClassVar[float] = 0.0
    """Up to this size (`work`) somebody waits for the answer: it may run beside a drawing. 0 is never."""
    hidden: ClassVar[bool] = False
    """Work of the studio itself (embeddings for the search): surfaces do not offer it nor list its jobs."""

    def adopt(self, request: Any, source: Callable[[str], Source], catalog: Catalog) -> Any:
        """At submit, before `prepare`: take from the pictures that ``request`` names what it leaves open.

        ``source(id)`` tells what is known of one. Raises `StudioError` where such a picture will not do.
        """
        return request

    @abstractmethod
    def prepare(self, request: Any, catalog: Catalog) -> Request:
        """Fill every default (seed, steps, size ...) and check what the schema alone cannot. Pure, no torch, at submit.

        The same prepared request gives the same picture on the same machine. Raises `StudioError`.
        """

    def check(self, request: Any, words: Words, catalog: Catalog) -> None:  # noqa: B027
        """Refuse at submit what a prepared request says in its owner's words: unknown styles, wildcards that are not
        there. Raises `StudioError`. Nothing to refuse unless a capability says so."""

    @abstractmethod
    def run(self, request: Any, context: Context) -> Iterator[Output | Record]:
        """Yield what is finished, calling ``context.progress`` at least once per denoising step or picture read."""

    def work(self, request: Any) -> float:
        """Size of a prepared request, in any unit proportional to its seconds (pictures x steps x pixels ...)."""
        return 1.0
