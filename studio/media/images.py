"""Pictures as bytes: safe opening of what a user hands in, PNG with its parameters written twice, reading them back.

Pure PIL and numpy, so that the page and the API can use it without torch.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

from studio.errors import StudioError

FORMATS = ("PNG", "JPEG", "WEBP")
"""Everything else Pillow can read (EPS, SVG, TIFF, GIF ...) has a longer list of holes than of users."""

MAX_PIXELS = 25_000_000
INFOTEXT_KEY = "parameters"
STUDIO_KEY = "studio"

_UNREADABLE = "This file is not a readable PNG, JPEG or WebP picture; export it again and choose the new file."
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286


def open_image(source: bytes | Path, max_pixels: int = MAX_PIXELS, *, formats: Sequence[str] = FORMATS) -> Image.Image:
    """First frame of a PNG, JPEG or WebP, upright (EXIF applied), mode "RGB" or "RGBA".

    The header's pixel count is checked before anything is decoded: 1.3 kB of PNG can unpack to 664 MB.
    Raises `StudioError` for corrupt, oversized and other files.
    """
    with _header(source, formats) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise StudioError(
                f"This picture has {width} x {height} pixels; scale it to at most {max_pixels / 1e6:.0f} megapixels.",
                field="image",
            )
        try:
            image.load()
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16") or upright.mode == "I":  # convert() would clip 16 bits to white
                return Image.fromarray((np.asarray(upright).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
            return upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        except Exception as error:  # decoders of hostile files raise OSError, SyntaxError, ValueError, struct.error ...
            raise StudioError(_UNREADABLE, field="image") from error


def write_png(image: Image.Image, parameters: Mapping[str, Any]) -> bytes:
    """PNG bytes, `infotext` in the text chunk "parameters", the full JSON in "studio". Same input, same bytes."""
    info = PngImagePlugin.PngInfo()
    info.add_text(INFOTEXT_KEY, infotext(parameters))  # becomes iTXt by itself when it is not Latin-1
    info.add_itxt(STUDIO_KEY, json.dumps(parameters, ensure_ascii=False, allow_nan=False, sort_keys=True))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()


def read_parameters(source: bytes | Path) -> dict[str, Any] | None:
    """The settings a picture carries: our JSON first, else the infotext of other tools (PNG text or EXIF user comment).

    Keys are those of our own `parameters`; None when it carries none. Raises `StudioError` if it is no picture.
    """
    with _header(source) as image:
        try:
            ours = json.loads(image.info[STUDIO_KEY])
            if isinstance(ours, dict):
                return ours
        except (KeyError, TypeError, ValueError):
            pass
        text = image.info.get(INFOTEXT_KEY)
        if not isinstance(text, str):
            text = _user_comment(image)
    return parse_infotext(text) if text else None


def infotext(parameters: Mapping[str, Any]) -> str:
    """The form AUTOMATIC1111 made common: the prompt, "Negative prompt: ...", one line of "Key: value" pairs."""
    lines = [str(parameters.get("prompt") or "")]
    if negative := parameters.get("negative_prompt"):
        lines.append(f"Negative prompt: {negative}")
    fields: dict[str, Any] = {key: parameters.get(name) for key, name in _FIELDS.items() if key != "Size"}
    if parameters.get("width") and parameters.get("height"):
        fields["Size"] = f"{parameters['width']}x{parameters['height']}"
    if fields["Sampler"]:
        fields["Sampler"] = A1111_SAMPLERS.get(fields["Sampler"], fields["Sampler"])
    version = (parameters.get("versions") or {}).get("studio")
    fields["Version"] = f"Creative Studio {version}" if version else "Creative Studio"
    lines.append(", ".join(f"{key}: {_quote(fields[key])}" for key in _ORDER if fields.get(key) not in (None, "")))
    return "\n".join(lines)


def parse_infotext(text: str) -> dict[str, Any] | None:
    """Inverse of `infotext`, lenient about other writers; None when no settings line is found."""
    lines = text.strip().splitlines()
    for index in range(len(lines) - 1, -1, -1):
        found = {key: _unquote(value) for key, value in _PAIR.findall(lines[index])}
        if len(found.keys() & {"Steps", "Sampler", "CFG scale", "Seed", "Size"}) >= 3:
            break
    else:
        return None
    prompt, _, negative = "\n".join(lines[:index]).partition("Negative prompt:")
    result: dict[str, Any] = {"prompt": prompt.strip(), "negative_prompt": negative.strip()}
    for key, name in _FIELDS.items():
        if key == "Size" and (size := re.fullmatch(r"(\d+)\s*x\s*(\d+)", found.get(key, ""))):
            result["width"], result["height"] = int(size[1]), int(size[2])
        elif name and key in found:
            try:
                result[name] = _TYPES.get(name, str)(found[key])
            except ValueError:
                continue  # a value we cannot read is a setting we leave alone
    if sampler := result.get("sampler"):
        schedule = found.get("Schedule type", "")  # newer writers split "DPM++ 2M Karras" over two fields
        whole = sampler if schedule in sampler else f"{sampler} {schedule}"
        result["sampler"] = sampler_id(whole) if sampler_id(whole) in A1111_SAMPLERS else sampler_id(sampler)
    return result


def sampler_id(name: str) -> str:
    """Our sampler id for another tool's sampler name; the name itself when we have none like it."""
    return _SAMPLER_IDS.get(_squash(name), name)


A1111_SAMPLERS = {
    "ddpm": "DDPM",
    "ddim": "DDIM",
    "pndm": "PLMS",
    "euler": "Euler",
    "euler-a": "Euler a",
    "heun": "Heun",
    "dpmpp-2m": "DPM++ 2M",
    "dpmpp-2m-karras": "DPM++ 2M Karras",
    "unipc": "UniPC",
    "lcm": "LCM",
}
"""Our sampler id -> the name other tools know it by."""

_FIELDS = {
    "Steps": "steps",
    "Sampler": "sampler",
    "CFG scale": "guidance_scale",
    "Seed": "seed",
    "Size": "",
    "Model hash": "model_hash",
    "Model": "model",
}
_ORDER = (*_FIELDS, "Version")
_TYPES: dict[str, type] = {"steps": int, "guidance_scale": float, "seed": int}
_PAIR = re.compile(r'\s*(\w[\w \-/]*):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')


def _squash(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("++", "pp").replace("ancestral", "a").replace("plms", "pndm"))


_SAMPLER_IDS = {_squash(name): identifier for identifier, name in A1111_SAMPLERS.items()}
_SAMPLER_IDS |= {_squash(identifier): identifier for identifier in A1111_SAMPLERS}


def _quote(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r'[,:\n"]', text) else text


def _unquote(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return value
    return value.strip()


def _user_comment(image: Image.Image) -> str:
    """Infotext as JPEG and WebP carry it: EXIF UserComment, 8 bytes naming the encoding, then the text."""
    try:
        comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT, b"")
        if isinstance(comment, str):
            return comment
        if comment.startswith(b"UNICODE\0"):
            body = comment[8:]
            return body.decode("utf-16-le" if body[1:2] == b"\0" else "utf-16-be", "replace")
        return comment.removeprefix(b"ASCII\0\0\0").decode("utf-8", "replace")
    except Exception:  # a damaged EXIF block is no settings, not a failure
        return ""


def small_webp(image: Image.Image, side: int) -> bytes:
    """A WebP of at most ``side`` pixels a side."""
    small = image.convert("RGBA" if image.has_transparency_data else "RGB")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=82)
    return buffer.getvalue()


def _header(source: bytes | Path, formats: Sequence[str] = FORMATS) -> Image.Image:
    """The picture with only its header read."""
    try:
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=list(formats))
    except FileNotFoundError as error:
        raise StudioError(f"There is no file {source}; check its path.", field="image") from error
    except Exception as error:  # see open_image: hostile headers raise many types, Pillow's bomb error among them
        raise StudioError(_UNREADABLE, field="image") from error
