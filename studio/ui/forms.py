"""What the tabs share on the Python side: who is asking, sizes by aspect ratio, what a model can draw."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.capability import Capability
from studio.errors import StudioError

if TYPE_CHECKING:
    from studio import Studio
    from studio.models.families import Family

USER = "local"
"""Owner of everything made in the page, until there are accounts."""

Action = Callable[[dict[str, Any]], dict[str, Any]]
"""What the page's script calls: JSON in, JSON out. Raises `StudioError` for the user."""


def drawing(capabilities: Iterable[Capability]) -> list[Capability]:
    """Those that make pictures; the others answer about pictures that are there."""
    return [each for each in capabilities if not each.hidden and each.makes == "pictures"]


RATIOS: dict[str, float] = {"1:1": 1.0, "4:3": 4 / 3, "3:4": 3 / 4, "16:9": 16 / 9, "9:16": 9 / 16}


def preset_size(family: Family, ratio: str) -> tuple[int, int]:
    """(width, height) in pixels for ``ratio`` at about the family's native area, within its limits and on its grid."""
    value, grid = RATIOS[ratio], family.size_multiple
    width, height = family.native_size * math.sqrt(value), family.native_size / math.sqrt(value)
    grow = max(1.0, family.min_size / min(width, height))

    def snap(side: float) -> int:
        return min(max(round(side * grow / grid) * grid, family.min_size), family.max_size)

    return snap(width), snap(height)


def ratio_of(family: Family, width: int, height: int) -> str | None:
    """The preset that gives exactly this size, or None for a size of the user's own."""
    return next((name for name in RATIOS if preset_size(family, name) == (width, height)), None)


@dataclass(frozen=True)
class Vocabulary:
    """What a small model says it can draw (``vocabulary.json`` beside its weights)."""

    objects: tuple[str, ...]
    styles: tuple[str, ...]
    colours: dict[str, str]
    """Name -> ``#rrggbb``."""
    examples: tuple[str, ...]
    limits: str


def vocabulary(studio: Studio, family: str) -> Vocabulary | None:
    """The vocabulary published with a family, or None for models that draw anything or are not on this disk."""
    try:
        place = studio.catalog.location(family)
    except StudioError:
        return None
    for folder in (place, place.parent):
        path = folder / "vocabulary.json"
        if path.is_file():
            data = json.loads(path.read_text(encoding="utf-8"))
            return Vocabulary(
                tuple(data["objects"]),
                tuple(data["styles"]),
                dict(data["colours"]),
                tuple(data["prompt_examples"]),
                data["limits"],
            )
    return None
