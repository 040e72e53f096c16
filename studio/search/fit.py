"""Where a search by words stops: a picture fits when the words suit it clearly better than words picked at random do.

Cosines of words and pictures say who comes first, not whether anybody is right: some words lie near to everything, some
pictures too. So each picture's cosine is measured against those of `UNRELATED` words with the same picture, in standard
deviations. With the starter's CLIP (48 pictures of its world, 16 photographs) words that name what is on a picture
reach 2.5 in 94 of 100 cases, and some picture of the thing nearly always; words that name nothing there bring up 0.2 %
of the pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST = 2.5
"""Standard deviations above what unrelated words reach."""
UNRELATED: tuple[str, ...] = (
    "person", "people walking", "street with cars", "city skyline", "office desk", "computer screen",
    "document with text", "newspaper", "map", "diagram", "landscape", "mountain", "forest path", "beach", "sea", "sky",
    "garden", "room", "table with plates", "bed", "staircase", "bridge", "machine", "engine", "tool", "factory",
    "fabric pattern", "wall", "floor", "road", "field", "stone", "metal", "glass", "wood", "paper", "plastic", "hand",
    "face", "crowd", "child", "dancer", "athlete", "doctor", "cook", "soldier", "dress", "coat", "jewellery", "weapon",
    "furniture", "bottle", "cup", "bowl", "meal", "vegetables", "meat", "insect", "bird", "reptile", "wild animal",
    "pet", "ship", "truck", "motorbike", "rails", "sculpture", "painting", "drawing", "cartoon", "logo", "sign", "flag",
    "poster", "abstract shapes", "darkness", "bright light", "fireworks", "smoke", "rain", "ice", "planet", "telescope",
    "violin", "piano", "toy", "book", "letter", "phone", "clock tower", "ruins", "palace", "village", "cave", "swamp",
    "valley",
)  # fmt: skip
"""Plain words for what pictures usually show. That some of them are true of a picture does little: the others are
not."""


def fitting(
    words: NDArray[np.float32], pictures: NDArray[np.float32], unrelated: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Which of unit vectors ``pictures`` [n, d] fit unit vector ``words`` [d], given those of `UNRELATED` [m, d]."""
    usual = pictures @ unrelated.T
    spread = usual.std(1).clip(1e-6)
    return (pictures @ words - usual.mean(1)) / spread >= LEAST
