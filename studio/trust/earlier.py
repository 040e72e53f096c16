"""Reads the watermark of the first release: method dwtDctSvd of the invisible-watermark package, in luma and chroma.

Its bits are in the first singular value of every 4 x 4 block of the Haar transform's mean band, quantised in steps of
30 (Y) and 36 (U). Nothing writes it any more: on flat areas it moved the colour by a CIEDE2000 of 1.2 on average.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from studio.trust.keys import BITS, key_in

_YUV = np.array([[0.299, 0.587, 0.114], [-0.147, -0.289, 0.436]], np.float32).T
_STEPS = (30.0, 36.0)

_COHERENCE = 0.2
"""Mean strength of the 32 votes. Unmarked photographs: 0.1 at 256 px, less above; marked: 0.3 to 1."""


def read(rgb: NDArray[np.uint8]) -> str | None:
    """The key in ``rgb`` [height, width, 3], or None."""
    rows, columns = rgb.shape[0] // 8, rgb.shape[1] // 8
    planes = rgb[: rows * 8, : columns * 8].astype(np.float32) @ _YUV
    planes[..., 1] += 128
    means = planes.reshape(rows * 4, 2, columns * 4, 2, 2).sum((1, 3)) / 2
    blocks = means.reshape(rows, 4, columns, 4, 2).transpose(4, 0, 2, 1, 3).reshape(2, -1, 4, 4)
    luma, chroma = (_votes(plane, step) for plane, step in zip(blocks, _STEPS, strict=True))
    for votes in (luma + chroma, luma, chroma):  # a JPEG leaves mostly luma, a change of brightness mostly chroma
        if np.abs(votes).mean() >= _COHERENCE and (key := key_in(votes)):
            return key
    return None


def _votes(blocks: NDArray[np.float32], step: float) -> NDArray[np.float64]:
    """Votes [32] of ``blocks`` [n, 4, 4]: below 0 for a 0, above for a 1; block i carries bit i modulo 32."""
    strength = np.linalg.svd(blocks, compute_uv=False)[:, 0]
    phase = -np.sin(2 * np.pi * strength / step)
    return np.array([phase[start::BITS].mean() for start in range(BITS)], np.float64)
