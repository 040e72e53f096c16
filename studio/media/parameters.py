"""The settings that a picture file carries, ours or another tool's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from studio.media.files import MAX_PIXELS, STUDIO_KEY, header
from studio.media.foreign import OURS, read_foreign
from studio.media.said import Loss, Settings, checked, load_json
from studio.media.texts import exif_texts, png_texts, stealth_text


def read_parameters(source: bytes | Path) -> dict[str, Any] | None:
    """The settings a picture carries under the keys of our own ``parameters``; None when it carries none.

    Raises `StudioError` if it is no picture, and nothing else.
    """
    found = read_settings(source)
    return found.values if found and found.values else None


def read_settings(source: bytes | Path) -> Settings | None:
    """The settings a picture carries, and what of them cannot be used; None when it carries none.

    Our own JSON first, then the texts of other tools, then the lowest bits of the pixels. Takes time linear in the
    size of the file. Raises `StudioError` if it is no picture, and nothing else.
    """
    image, data = header(source)
    with image:
        texts = exif_texts(image)
        if image.format == "PNG":
            texts |= png_texts(data)
        damaged: tuple[Loss, ...] = ()
        if STUDIO_KEY in texts:
            try:
                return _own(load_json(texts[STUDIO_KEY]))
            except ValueError:
                damaged = (Loss(STUDIO_KEY, "", "the studio's own settings are damaged"),)
        found = read_foreign(texts) or _hidden(image)
    if found is None:
        return Settings(OURS, {}, damaged) if damaged else None
    return Settings(found.tool, found.values, (*damaged, *found.losses))


def _own(value: Any) -> Settings:
    if not isinstance(value, dict):
        raise ValueError("no object")
    return checked(OURS, value, {})


def _hidden(image: Image.Image) -> Settings | None:
    """What NovelAI and others write into the lowest bits of the pixels, where nothing else was found."""
    if image.format not in ("PNG", "WEBP") or image.width * image.height > MAX_PIXELS:
        return None
    try:
        text = stealth_text(image)
    except Exception:  # decoders of damaged pixels raise anything: whoever opens the picture is told
        return None
    if text.startswith("{"):
        try:
            texts = load_json(text, numbers=False)
        except ValueError:
            return None
        return read_foreign({key: each for key, each in texts.items() if isinstance(each, str)} | {"parameters": text})
    return read_foreign({"parameters": text}) if text else None
