"""Which pixels belong to a thing that is pointed at: a matting network around the point, refined by GrabCut (Rother et
al. 2004); where no network sees a thing, the area of like colour around the point. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling, fromarray

Mask = NDArray[np.bool_]

WINDOWS = (1.0, 0.6, 0.36, 0.22)
"""Sides of the squares around a point that are looked at in turn, in parts of the longer side of the picture."""
_SIDE = 512
"""Longer side at which a mask is refined."""
_NEAR = 0.01
"""How far from the point a thing may be, in parts of the longer side: fingers are not exact."""
_MOST = 0.9
"""Part of the picture that no thing fills."""
_AGREE = 0.7
"""Intersection over union of the network's mask and GrabCut's, below which the network is believed."""
_TOLERANCE = 14
"""Levels of L, a and b within which colours are alike."""


def selected(matte: Callable[[Image], Image], image: Image, points: Sequence[tuple[float, float]]) -> Image:
    """Mode "L", as large as the RGB ``image``: 255 where the things are that ``points`` (x, y in 0..1 of width and
    height) lie on, without points where its subject is; else 0.

    ``matte`` makes "L" of RGB, 255 where what a picture is of is.
    """
    scale = min(1.0, _SIDE / max(image.size))
    size = tuple(max(1, round(side * scale)) for side in image.size)
    small = image.resize((size[0], size[1]), Resampling.LANCZOS)
    whole = np.asarray(matte(image).resize(small.size, Resampling.BILINEAR))
    if points:
        found = np.zeros(whole.shape, bool)
        for x, y in points:
            at = (min(int(x * size[0]), size[0] - 1), min(int(y * size[1]), size[1] - 1))
            found |= _thing(matte, image, small, whole, at)
    else:
        found = _refined(np.asarray(small), whole, whole > 127)
    mask = fromarray(found.astype(np.uint8) * 255)
    if mask.size == image.size:
        return mask
    return mask.resize(image.size, Resampling.BICUBIC).point([255 * (level > 127) for level in range(256)])


def _thing(
    matte: Callable[[Image], Image], image: Image, small: Image, whole: NDArray[np.uint8], at: tuple[int, int]
) -> Mask:
    """Bool [h, w] of ``small`` for the point ``at`` in it."""
    pixels = np.asarray(small)
    for part in WINDOWS:
        window = _window(small.size, part, at)
        shares = whole if part == 1 else _looked(matte, image, small, window)
        found = _component(shares > 127, at)
        if found is not None and found.mean() < _MOST and not _cut(found, window):
            # Another thing beside it must not be taken for more of it.
            alone = np.where(found, shares, np.minimum(shares, 100))
            chosen = _component(_refined(pixels, alone, found), at)
            return found if chosen is None else chosen
    return _alike(pixels, at)


def _window(size: tuple[int, int], part: float, at: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the square around ``at``, ``part`` of the longer side wide, inside the picture."""
    side = part * max(size)
    left, top = (round(min(max(0.0, at[axis] - side / 2), max(0.0, size[axis] - side))) for axis in (0, 1))
    return left, top, min(size[0], round(left + side)), min(size[1], round(top + side))


def _looked(
    matte: Callable[[Image], Image], image: Image, small: Image, window: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """The matte of a window alone, in the place it has in ``small``."""
    left, top, right, bottom = window
    across, down = image.width / small.width, image.height / small.height
    crop = image.crop((round(across * left), round(down * top), round(across * right), round(down * bottom)))
    shares = np.zeros((small.height, small.width), np.uint8)
    shares[top:bottom, left:right] = np.asarray(matte(crop).resize((right - left, bottom - top), Resampling.BILINEAR))
    return shares


def _component(mask: Mask, at: tuple[int, int]) -> Mask | None:
    """The connected part of ``mask`` at the point, or the nearest within reach; None where there is none."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8))
    height, width = mask.shape
    reach = max(1, round(_NEAR * max(mask.shape)))
    left, top = max(0, at[0] - reach), max(0, at[1] - reach)
    near = labels[top : min(height, at[1] + reach + 1), left : min(width, at[0] + reach + 1)]
    y, x = np.nonzero(near)
    if not len(y):
        return None
    nearest = np.hypot(y + top - at[1], x + left - at[0]).argmin()
    return labels == near[y[nearest], x[nearest]]


def _cut(found: Mask, window: tuple[int, int, int, int]) -> bool:
    """Whether the window's edge cuts through the thing, where that is not the picture's own edge."""
    (height, width), (left, top, right, bottom) = found.shape, window
    edges = [
        found[top:bottom, left] if left > 0 else None,
        found[top:bottom, right - 1] if right < width else None,
        found[top, left:right] if top > 0 else None,
        found[bottom - 1, left:right] if bottom < height else None,
    ]
    across = sum(int(edge.sum()) for edge in edges if edge is not None)
    return across > 0.1 * (right - left + bottom - top)


def _refined(pixels: NDArray[np.uint8], shares: NDArray[np.uint8], found: Mask) -> Mask:
    """``found`` with its edge moved to where the colours change. What ``shares`` is sure of stays."""
    y, x = np.nonzero(found)
    if not len(y) or found.all():
        return found
    room = max(8, round(0.1 * max(np.ptp(y), np.ptp(x))))
    rows, columns = slice(max(0, y.min() - room), y.max() + room), slice(max(0, x.min() - room), x.max() + room)
    share, part = shares[rows, columns], found[rows, columns]
    marks = np.where(part, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    edge = np.ones((2 * (room // 4) + 1,) * 2, np.uint8)
    marks[cv2.erode((share > 240).astype(np.uint8), edge) > 0] = cv2.GC_FGD
    marks[cv2.dilate((share > 12).astype(np.uint8), edge) == 0] = cv2.GC_BGD
    if not {cv2.GC_PR_FGD, cv2.GC_FGD} & set(np.unique(marks)) or (marks % 2 == 1).all():
        return found
    cv2.setRNGSeed(0)  # its colours are sorted from a random start
    seen = np.ascontiguousarray(pixels[rows, columns, ::-1])
    behind, before = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(seen, marks, (0, 0, 0, 0), behind, before, 3, cv2.GC_INIT_WITH_MASK)
    made = np.zeros_like(found)
    made[rows, columns] = marks % 2 == 1
    # Where the thing has the colours of what is behind it, GrabCut loses it or spills over.
    alike = (made & found).sum() / max(1, (made | found).sum())
    return made if alike > _AGREE else found


def _alike(pixels: NDArray[np.uint8], at: tuple[int, int]) -> Mask:
    """The connected area of colours like the point's."""
    lab = cv2.cvtColor(cv2.medianBlur(np.ascontiguousarray(pixels), 5), cv2.COLOR_RGB2LAB)
    filled = np.zeros((lab.shape[0] + 2, lab.shape[1] + 2), np.uint8)
    cv2.floodFill(
        lab, filled, at, 0, (_TOLERANCE,) * 3, (_TOLERANCE,) * 3, cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
    )
    return filled[1:-1, 1:-1] > 0
