"""Finding faces with CenterFace (Xu et al., CenterFace: Joint Face Detection and Alignment Using Face as Point, 2019).

The network marks the middle of every face on a map four times as coarse as the picture, with the face's size there.
No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

SIDES = (2048, 640)
"""Longer sides, in pixels, at which a picture is looked at: small faces need the first, large ones the second."""
SURE = 0.3
"""Least score of a face: low, since one too many does less harm than one missed."""
OVERLAP = 0.3
"""Intersection over union from which two finds are the same face."""
_CELL = 4
_OUTPUTS = ("537", "538", "539")
"""Scores, sizes and offsets of the middles, as the file calls them."""


@dataclass(frozen=True)
class Face:
    """Where a face is, in pixels of the picture, and how sure that is, 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float
    score: float


def load(file: Path) -> Any:
    """The network. Raises `ValueError` for what is no sound ONNX model. OpenCV runs it, because the file fixes a size
    of its input that other runtimes insist on."""
    try:
        return cv2.dnn.readNetFromONNX(str(file))
    except cv2.error as error:
        raise ValueError(str(error)) from error


def find(network: Any, image: Image) -> list[Face]:
    """All faces of a picture, the surest first."""
    pixels = np.asarray(image.convert("RGB"))
    longer = max(image.size)
    sides = dict.fromkeys(min(side, longer) for side in SIDES)
    found = [face for side in sides for face in _looked(network, pixels, side / longer)]
    if not found:
        return []
    boxes = [(face.left, face.top, face.right - face.left, face.bottom - face.top) for face in found]
    kept = cv2.dnn.NMSBoxes(boxes, [face.score for face in found], SURE, OVERLAP)
    return sorted((found[int(index)] for index in kept), key=lambda face: -face.score)


def _looked(network: Any, pixels: NDArray[np.uint8], scale: float) -> list[Face]:
    height, width = pixels.shape[:2]
    size = [max(32, -(-round(side * scale) // 32) * 32) for side in (width, height)]
    network.setInput(cv2.dnn.blobFromImage(pixels, 1.0, size))
    scores, sizes, offsets = (network.forward(name)[0] for name in _OUTPUTS)
    across, down = size[0] / width, size[1] / height
    faces = []
    for y, x in np.argwhere(scores[0] >= SURE):
        tall, wide = (float(np.exp(each[y, x])) * _CELL for each in sizes)
        middle_y, middle_x = (
            (at + float(offset[y, x]) + 0.5) * _CELL for at, offset in zip((y, x), offsets, strict=True)
        )
        left, right = max(0.0, middle_x - wide / 2) / across, min(size[0], middle_x + wide / 2) / across
        top, bottom = max(0.0, middle_y - tall / 2) / down, min(size[1], middle_y + tall / 2) / down
        faces.append(Face(*map(float, (left, top, right, bottom, scores[0][y, x]))))
    return faces
