"""Sizes that a family can draw. Pixels of the finished picture, throughout."""

from __future__ import annotations

import math

from studio.errors import StudioError
from studio.models.families import Family


def limits(family: Family) -> tuple[int, int]:
    """(shortest, longest) side on the family's grid."""
    grid = family.size_multiple
    return -(-family.min_size // grid) * grid, family.max_size // grid * grid


def snap(family: Family, side: float) -> int:
    """The side nearest to ``side`` that ``family`` can draw."""
    low, high = limits(family)
    return min(max(round(side / family.size_multiple) * family.size_multiple, low), high)


def check_size(family: Family, width: int, height: int) -> None:
    """Raise `StudioError` naming the nearest valid side when ``family`` cannot draw ``width`` x ``height``."""
    low, high = limits(family)
    for name, value in (("width", width), ("height", height)):
        nearest = snap(family, value)
        if value != nearest:
            raise StudioError(
                f"{family.name} draws a {name} from {low} to {high} in steps of {family.size_multiple}; "
                f"use {nearest} instead of {value}.",
                field=name,
            )


def size_like(family: Family, width: float, height: float) -> tuple[int, int]:
    """(width, height) of about the family's native area in the shape of ``width`` x ``height``, on its grid."""
    ratio = math.sqrt(width / height)
    wide, high = family.native_size * ratio, family.native_size / ratio
    grow = max(1.0, family.min_size / min(wide, high))
    return snap(family, wide * grow), snap(family, high * grow)
