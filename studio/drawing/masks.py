"""Masks: where a picture changes, how softly, and what its edge looks like afterwards. Arrays are [height, width]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.errors import StudioError

Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
"""RGB [height, width, 3]."""

_FILL_SIDE = 256
"""Pixels of the side that a hole is filled at: what flows in from its edge is soft anyway."""
_RING = 12
"""Pixels around a mask whose colours the drawn part is matched to."""
_MOST_SHIFT = 24.0
"""Grey levels that a match of colours may move a channel; more is another picture, not a shift."""


@dataclass(frozen=True)
class Box:
    """A part of a picture, in its pixels; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.right - self.left, self.bottom - self.top

    @property
    def edges(self) -> tuple[int, int, int, int]:
        return self.left, self.top, self.right, self.bottom


def read_mask(image: Image.Image, size: tuple[int, int]) -> Mask:
    """Where ``image`` is white (from half on); transparent parts are not.

    Raises `StudioError` for a mask of another size than ``size`` (width, height), and for one without any white.
    """
    if image.size != size:
        (width, height), (wide, high) = image.size, size
        raise StudioError(
            f"The mask has {width} x {height} pixels and the picture {wide} x {high}; "
            "paint it on this picture, or scale it to the same size.",
            field="mask",
        )
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    mask = np.asarray(image.convert("L")) > 127
    if not mask.any():
        raise StudioError("The mask is empty; paint white where the picture should change.", field="mask")
    return mask


def box_around(mask: Mask, padding: int, least: int) -> Box:
    """The white part of ``mask`` with ``padding`` pixels around it, at least ``least`` a side where there is room."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, right = _span(int(columns[0]), int(columns[-1]) + 1, padding, least, width)
    top, bottom = _span(int(rows[0]), int(rows[-1]) + 1, padding, least, height)
    return Box(left, top, right, bottom)


def _span(low: int, high: int, padding: int, least: int, most: int) -> tuple[int, int]:
    wanted = min(max(high - low + 2 * padding, least), most)
    low = min(max((low + high - wanted) // 2, 0), most - wanted)
    return low, low + wanted


def feathered(mask: Mask, feather: int) -> NDArray[np.float32]:
    """Share of the new picture in 0..1: 0 outside ``mask``, rising over ``feather`` pixels from its edge inward.

    So nothing outside what was painted changes. A part thinner than two feathers has a steeper edge, so that its
    middle is new all the same.
    """
    if feather == 0:
        return mask.astype(np.float32)
    import cv2

    # Beyond the picture's own edge the change goes on: no feather there.
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    inside = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    count, parts = cv2.connectedComponents(mask.astype(np.uint8))
    parts = np.asarray(parts, np.intp)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, parts.ravel(), inside.ravel())
    width = np.minimum(feather + 1.0, np.maximum(deepest / 2, 1.0))[parts]
    return np.where(mask, np.clip(inside / width, 0, 1), 0).astype(np.float32)


def filled(pixels: Pixels, mask: Mask) -> Pixels:
    """``pixels`` with the white part of ``mask`` filled from around it (Telea 2004), without a trace of what was there.

    Where all is white there is nothing to fill from: grey.
    """
    import cv2

    if mask.all():
        return np.full_like(pixels, 127)
    height, width = mask.shape
    scale = min(1.0, _FILL_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    hole = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    hole = cv2.dilate((hole > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    if hole.all():
        return np.full_like(pixels, 127)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    small = cv2.inpaint(small, hole, 5, cv2.INPAINT_TELEA)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.where(mask[..., None], large, pixels).astype(np.uint8)


def whole_cells(mask: Image.Image, cell: int) -> Image.Image:
    """``mask`` (mode "L") as 0 and 255, grown to whole squares of ``cell`` pixels.

    A pipeline that looks at one pixel of each square then misses no thin line.
    """
    width, height = mask.size
    some = (np.asarray(mask) > 0).reshape(height // cell, cell, width // cell, cell).any((1, 3))
    return Image.fromarray(np.kron(some, np.ones((cell, cell), np.uint8)).astype(np.uint8) * 255)


def matched(drawn: Pixels, before: Pixels, mask: Mask) -> Pixels:
    """``drawn`` with the colours of its surroundings moved to those ``before``: what an autoencoder shifts, it shifts
    everywhere alike. Measured on a ring around ``mask``; as it is where there is no ring."""
    import cv2

    reach = np.ones((2 * _RING + 1, 2 * _RING + 1), np.uint8)
    ring: Mask = np.asarray(cv2.dilate(mask.astype(np.uint8), reach), bool) & ~mask
    if not ring.any():
        return drawn
    shift = np.median(before[ring].astype(np.float32) - drawn[ring].astype(np.float32), axis=0)
    return np.clip(drawn + np.clip(shift, -_MOST_SHIFT, _MOST_SHIFT), 0, 255).round().astype(np.uint8)


def composed(before: Pixels, drawn: Pixels, share: NDArray[np.float32]) -> Pixels:
    """``drawn`` over ``before`` as far as ``share`` says; where that is 0, ``before`` byte for byte."""
    weight = share[..., None]
    mixed = before + weight * (drawn.astype(np.float32) - before)
    return np.where(weight > 0, mixed.round(), before).astype(np.uint8)


def seam(pixels: Pixels, mask: Mask) -> float | None:
    """How far the colours on both sides of the mask's edge lie apart: mean CIE76 difference of neighbouring pixels.

    None where the mask has no edge inside the picture.
    """
    import cv2

    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    steps = [
        np.linalg.norm(lab[:, 1:] - lab[:, :-1], axis=2)[mask[:, 1:] != mask[:, :-1]],
        np.linalg.norm(lab[1:] - lab[:-1], axis=2)[mask[1:] != mask[:-1]],
    ]
    found = np.concatenate(steps)
    return float(found.mean()) if len(found) else None
