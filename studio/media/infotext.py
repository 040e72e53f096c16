"""The text in which AUTOMATIC1111 and many others write a picture's settings: written and read.

A prompt, "Negative prompt: ..." at the start of a line, one line of "Key: value" pairs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

NEGATIVE = "Negative prompt:"

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

PLAIN_SCHEDULES = frozenset({"", "automatic", "normal", "default", "none", "native"})
"""Names of a schedule that ask for nothing special."""

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
_SURE = frozenset({"Steps", "Sampler", "CFG scale", "Seed", "Size"})
"""A line is of settings when it has three of these."""
_KEY = re.compile(r"\w[\w \-/.()+]{0,63}")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"(?=\s*(?:,|$))')


def infotext(parameters: Mapping[str, Any]) -> str:
    """Of our own ``parameters``, as other tools read it."""
    lines = [str(parameters.get("prompt") or "")]
    if negative := parameters.get("negative_prompt"):
        lines.append(f"{NEGATIVE} {negative}")
    fields: dict[str, Any] = {key: parameters.get(name) for key, name in _FIELDS.items() if key != "Size"}
    if parameters.get("width") and parameters.get("height"):
        fields["Size"] = f"{parameters['width']}x{parameters['height']}"
    if fields["Sampler"]:
        fields["Sampler"] = A1111_SAMPLERS.get(fields["Sampler"], fields["Sampler"])
    version = (parameters.get("versions") or {}).get("studio")
    fields["Version"] = f"Creative Studio {version}" if version else "Creative Studio"
    lines.append(", ".join(f"{key}: {_quote(fields[key])}" for key in _ORDER if fields.get(key) not in (None, "")))
    return "\n".join(lines)


def read_infotext(text: str) -> tuple[dict[str, str], dict[str, str]] | None:
    """What ``text`` says, unchecked: (ours by field, the rest by the key of its writer); None without settings.

    Inverse of `infotext` and lenient about other writers, in time linear in the length of ``text``.
    """
    lines = text.strip().splitlines()
    for index in range(len(lines) - 1, -1, -1):
        found = _pairs(lines[index])
        if len(found.keys() & _SURE) >= 3:
            break
    else:
        return None
    prompt: list[str] = []
    negative: list[str] = []
    to = prompt
    for line in lines[:index]:
        if to is prompt and line.lstrip().startswith(NEGATIVE):
            to, line = negative, line.lstrip()[len(NEGATIVE) :].lstrip()
        to.append(line)
    ours = {"prompt": "\n".join(prompt).strip(), "negative_prompt": "\n".join(negative).strip()}
    rest = {key: value for key, value in found.items() if key not in _FIELDS}
    for key, name in _FIELDS.items():
        if name and key in found:
            ours[name] = found[key]
    if "Size" in found:
        width, _, height = (each.strip() for each in found["Size"].lower().partition("x"))
        ours |= {"width": width, "height": height} if width and height else {"width": f"Size {found['Size']}"}
    if sampler := ours.get("sampler"):
        ours["sampler"], schedule = sampler_of(sampler, rest.pop("Schedule type", ""))
        if schedule:
            rest["Schedule type"] = schedule
    return ours, rest


def sampler_of(name: str, schedule: str = "") -> tuple[str, str]:
    """(our id for another tool's sampler, or its name when there is none like it; the schedule where that is lost)."""
    name, schedule = name[:200], schedule[:200]
    whole = name if schedule.lower() in name.lower() else f"{name} {schedule}"
    if _squash(whole) in _SAMPLER_IDS:
        return _SAMPLER_IDS[_squash(whole)], ""
    plain = schedule.lower() in PLAIN_SCHEDULES or schedule.lower() in name.lower()
    return _SAMPLER_IDS.get(_squash(name), name), "" if plain else schedule


def _pairs(line: str) -> dict[str, str]:
    """The "Key: value" pairs of a line, split at commas that stand in no quotes."""
    found: dict[str, str] = {}
    place, last_brace = 0, line.rfind("}")
    while place < len(line):
        while place < len(line) and line[place] in " \t":
            place += 1
        key = _KEY.match(line, place)
        if key is None or line[key.end() : key.end() + 1] != ":":
            place = _next(line, place)
            continue
        start = key.end() + 1
        while start < len(line) and line[start] in " \t":
            start += 1
        quoted = _QUOTED.match(line, start) if line[start : start + 1] == '"' else None
        if quoted:
            end = quoted.end()
        elif line[start : start + 1] == "{" and start < last_brace:
            end = _next(line, line.find("}", start)) - 1  # such as Hashes: {"model": "...", "vae": "..."}
        else:
            end = _next(line, start) - 1
        found.setdefault(key[0].strip(), _unquote(line[start:end].strip()))
        place = _next(line, end)
    return found


def _next(line: str, place: int) -> int:
    """Just after the next comma, or one past the end."""
    comma = line.find(",", place)
    return (comma if comma >= 0 else len(line)) + 1


def _squash(name: str) -> str:
    plain = name.lower().removeprefix("k_").removesuffix("_gpu")
    if plain.endswith("_k"):
        plain = plain[:-2] + "karras"
    return re.sub(
        r"[^a-z0-9]", "", plain.replace("++", "pp").replace("ancestral", "a").replace("plms", "pndm")
    ).replace("unipcmultistep", "unipc")


_SAMPLER_IDS = {_squash(name): identifier for identifier, name in A1111_SAMPLERS.items()}
_SAMPLER_IDS |= {_squash(identifier): identifier for identifier in A1111_SAMPLERS}


def _quote(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r'[,:\n"]', text) else text


def _unquote(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except (ValueError, RecursionError):
            return value
    return value
