"""Pictures as bytes: safe opening of what a user hands in, and PNG with its parameters written twice.

Pure PIL and numpy, so that the page and the API can use it without torch.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

from studio.errors import StudioError
from studio.media.files import FORMATS, INFOTEXT_KEY, MAX_PIXELS, STUDIO_KEY, header, unreadable
from studio.media.infotext import infotext
from studio.media.parameters import read_parameters

__all__ = ["FORMATS", "MAX_PIXELS", "lossless_webp", "open_image", "read_parameters", "small_webp", "write_png"]


def open_image(source: bytes | Path, max_pixels: int = MAX_PIXELS, *, formats: Sequence[str] = FORMATS) -> Image.Image:
    """First frame of a PNG, JPEG, WebP or AVIF, upright (EXIF applied), mode "RGB" or "RGBA".

    The header's pixel count is checked before anything is decoded: 1.3 kB of PNG can unpack to 664 MB.
    Raises `StudioError` for corrupt, oversized and other files.
    """
    image, _ = header(source, formats)
    with image:
        width, height = image.size
        if width * height > max_pixels:
            raise StudioError(
                f"This picture has {width} x {height} pixels; scale it to at most {max_pixels / 1e6:.0f} megapixels.",
                field="image",
            )
        try:
            image.load()
            upright = _upright(image)
            if upright.mode.startswith("I;16") or upright.mode == "I":  # convert() would clip 16 bits to white
                return Image.fromarray((np.asarray(upright).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
            return upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        except Exception as error:  # decoders of hostile files raise OSError, SyntaxError, ValueError, struct.error ...
            raise StudioError(unreadable(source), field="image") from error


def _upright(image: Image.Image) -> Image.Image:
    """As the camera was held; as it lies in the file where that is told by damaged EXIF."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF of others raises anything
        return image


def write_png(image: Image.Image, parameters: Mapping[str, Any]) -> bytes:
    """PNG bytes, `infotext` in the text chunk "parameters", the full JSON in "studio". Same input, same bytes."""
    info = PngImagePlugin.PngInfo()
    info.add_text(INFOTEXT_KEY, infotext(parameters))  # becomes iTXt by itself when it is not Latin-1
    info.add_itxt(STUDIO_KEY, json.dumps(parameters, ensure_ascii=False, allow_nan=False, sort_keys=True))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()


def lossless_webp(image: Image.Image) -> bytes:
    """Every pixel as it is, those under full transparency too; written fast rather than small."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, exact=True, quality=0, method=0)
    return buffer.getvalue()


def small_webp(image: Image.Image, side: int) -> bytes:
    """A WebP of at most ``side`` pixels a side."""
    small = image.convert("RGBA" if image.has_transparency_data else "RGB")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=82)
    return buffer.getvalue()
