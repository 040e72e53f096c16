"""What the search answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Hit:
    id: str
    """Of a gallery picture or an upload."""
    score: float
    """Cosine with the query, -1 to 1."""
    time: float
    """Seconds into a clip; 0 for a picture."""


@dataclass(frozen=True)
class Found:
    hits: tuple[Hit, ...]
    note: str
    """What the user should know, such as pictures that cannot be found yet; often empty."""
    embedded: int
    total: int


@dataclass(frozen=True)
class Point:
    """Place of a picture on the map; both from -1 to 1."""

    id: str
    x: float
    y: float


@dataclass(frozen=True)
class Status:
    model: str
    """The family that makes the vectors; empty where none is on this computer."""
    embedded: int
    total: int
    kind: Literal["exact", "approximate"]
    note: str
