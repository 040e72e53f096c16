"""Whether a picture is of the toy world that a small model learned, or something it cannot know. No torch here.

A model that saw nothing but its world answers about a photograph as surely as about its world. What its CLIP makes of a
picture tells them apart: the means and spreads over the patches in each of its layers, weighed by
``doubt.safetensors`` beside its weights, which `studio.starter.doubt` makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studio.models.catalog import Catalog
from studio.models.families import Family

FILE = "doubt.safetensors"


@dataclass(frozen=True)
class Doubt:
    """Weighs what `studio.models.encoders.DualEncoder.texture` gives."""

    centre: NDArray[np.float32]
    weight: NDArray[np.float32]
    """Both [d]."""
    bias: float

    def outside(self, seen: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Of pictures [n, d] whether each is not of the world."""
        return (seen - self.centre) @ self.weight + self.bias > 0


def doubt_of(folder: Path) -> Doubt | None:
    """The one that came with the model in ``folder``; None where none did."""
    file = folder / FILE
    return _read(file, file.stat().st_mtime_ns) if file.is_file() else None


@lru_cache(maxsize=4)
def _read(file: Path, changed: int) -> Doubt:
    del changed  # part of the key: a pack that was trained again is read again
    from safetensors.numpy import load_file

    kept = load_file(file)
    return Doubt(kept["centre"], kept["weight"], float(kept["bias"][0]))


def warning(family: Family, catalog: Catalog) -> str:
    """What the user should know of ``family``'s answer about a picture that is not of its world."""
    real = [row for row in catalog.all() if row.kind == family.kind and not row.world]
    named = max(real, key=lambda row: len(row.features & family.features), default=None)
    instead = f" {named.name} knows real pictures: fetch it on the Models tab." if named else ""
    return (
        f"{family.name} knows only its toy world of drawn objects, and this picture is not of it: "
        f"what it says is a guess.{instead}"
    )
