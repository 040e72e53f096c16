"""Real photographs, and where their things are, drawn by hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage import data

Mask = NDArray[np.bool_]


def cup() -> tuple[Image.Image, Mask]:
    """A cup on its saucer on a wooden table, 600 x 400."""
    outline = Image.new("L", (600, 400))
    pen = ImageDraw.Draw(outline)
    pen.ellipse([77, 65, 480, 390], fill=255)
    pen.ellipse([172, 17, 402, 208], fill=255)
    pen.polygon([(398, 150), (400, 68), (424, 68), (424, 84), (414, 130)], fill=255)
    return Image.fromarray(data.coffee()), np.asarray(outline) > 0


def cat() -> tuple[Image.Image, Mask, Mask]:
    """A cat's head that fills the picture, 451 x 300: what surely is cat, and what surely is behind it."""
    face, behind = Image.new("L", (451, 300)), Image.new("L", (451, 300))
    inside = [(60, 10), (45, 130), (90, 195), (160, 260), (240, 280), (290, 255), (320, 200), (345, 130), (340, 10)]
    ImageDraw.Draw(face).polygon(inside, fill=255)
    ImageDraw.Draw(behind).polygon([(420, 40), (450, 10), (450, 299), (370, 299), (370, 210), (385, 110)], fill=255)
    return Image.fromarray(data.chelsea()), np.asarray(face) > 0, np.asarray(behind) > 0


def overlap(found: Mask, true: Mask) -> float:
    """Intersection over union."""
    return float((found & true).sum() / (found | true).sum())
