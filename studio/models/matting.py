"""Cutting out with ONNX models: how each wants its picture, and what it makes of it. No torch here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling, fromarray

Matte = Callable[[Any, Image], Image]
"""(session, picture) -> mode "L" of the picture's size, 255 where the subject is."""

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
"""Of the pictures that U-2-Net learned from."""


DOUBT = 0.1
"""Shares of U-2-Net nearer to none or all than this are none or all."""


def u2net(model: Any, image: Image) -> Image:
    """U-2-Net sees the whole picture as a square. Its answer is stretched to all of 0..1, and beyond: what it is nearly
    sure of is all or nothing, so that no veil of the background stays."""
    pixels = np.asarray(image.convert("RGB").resize((320, 320), Resampling.LANCZOS), np.float32)
    pixels = pixels / max(float(pixels.max()), 1e-6)
    pixels = (pixels - MEAN) / DEVIATION
    found = _run(model, pixels)
    low, high = float(found.min()), float(found.max())
    found = (found - low) / max(high - low, 1e-6)
    return _matte((found - DOUBT) / (1 - 2 * DOUBT), image)


def modnet(model: Any, image: Image) -> Image:
    """MODNet sees the picture in its own shape, the shorter side 512 pixels, both multiples of 32."""
    width, height = image.size
    scale = 512 / min(width, height)
    if max(width, height) >= 512 >= min(width, height):
        scale = 1.0  # as its authors do: such pictures are near enough
    size = tuple(max(32, round(side * scale) // 32 * 32) for side in (width, height))
    pixels = np.asarray(image.convert("RGB").resize((size[0], size[1]), Resampling.LANCZOS), np.float32)
    return _matte(_run(model, (pixels - 127.5) / 127.5), image)


def _run(model: Any, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """[h, w, 3] -> the first answer [h, w]."""
    given = {model.get_inputs()[0].name: pixels.transpose(2, 0, 1)[None]}
    return model.run([model.get_outputs()[0].name], given)[0][0, 0]


def _matte(shares: NDArray[np.float32], image: Image) -> Image:
    levels = (shares.clip(0, 1) * 255).round().astype(np.uint8)
    return fromarray(levels).resize(image.size, Resampling.BICUBIC)


def foreground(image: Image, matte: Image) -> Image:
    """The picture with the colours of what is behind taken out of the matte's soft edge. RGB.

    Blur fusion (Forte and Pitié, Approximate Fast Foreground Colour Estimation, 2021): the subject's colours and those
    behind it are averaged around each pixel, and meet where they make the pixel.
    """
    small = _reduced(image)
    shares = _shares(matte, small.size)
    pixels = np.asarray(small, np.float32)
    radius = max(3, max(small.size) // 100)
    front, back = (_enlarged(_average(pixels, weight, radius), image.size) for weight in (shares, 1 - shares))
    levels, whole = np.asarray(matte), np.array(image.convert("RGB"))
    soft = (levels > 0) & (levels < 255)
    share = levels[soft].astype(np.float32)[:, None] / np.float32(255)
    own, other = front[soft].astype(np.float32), back[soft].astype(np.float32)
    found = own + share * (whole[soft] - share * own - (1 - share) * other)
    whole[soft] = found.clip(0, 255).round()
    return fromarray(whole)


def blurred(image: Image, matte: Image) -> Image:
    """What is behind the subject, out of focus, without a halo of the subject's colours. RGB."""
    small = _reduced(image)
    shares = 1 - _shares(matte, small.size)
    sigma = max(small.size) / 50
    pixels = np.asarray(small, np.float32)
    weight = cv2.GaussianBlur(shares, (0, 0), sigma)[..., None]
    weighted = cv2.GaussianBlur(pixels * shares, (0, 0), sigma)
    # Deep inside the subject nothing behind it is near; it is covered there anyway.
    plain = cv2.GaussianBlur(pixels, (0, 0), sigma)
    made = (weighted + 1e-3 * plain) / (weight + 1e-3)
    return fromarray(_enlarged(made, image.size))


_SIDE = 1024
"""Averages and blurs are smooth: pictures are brought down to this for them."""


def _reduced(image: Image) -> Image:
    small = image.convert("RGB")
    small.thumbnail((_SIDE, _SIDE), Resampling.BOX)
    return small


def _shares(matte: Image, size: tuple[int, int]) -> NDArray[np.float32]:
    """[h, w, 1] of 0..1."""
    return np.asarray(matte.resize(size, Resampling.BILINEAR), np.float32)[..., None] / np.float32(255)


def _enlarged(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    made = fromarray(pixels.clip(0, 255).round().astype(np.uint8))
    return np.asarray(made.resize(size, Resampling.BILINEAR))


def _average(pixels: NDArray[np.float32], weight: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Means over a square of what has ``weight``; where nothing has, over a far larger one."""
    near, far = (_mean(pixels, weight, 2 * reach + 1) for reach in (radius, 8 * radius))
    return np.where(near[1] > 1e-3, near[0], far[0])


def _mean(
    pixels: NDArray[np.float32], weight: NDArray[np.float32], side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weighted means over squares of ``side``, and the mean weights [h, w, 1]."""
    total = np.asarray(cv2.blur(weight, (side, side)), np.float32)[..., None]
    return np.asarray(cv2.blur(pixels * weight, (side, side)) / np.maximum(total, 1e-6), np.float32), total
