"""What the tabs share on the Python side: who is asking, which capabilities draw, what a small model can draw."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.capability import Capability
from studio.errors import StudioError

if TYPE_CHECKING:
    from studio import Studio

USER = "local"
"""Owner of everything made in the page, until there are accounts."""

Action = Callable[[dict[str, Any]], dict[str, Any]]
"""What the page's script calls: JSON in, JSON out. Raises `StudioError` for the user."""


def drawing(capabilities: Iterable[Capability]) -> list[Capability]:
    """Those that make pictures; the others answer about pictures that are there."""
    return [each for each in capabilities if not each.hidden and each.makes == "pictures"]


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
