"""What a file says about how its picture was made: every value checked for type and size before anybody uses it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_SETTINGS = 300_000
"""Characters of a text of settings that are read; a long prompt has some thousand."""
MAX_PROMPT = 100_000
MAX_JSON = 2_000_000
"""Characters of JSON that are read: a graph of thousands of nodes takes less."""
_DEPTH, _VALUES = 64, 50_000
"""Of JSON: how deep it may be nested, how many values it may have."""


@dataclass(frozen=True)
class Loss:
    """Something that a file says and that is not used."""

    field: str
    said: str
    """As the file says it, shortened; "" where the file does not say it."""
    why: str
    """Part of a sentence: "seeds have 32 bits here"."""


@dataclass(frozen=True)
class Settings:
    """What a file says."""

    tool: str
    """Name of the program that wrote it, for people."""
    values: dict[str, Any]
    """Keys of our own ``parameters``; of the known ones only those of the right type."""
    losses: tuple[Loss, ...] = ()


def checked(tool: str, ours: Mapping[str, Any], rest: Mapping[str, Any]) -> Settings:
    """`Settings` of unchecked values: ``ours`` by field, ``rest`` what the tool calls otherwise."""
    values: dict[str, Any] = {}
    losses: list[Loss] = []
    for name, value in ours.items():
        if value is None or (value == "" and name in _CHECKS and not name.endswith("prompt")):
            continue
        try:
            values[name] = _CHECKS[name](value) if name in _CHECKS else value
        except ValueError as error:
            losses.append(Loss(name, shown(value), str(error)))
    return Settings(tool, values, (*losses, *beside(rest)))


def beside(rest: Mapping[str, Any]) -> list[Loss]:
    """What is lost of settings that no field here stands for, by subject."""
    hires = any("hires" in key.lower() for key in rest)
    told: dict[tuple[str, str], list[str]] = {}
    for key, value in rest.items():
        if _plain(key) in _NOTHING_LOST or _is_off(value):
            continue
        for subject, pattern, why in _SUBJECTS:
            if pattern.search(key.lower()):
                if subject == "strength" and hires:
                    subject, why = _SUBJECTS[0][0], _SUBJECTS[0][2]
                break
        else:
            subject, why = key[:64], "there is no such setting here"
        told.setdefault((subject, why), []).append(f"{key[:64]} {shown(value)}" if subject != key else shown(value))
    return [Loss(subject, shown(", ".join(said)), why) for (subject, why), said in told.items()]


def load_json(text: str, *, numbers: bool = True) -> Any:
    """JSON of bounded size and depth, text that can be encoded, and finite numbers.

    Raises `ValueError` for everything else; NaN is None unless ``numbers`` matter.
    """
    if len(text) > MAX_JSON:
        raise ValueError("too long")

    def constant(name: str) -> None:
        if numbers:
            raise ValueError(name)

    try:
        return _tame(json.loads(text, parse_constant=constant), [_VALUES], _DEPTH)
    except RecursionError:
        raise ValueError("too deep") from None


def _tame(value: Any, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if depth == 0 or left[0] < 0:
        raise ValueError("too deep or too many values")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair cannot be sent on
    if isinstance(value, list):
        return [_tame(each, left, depth - 1) for each in value]
    if isinstance(value, dict):
        return {_tame(key, left, depth): _tame(each, left, depth - 1) for key, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not finite")
    if isinstance(value, int) and abs(value) >= 1 << 64:
        raise ValueError("too large")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it is no text")
    if len(value) > MAX_PROMPT:
        raise ValueError(f"it has more than {MAX_PROMPT:,} characters")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,20}(\.0{1,9})?", value.strip(), re.ASCII):
        value = int(value.strip().partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("it is no whole number")
    if abs(value) >= 1 << 64:
        raise ValueError("the number is too large")
    return value


def _number(value: Any) -> float | int:
    if isinstance(value, str):
        text = value.strip()
        value = float(text) if re.fullmatch(r"[+-]?[\d.]{1,20}(e[+-]?\d{1,3})?", text, re.ASCII | re.I) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("it is no number")
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "prompt": _text,
    "negative_prompt": _text,
    "width": _whole,
    "height": _whole,
    "steps": _whole,
    "guidance_scale": _number,
    "sampler": _text,
    "seed": _whole,
    "model": _text,
    "model_hash": _text,
    "capability": _text,
}

_SUBJECTS: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (subject, re.compile(pattern), why)
    for subject, pattern, why in (
        ("hires fix", r"hires|\bhrf|highres|upscale", "a second pass at a larger size is not made here"),
        ("LoRA", r"lora|lyco|hypernet", "LoRA files are not used here yet"),
        ("embeddings", r"\bti hashes|embedding|textual", "embeddings are not used here"),
        ("clip skip", r"clip.?skip|clip.?stop", "the text encoder is always used to its last layer here"),
        ("ControlNet", r"control", "control maps are not in the file"),
        ("refiner", r"refiner", "a second model is not used here"),
        ("VAE", r"\bvae", "a model draws with its own VAE here"),
        ("schedule", r"schedule", "there is no such schedule here"),
        ("variation", r"variation|subseed", "a second seed is not used here"),
        ("styles", r"style", "styles of another tool are not here"),
        (
            "strength",
            r"denois|strength|\binit|mask|inpaint|source.?image|noise",
            "the picture it was made from is gone",
        ),
    )
)
_NOTHING_LOST = frozenset(
    {
        "version", "app", "appversion", "swarmversion", "date", "createddate", "time", "generationtime", "user",
        "createdby", "hashes", "batchsize", "batchpos", "civitairesources", "civitaimetadata", "metadatascheme",
        "generationmode", "randdevice", "nsamples", "requesttype", "signedhash", "fullprompt", "fullnegativeprompt",
        "aspectratio", "id", "automaticvae", "images", "numoutputs", "outputformat", "software", "createdat",
    }
)  # fmt: skip
"""Squashed keys that say nothing about how the picture looks, or what another key says better."""


def _plain(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key[:64].lower())


def _is_off(value: Any) -> bool:
    """Whether a setting is at rest: nothing, false, zero, an empty list or a word for them."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "none", "false", "0", "0.0", "[]", "{}", "null")
    return not value


def shown(value: Any) -> str:
    """In one short line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text[:400].split())
    return text if len(text) <= 120 else f"{text[:117]}..."
