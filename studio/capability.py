"""What a capability is: a frozen request in, finished pictures out. Every surface and the worker speak only these types."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from PIL.Image import Image

    from studio.families import Catalog
    from studio.models import ModelManager
    from studio.settings import Settings


class StudioError(Exception):
    """One sentence for the user that names the fix. ``status`` is its HTTP status, ``field`` the request field at fault."""

    def __init__(self, message: str, *, field: str | None = None, status: int = 422) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.status = status


class Cancelled(Exception):
    """Raised inside a running job when its owner cancelled it; everything unwinds, nothing is kept."""


class Request(BaseModel):
    """Everything a result depends on. The same class is the REST body, the CLI flags, the form and the audit record."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
    """Asset ids this picture was made from."""


class Context(Protocol):
    """What a running capability may use."""

    models: ModelManager
    settings: Settings
    catalog: Catalog

    def progress(self, step: int, steps: int, preview: Image | None = None, message: str = "") -> None:
        """Report ``step`` of ``steps`` of the whole job. Raises `Cancelled` once the owner has cancelled."""
        ...

    def wildcard(self, name: str) -> list[str]:
        """Lines of the owner's wildcard file ``__name__``; empty when there is none."""
        ...


class Capability(ABC):
    """Something the studio can do. One instance each in `studio.capabilities.ALL`."""

    name: ClassVar[str]
    """Kebab case: the route, the command, the registry key."""
    title: ClassVar[str]
    summary: ClassVar[str]
    request: ClassVar[type[Request]]

    @abstractmethod
    def prepare(self, request: Any, catalog: Catalog) -> Request:
        """Fill every default (seed, steps, size ...) and check what the schema alone cannot. Pure, no torch, at submit.

        The same prepared request gives the same picture on the same machine. Raises `StudioError`.
        """

    @abstractmethod
    def run(self, request: Any, context: Context) -> Iterator[Output]:
        """Yield finished pictures, calling ``context.progress`` at least once per denoising step."""

    def work(self, request: Any) -> float:
        """Size of a prepared request in any unit proportional to its seconds (e.g. pictures x steps x pixels), for the ETA."""
        return 1.0
