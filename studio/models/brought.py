"""Upscalers that users bring: files of networks, by path or by name in the models folder. No torch here.

What network is in a file is found out where torch is: `studio.models.upscaling.load`.
"""

from __future__ import annotations

import re
from pathlib import Path

from studio.errors import StudioError
from studio.models.families import COMPLETE, Family
from studio.models.inspection import local_place
from studio.models.weights import disk_bytes, read_header, weights_in

MOST_BYTES = 2_000_000_000
"""Of an upscaler. The largest that are known have 0.2 GB."""


def upscaler(named: str, models_dir: Path) -> Family | None:
    """The row of an upscaler's file: ``named`` is the full path of one, of a folder that holds one, or the name of
    either in the models folder. None for what is no such name; `StudioError` for a file that is not sound."""
    place = _place(named, models_dir)
    if place is None:
        return None
    if place.is_dir():
        inside = weights_in(place)
        if len(inside) != 1:
            raise StudioError(
                f"{place.name} holds {len(inside) or 'no'} files of weights; name the one .safetensors file.",
                field="upscaler",
            )
        [place] = inside
    check(place)
    return Family(
        id=str(place),
        name=place.stem[:60],
        repo="",
        revision="",
        licence="as given by whoever made it; check before commercial use",
        commercial=False,
        native_size=0,
        steps=0,
        guidance=0.0,
        sampler="",
        dtype="float16",
        memory_gb=max(0.1, round(disk_bytes([place]) / 5e8, 1)),
        download_gb=0,
        pipeline="Upscaler",
        features=frozenset({"upscale"}),
        denoiser="",
        kind="tool",
        path=str(place),
        summary="A file on this computer.",
    )


def check(file: Path) -> None:
    """Raise `StudioError` unless ``file`` is a sound safetensors file of an upscaler's size."""
    if file.suffix.lower() != ".safetensors":
        raise StudioError(
            f"{file.name} is not a .safetensors file; pickles can run code and are refused: bring the network as "
            ".safetensors.",
            field="upscaler",
        )
    if disk_bytes([file]) > MOST_BYTES:
        raise StudioError(
            f"{file.name} is larger than {MOST_BYTES / 1e9:g} GB, as no upscaler is; choose another file.",
            field="upscaler",
        )
    try:
        read_header(file)
    except StudioError as error:
        raise StudioError(error.message, field="upscaler") from None


def _place(named: str, models_dir: Path) -> Path | None:
    if re.fullmatch(r"[\w][\w .()+-]*", named):
        found = (models_dir / f"{named}{end}" for end in ("", ".safetensors"))
        return next((place for place in found if place.exists() and not (place / COMPLETE).exists()), None)
    if not re.match(r"[./~\\'\"]|[A-Za-z]:|file:", named):
        return None
    try:
        return local_place(named)
    except StudioError as error:
        raise StudioError(error.message, field="upscaler") from None
