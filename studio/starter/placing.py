"""Where things stand in a scene, how large they are, and the words for both."""

from __future__ import annotations

import math
import random
from typing import Literal

Layout = Literal["single", "left_right", "above_below", "large_small", "count", "figure"]
Spot = tuple[float, float, float]
"""Centre x, centre y and longest side, in cells of the grid."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in 0..1 of the picture."""

CELLS = 16
MARGIN = 1 / CELLS  # no object comes nearer to the edge, so the border shows the background alone
SIDES = (5.4, 6, 7, 8, 9, 10, 11, 12, 13, 14.4)
"""Sizes of an object that stands alone, in cells: from a third to nine tenths of the picture. Few sizes and whole
cells, because an object then looks the same wherever it lies, which small models learn far faster."""
OFTEN = (2, 2, 2, 2, 1.5, 1.5, 1, 1, 1, 1)
"""How often each of `SIDES`: what fills the picture has only one place."""
SMALL, LARGE = 6.5 / CELLS, 10.5 / CELLS
"""Longer sides up to which an object is called small, from which on it is called large."""
PLACES = (
    "top left", "top", "top right", "left", "middle", "right", "bottom left", "bottom", "bottom right",
)  # fmt: skip
NEAR, FAR = 0.06, 0.09
"""Up to `NEAR` off the middle a centre is in the middle, from `FAR` on it is beside it; between, no word fits."""
FIXED: dict[tuple[Layout, int], tuple[Spot, ...]] = {
    ("single", 1): ((8, 8, 12),),
    ("left_right", 2): ((4.5, 8, 7), (11.5, 8, 7)),
    ("above_below", 2): ((8, 4.5, 7), (8, 11.5, 7)),
    ("large_small", 2): ((5.5, 8, 9), (13, 10.5, 4)),
    ("count", 2): ((4.5, 8, 7), (11.5, 8, 7)),
    ("count", 3): ((8, 4, 6), (4, 12, 6), (12, 12, 6)),
}
"""One place per layout: the world of the first pack, whose painter had no time for more."""
_ROWS = {
    (2, 0): ((-3.4, 0), (3.4, 0)), (2, 1): ((0, -3.4), (0, 3.4)), (2, 2): ((-3, -3), (3, 3)),
    (2, 3): ((3, -3), (-3, 3)),
    (3, 0): ((-4.6, 0), (0, 0), (4.6, 0)), (3, 1): ((0, -3.5), (-3.6, 3.4), (3.6, 3.4)),
    (3, 2): ((0, 3.5), (-3.6, -3.4), (3.6, -3.4)), (3, 3): ((-4.4, -4.4), (0, 0), (4.4, 4.4)),
}  # fmt: skip
"""Offsets of two or three of a kind from their middle, in cells."""


def spots(layout: Layout, count: int, rng: random.Random, shapes: list[tuple[float, float]]) -> tuple[Spot, ...]:
    """A spot for each of `count` objects whose (width, height) relative to their longer side are `shapes`."""
    if layout == "single":
        side = rng.choices(SIDES, OFTEN)[0]
        return ((_within(rng, side * shapes[0][0]), _within(rng, side * shapes[0][1]), side),)
    if layout == "count":
        return _alike(count, rng)
    while True:
        made = _pair(layout, rng)
        if _clear(layout, made, shapes):
            return made


def _within(rng: random.Random, length: float) -> float:
    """A centre that keeps `length` cells inside the margin: anywhere, near the middle or near an edge."""
    room = max(0.0, (CELLS - 2 - length) / 2)
    kind = rng.random()
    if kind < 0.4:
        return CELLS / 2 + rng.uniform(-room, room)
    return CELLS / 2 + (rng.uniform(-0.6, 0.6) if kind < 0.7 else rng.choice((-1, 1)) * rng.uniform(0.7 * room, room))


def _alike(count: int, rng: random.Random) -> tuple[Spot, ...]:
    kind = rng.randrange(4)
    side = {2: rng.choice((5.4, 6, 6.5)), 3: 4.5 if kind in (0, 3) else rng.choice((5, 5.5, 6))}[count]
    dx, dy = rng.uniform(-0.9, 0.9), rng.uniform(-0.9, 0.9)
    if kind in (0, 1):  # a row may lie anywhere across its direction
        wide = rng.uniform(-3, 3) if count == 2 or kind == 0 else 0.0
        dx, dy = (dx, wide) if kind == 0 else (wide, dy)
    middle = CELLS / 2
    return tuple((middle + dx + x, middle + dy + y, side) for x, y in _ROWS[count, kind])


def _pair(layout: Layout, rng: random.Random) -> tuple[Spot, Spot]:
    if layout == "large_small":
        big, small = rng.choice((8, 9, 10, 11)), rng.choice((4, 4.5, 5))
        a = (rng.uniform(1 + big / 2, 15 - big / 2), rng.uniform(1 + big / 2, 15 - big / 2), big)
        return a, (rng.uniform(1 + small / 2, 15 - small / 2), rng.uniform(1 + small / 2, 15 - small / 2), small)
    a, b = rng.choice((5, 6, 7, 8, 9)), rng.choice((5, 6, 7, 8, 9))
    first, second = rng.uniform(1 + a / 2, 8), rng.uniform(8, 15 - b / 2)
    shift = rng.uniform(-2, 2)  # both go up or down together, and a little apart
    across = [8 + shift + rng.uniform(-1, 1) for _ in range(2)]
    if layout == "left_right":
        return (first, across[0], a), (second, across[1], b)
    return (across[0], first, a), (across[1], second, b)


def _clear(layout: Layout, pair: tuple[Spot, Spot], shapes: list[tuple[float, float]]) -> bool:
    """Whether the relation can be seen: far enough apart, and neither hides more than a third of the other."""
    (ax, ay, a), (bx, by, b) = pair
    (aw, ah), (bw, bh) = ((side * w, side * h) for side, (w, h) in zip((a, b), shapes, strict=True))
    wide = min(ax + aw / 2, bx + bw / 2) - max(ax - aw / 2, bx - bw / 2)
    high = min(ay + ah / 2, by + bh / 2) - max(ay - ah / 2, by - bh / 2)
    if max(0, wide) * max(0, high) > 0.3 * min(aw * ah, bw * bh):
        return False
    if layout == "large_small":
        return True
    along, over = (bx - ax, by - ay) if layout == "left_right" else (by - ay, bx - ax)
    return along > 3.5 and along > 1.6 * abs(over)


def box(shape: tuple[float, float], x: float, y: float, side: float, snap: bool = True) -> Box:
    """The box of an object of `shape` around x, y (all in 0..1), inside the margin; its corner on a cell if told so."""
    w, h = side * shape[0], side * shape[1]
    x = min(max(x, MARGIN + w / 2), 1 - MARGIN - w / 2) if w <= 1 - 2 * MARGIN else 0.5
    y = min(max(y, MARGIN + h / 2), 1 - MARGIN - h / 2) if h <= 1 - 2 * MARGIN else 0.5
    left, top = x - w / 2, y - h / 2
    if snap:
        left, top = round(left * CELLS - 1e-6) / CELLS, round(top * CELLS - 1e-6) / CELLS
    return (left, top, left + w, top + h)


def size_word(area: Box) -> str:
    """`small`, `medium` or `large`, by the longer side."""
    side = max(area[2] - area[0], area[3] - area[1])
    return "small" if side <= SMALL else "large" if side >= LARGE else "medium"


def place_word(area: Box) -> str:
    """One of `PLACES`, or "" where the centre lies between two of them."""
    parts = []
    for low, high, names in ((1, 3, ("top", "", "bottom")), (0, 2, ("left", "", "right"))):
        off = (area[low] + area[high]) / 2 - 0.5
        if NEAR < abs(off) < FAR:
            return ""
        parts.append("" if abs(off) <= NEAR else names[0] if off < 0 else names[2])
    return " ".join(filter(None, parts)) or "middle"


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, wide) * max(0.0, high)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both or math.inf)
