"""Cutting out with ONNX models: how each wants its picture, and what it makes of it. No torch here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling, fromarray

Matte = Callable[[Any, Image], Image]
"""(session, picture) -> mode "L" of the picture's size, 255 where the subject is."""

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
"""Of the pictures that U-2-Net learned from."""


def session(file: Path, threads: int) -> Any:
    """An `onnxruntime.InferenceSession` on the processor. Raises `ValueError` for what is no sound ONNX model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait for the next picture must not keep the cores busy.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base but this
        raise ValueError(str(error)) from error


def u2net(model: Any, image: Image) -> Image:
    """U-2-Net sees the whole picture as a square; its answer is stretched to all of 0..1."""
    pixels = np.asarray(image.convert("RGB").resize((320, 320), Resampling.LANCZOS), np.float32)
    pixels = pixels / max(float(pixels.max()), 1e-6)
    pixels = (pixels - MEAN) / DEVIATION
    found = _run(model, pixels)
    low, high = float(found.min()), float(found.max())
    return _matte((found - low) / max(high - low, 1e-6), image)


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
