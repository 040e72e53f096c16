"""What a job asks of the model manager. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

UNDERSTANDING = "understanding"
"""The task of a `PipelineSpec` that asks for a `studio.models.readers.Reader`."""


@dataclass(frozen=True)
class PipelineSpec:
    """Which pipeline a job needs: the weights are shared, everything else is made for one use."""

    family: str
    task: str = "text-to-image"
    """One of `families.TASKS`, or "understanding" for the reader of a family that understands pictures."""
    sampler: str = ""
    """Sampler id; empty is the family's own."""


@dataclass(frozen=True)
class Resident:
    """A family whose weights are in memory."""

    family: str
    bytes: int
    device: str
    last_used: float
    """Seconds since the epoch."""
    tasks: tuple[str, ...]
