"""An invisible 32-bit key in every picture, written into the luma of its 8 x 8 blocks.

Two low DCT frequencies of every block, which JPEG keeps longest, carry one bit each: the coefficient is moved to the
nearest value that means the bit (quantisation index modulation). Values of 0 and of 1 take turns every 13, so that none
moves by more than 13: a grey level or two in a pixel, and no change of hue. Each bit is written some 64 times in a
picture of 256 px, spread over it, and read by majority.

It is a label, not a proof: whoever knows the method can strip or forge it, and scaling or cropping loses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.errors import StudioError
from studio.trust import earlier
from studio.trust.keys import BITS, bits_of, key_in, make_key

__all__ = ["METHOD", "Marked", "embed", "make_key", "read"]

Array = NDArray[np.float32]

METHOD = "dctQim"
MIN_PIXELS, MIN_SIDE = 256 * 256, 64
"""Below this a bit is not written often enough."""

_SIDE = 8
_FREQUENCIES = ((0, 1), (1, 0))
_STEP = 26.0
"""Distance of the values that mean the same bit. JPEG 75 rounds these coefficients to multiples of 6, JPEG 50 of 11 and
12: by less than a quarter of the step, after which a bit turns over."""

_LIMIT = 8
"""Grey levels that no channel of a pixel is moved beyond."""

_ROUNDS, _NEAR = 6, 1.0
"""Pixels are whole numbers from 0 to 255: what clipping and rounding took from a coefficient is added again, up to six
times, until it is within 1 of its goal. Pure white, black and saturated colours have room in one direction alone."""

_CERTAIN = 3.0
"""Votes grow with the distance from where a bit turns over, up to a third of the way; from there they count in full."""

_COHERENCE = 0.2
"""Mean strength of the 32 votes. 1,600 unmarked pictures of 256 px: at most 0.14; marked ones: 1."""

_STRIP = 1 << 14
"""Blocks worked on at a time, so that a picture of 25 megapixels needs no gigabytes."""

_LUMA: Array = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Marked:
    image: Image.Image
    bits_right: int
    """Of 32, decoded again from ``image``."""


def embed(image: Image.Image, key: str) -> Marked:
    """``image`` ("RGB" or "RGBA", alpha kept) carrying ``key``; deterministic.

    Raises `StudioError` when the picture is too small, or when the key cannot be read back.
    """
    if not _room(image):
        raise StudioError(
            f"A picture of {image.width} x {image.height} is too small for the invisible watermark; "
            "ask for at least 256 x 256.",
            field="width",
        )
    marked = Image.fromarray(_encode(_pixels(image), bits_of(key)))
    votes = _votes(_pixels(marked))
    right = int(((votes > 0) == bits_of(key)).sum())
    if read(marked) != key:
        raise StudioError(
            f"The invisible watermark could not be written (only {right} of {BITS} bits read back), "
            "so the picture was not kept; change the seed or the prompt and try again.",
            status=500,
        )
    if image.mode == "RGBA":
        marked.putalpha(image.getchannel("A"))
    return Marked(marked, right)


def read(image: Image.Image) -> str | None:
    """The key in ``image``, written by this release or an earlier one; None when it carries none that can be read."""
    if not _room(image):
        return None
    pixels = _pixels(image)
    votes = _votes(pixels)
    key = key_in(votes, repair=True) if np.abs(votes).mean() >= _COHERENCE else None
    return key or earlier.read(pixels)


def _room(image: Image.Image) -> bool:
    return image.width * image.height >= MIN_PIXELS and min(image.size) >= MIN_SIDE


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("RGB"))


def _encode(rgb: NDArray[np.uint8], bits: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """``rgb`` [height, width, 3] with ``bits`` [32] in it. The rim that fills no block stays as it is."""
    marked = rgb.copy()
    columns = rgb.shape[1] // _SIDE
    for top, strip in _strips(rgb):
        blocks = _blocks(strip).astype(np.float32)
        number, sign = _layout(top, len(blocks) // columns, columns)
        means = np.where(bits[number], sign, -sign) * (_STEP / 4)
        have = _coefficients(blocks)
        goal = means + _STEP * np.round((have - means) / _STEP)
        blocks = _moved(blocks, goal.astype(np.float32)).astype(np.uint8)
        marked[top * _SIDE :][: strip.shape[0], : strip.shape[1]] = (
            blocks.reshape(-1, columns, _SIDE, _SIDE, 3).swapaxes(1, 2).reshape(strip.shape)
        )
    return marked


def _moved(blocks: Array, goal: Array) -> Array:
    """``blocks`` [n, 64, 3] with the coefficients ``goal`` [n, 2]; a pixel's channels are moved alike if they can."""
    low, high = np.maximum(-blocks, -_LIMIT), np.minimum(255 - blocks, _LIMIT)
    moved, wish = blocks.copy(), np.zeros(blocks.shape[:2], np.float32)
    left = np.arange(len(blocks))  # those whose coefficients are not at their goal yet
    for _ in range(_ROUNDS):
        missing = goal[left] - _coefficients(moved[left])
        far = np.abs(missing).max(1) > _NEAR
        left, missing = left[far], missing[far]
        if not len(left):
            break
        wish[left] += missing @ _basis().T
        change = np.clip(np.round(wish[left])[..., None], low[left], high[left])
        moved[left] = blocks[left] + change
    return moved


def _votes(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Votes [32] of all coefficients: from -1, all say 0, to 1, all say 1."""
    total, often = np.zeros(BITS), np.zeros(BITS)
    columns = rgb.shape[1] // _SIDE
    for top, strip in _strips(rgb):
        have = _coefficients(_blocks(strip).astype(np.float32))
        number, sign = _layout(top, len(have) // columns, columns)
        vote = np.clip(_CERTAIN * np.sin(2 * np.pi * have / _STEP), -1, 1) * sign
        total += np.bincount(number.ravel(), vote.ravel(), BITS)
        often += np.bincount(number.ravel(), minlength=BITS)
    return total / often


def _strips(rgb: NDArray[np.uint8]) -> list[tuple[int, NDArray[np.uint8]]]:
    """(first row of blocks, pixels of whole blocks) of every strip of the picture."""
    rows, columns = rgb.shape[0] // _SIDE, rgb.shape[1] // _SIDE
    tall = max(1, _STRIP // columns)
    return [(top, rgb[top * _SIDE : min(top + tall, rows) * _SIDE, : columns * _SIDE]) for top in range(0, rows, tall)]


def _blocks(strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels [8 rows, 8 columns, 3] as blocks [rows x columns, 64, 3]."""
    rows, columns = strip.shape[0] // _SIDE, strip.shape[1] // _SIDE
    return strip.reshape(rows, _SIDE, columns, _SIDE, 3).swapaxes(1, 2).reshape(-1, _SIDE * _SIDE, 3)


def _coefficients(blocks: Array) -> Array:
    """The DCT coefficients [n, 2] of the luma of ``blocks`` [n, 64, 3], as JPEG has them."""
    return ((blocks @ _LUMA) @ _basis()).astype(np.float32)


@cache
def _basis() -> Array:
    """[64, 2]: the patterns of `_FREQUENCIES` in a block, of length 1."""
    wave = np.array([np.cos((2 * np.arange(_SIDE) + 1) * k * np.pi / (2 * _SIDE)) for k in range(_SIDE)])
    wave *= np.sqrt(np.where(np.arange(_SIDE) == 0, 1, 2) / _SIDE)[:, None]
    return np.stack([np.outer(wave[down], wave[across]).ravel() for down, across in _FREQUENCIES], 1).astype(np.float32)


def _layout(top: int, rows: int, columns: int) -> tuple[NDArray[np.intp], Array]:
    """Of every coefficient [n, 2]: which of the 32 bits it carries, and 1 or -1, the sign of a 1 there.

    Signs are scattered by a hash of the place, so that no drift of the picture adds up to votes for one bit.
    """
    places = (np.arange(top, top + rows), np.arange(columns), np.arange(len(_FREQUENCIES)))
    row, column, which = (place.astype(np.uint32) for place in np.meshgrid(*places, indexing="ij"))
    mixed = row * np.uint32(0x9E3779B1) ^ column * np.uint32(0x85EBCA77) ^ which * np.uint32(0xC2B2AE3D)
    mixed = (mixed ^ mixed >> 15) * np.uint32(0x2C1B3C6D)
    mixed = (mixed ^ mixed >> 12) * np.uint32(0x297A2D39)
    number = (row * 11 + column + which * (BITS // 2)) % BITS
    sign = np.where((mixed ^ mixed >> 15) >> 9 & 1, -1, 1)
    shape = (rows * columns, len(_FREQUENCIES))
    return number.astype(np.intp).reshape(shape), sign.astype(np.float32).reshape(shape)
