"""What a job asks of the model manager. No torch here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

UNDERSTANDING = "understanding"
"""The task of a `PipelineSpec` that asks for a `studio.models.readers.Reader`."""
TOOL = "tool"
"""The task of a `PipelineSpec` that asks for a `studio.models.tools.Tool`."""

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and a sentence. May raise `studio.errors.Cancelled`."""


@dataclass(frozen=True)
class PipelineSpec:
    """Which rows a job needs at the same time: their weights are shared, everything else is made for one use."""

    family: str
    task: str = "text-to-image"
    """One of `families.TASKS`, or the kind of a row that does one thing: `UNDERSTANDING`, `TOOL`."""
    sampler: str = ""
    """Sampler id; empty is the family's own."""
    extras: tuple[str, ...] = ()
    """Ids of rows that are used beside the family, such as the reader that judges what it draws. They are loaded with
    it, counted with it, and none of the set is put away while it is used. The view's ``extras[id]`` is each one's own
    view."""


@dataclass(frozen=True)
class Resident:
    """A family whose weights are in memory."""

    family: str
    bytes: int
    device: str
    last_used: float
    """Seconds since the epoch."""
    tasks: tuple[str, ...]
