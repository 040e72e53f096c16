"""Picture files before anything is decoded: which formats are taken, what a file is, its header read safely."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from PIL import Image, features

from studio.errors import StudioError
from studio.media.texts import PNG_START, sound_png

AVIF = features.check("avif")
"""Whether this Pillow reads AVIF: its own wheels do, builds of others may not."""

FORMATS = ("PNG", "JPEG", "WEBP", *(("AVIF",) if AVIF else ()))
"""Everything else Pillow can read (EPS, SVG, TIFF, GIF ...) has a longer list of holes than of users."""

MAX_PIXELS = 25_000_000
INFOTEXT_KEY = "parameters"
STUDIO_KEY = "studio"

_UNREADABLE = "This file is not a readable PNG, JPEG, WebP or AVIF picture; export it again and choose the new file."
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}


def header(source: bytes | Path, formats: Sequence[str] = FORMATS) -> tuple[Image.Image, bytes]:
    """The picture with only its header read, and the whole file where it is a PNG (else nothing).

    Of a PNG Pillow gets what the picture is made of: texts beside it, damaged or large, cannot spoil it.
    """
    try:
        data = source if isinstance(source, bytes) else _if_png(source)
        if data.startswith(PNG_START):
            return Image.open(io.BytesIO(sound_png(data)), formats=list(formats)), data
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=list(formats)), b""
    except FileNotFoundError as error:
        raise StudioError(f"There is no file {source}; check its path.", field="image") from error
    except Exception as error:  # see open_image: hostile headers raise many types, Pillow's bomb error among them
        raise StudioError(unreadable(source), field="image") from error


def unreadable(source: bytes | Path) -> str:
    """Why a file that no decoder takes is no picture, in a sentence."""
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                source = file.read(64)
    except OSError:
        return _UNREADABLE
    kind = ftyp(source)
    if kind == "heic":
        return "HEIC pictures are not taken: export this one as JPEG and choose the new file."
    if kind in ("avif", "avis") and not AVIF:
        return "AVIF is not taken on this computer: export the picture as JPEG and choose the new file."
    return _UNREADABLE


def ftyp(data: bytes) -> Literal["avif", "avis", "heic", "other", ""]:
    """What a file in boxes (ISO base media) says it is: an AVIF picture, an AVIF animation, a HEIC picture, another
    (a film), or no such file at all."""
    if data[4:8] != b"ftyp":
        return ""
    brands = [
        data[8:12],
        *(data[place : place + 4] for place in range(16, min(int.from_bytes(data[:4], "big"), 64), 4)),
    ]
    if brands[0] in (b"avif", b"avis"):
        return "avis" if brands[0] == b"avis" else "avif"
    if brands[0] in _HEIC or (brands[0] in (b"mif1", b"msf1") and _HEIC.intersection(brands)):
        return "heic"
    return "avif" if brands[0] in (b"mif1", b"msf1") and b"avif" in brands else "other"


def _if_png(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(len(PNG_START))
        return start + file.read() if start == PNG_START else b""
