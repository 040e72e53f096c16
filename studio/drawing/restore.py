"""What of a picture's settings can be brought back here, field by field, and why the rest cannot. No torch here.

report = restore(read_settings(file), studio.capabilities["text-to-image"], studio.catalog)
report.values          # for the form, each valid for the request and the chosen model
report.restored        # names of the fields that are as the picture says
report.not_restored    # Loss(field, said, why) each; ``field`` is a request's or a subject such as "hires fix"
report.sentence        # the whole in one, for people
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from studio.capability import Capability
from studio.drawing.request import SEEDS
from studio.drawing.sizes import limits, snap
from studio.errors import StudioError, refusal
from studio.media.said import Loss, Settings
from studio.models.catalog import Catalog
from studio.models.families import Family
from studio.models.hashes import WeightHashes
from studio.models.samplers import samplers_for

FIELDS = ("prompt", "negative_prompt", "model", "width", "height", "steps", "guidance_scale", "sampler", "seed")
"""What a whole set of settings says."""

_TAG = re.compile(r"<(?:lora|lyco|hypernet):[^<>\n]{1,200}>", re.I)
_KNOWN = {
    "v15prunedemaonly": "sd15", "v15pruned": "sd15", "v21768emapruned": "sd21", "sdxlbase10": "sdxl",
    "sdxlbase1009vae": "sdxl", "sdxlturbo10fp16": "sdxl-turbo", "sdxlturbo10": "sdxl-turbo",
}  # fmt: skip
"""Names of files under which others know a built-in family, squashed."""


@dataclass
class Report:
    """See the module. ``made_by`` is the tool that wrote the settings."""

    made_by: str
    values: dict[str, Any] = field(default_factory=dict)
    restored: list[str] = field(default_factory=list)
    not_restored: list[Loss] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not self.not_restored

    @property
    def sentence(self) -> str:
        if not self.not_restored:
            return "Brought back all settings of that picture."
        lost = "; ".join(
            f"{_label(each.field)}{f' ({each.said[:60]})' if each.said else ''}: {each.why.rstrip('.')}"
            for each in self.not_restored[:8]
        )
        more = f"; and {len(self.not_restored) - 8} more" if len(self.not_restored) > 8 else ""
        made = "" if self.made_by in ("", "Creative Studio") else f" Made by {self.made_by}."
        if not self.restored:
            return f"None of that picture's settings could be brought back: {lost}{more}.{made}"
        labels = dict.fromkeys(_label(name) for name in self.restored)
        return f"Brought back {', '.join(labels)}. Not brought back: {lost}{more}.{made}"

    def lose(self, name: str, said: Any, why: str) -> None:
        self.values.pop(name, None)
        if name in self.restored:
            self.restored.remove(name)
        text = " ".join(str("" if said is None else said).split())
        self.not_restored.append(Loss(name, text if len(text) <= 120 else f"{text[:117]}...", why))


def restore(found: Settings, capability: Capability, catalog: Catalog, hashes: WeightHashes | None = None) -> Report:
    """The settings ``found`` as values of a request of ``capability`` to a model of this computer."""
    report = Report(found.tool, not_restored=list(found.losses))
    told, takes = found.values, capability.request.model_fields
    family = _choose_model(report, told, capability, catalog, hashes or WeightHashes(catalog))
    unreadable = {loss.field for loss in found.losses}
    for name in takes:
        if name == "model" or not isinstance(told.get(name), str | int | float) or isinstance(told.get(name), bool):
            unsaid = name in FIELDS and name not in ("model", "negative_prompt", *told, *unreadable)
            if unsaid:
                report.lose(name, "", f"the picture does not say it; {family.name}'s own stands there")
            continue
        report.values[name] = told[name]
        report.restored.append(name)
    if "styles" in takes:
        report.values["styles"] = []  # their text is in the prompt already
    made = str(told.get("capability") or capability.name)
    if made != capability.name:
        report.lose("capability", made, "its other pictures and settings belong to another tab")
    _leave_tags(report)
    _check_family(report, family)
    _check_size(report, family)
    _check_request(report, capability, catalog)
    return report


def _choose_model(
    report: Report, told: dict[str, Any], capability: Capability, catalog: Catalog, hashes: WeightHashes
) -> Family:
    """By the hash of its weights, then by name; else the default, and told."""
    default = catalog.get("")
    name, hash = str(told.get("model") or ""), str(told.get("model_hash") or "")
    able = [row for row in catalog.all("diffusion") if row.does(capability.name)]
    here = [row for row in able if catalog.available(row.id)]
    named = _named(name, able)
    by_hash = ""
    if hash:
        # Built-in families come first by name: their weights need not be read to know them.
        by_hash = hashes.find(hash, [row.id for row in here if row.local or hashes.remembered(row.id)])
    chosen = next((row for row in here if row.id == by_hash), None) or (named if named in here else None)
    said = name or hash
    if chosen is None:
        if named is not None:
            why = f"{named.name} is not on this computer yet, {default.name} is chosen; the Models tab can add it"
        elif said:
            why = f"no model here has this name or these weights, {default.name} is chosen"
        else:
            why = f"the picture does not say it, {default.name} is chosen"
        if "model" not in {loss.field for loss in report.not_restored}:
            report.lose("model", said, why)
        report.values["model"] = default.id
        return default
    report.values["model"] = chosen.id
    report.restored.append("model")
    weights = hashes.remembered(chosen.id)
    if hash and weights and not by_hash and not weights.startswith(hash.lower()):
        report.lose(
            "model_hash", hash, f"{chosen.name} has the same name but other weights, so the picture will differ"
        )
    return chosen


def _named(name: str, rows: list[Family]) -> Family | None:
    wanted = _squash(name)
    if not wanted:
        return None
    for row in rows:
        if name == row.id:
            return row
    for row in rows:
        names = (row.id, row.name, PurePosixPath(row.path).stem, row.repo.rpartition("/")[2])
        if wanted in {_squash(each) for each in names if each} or _KNOWN.get(wanted) == row.id:
            return row
    return None


def _leave_tags(report: Report) -> None:
    """Tags of LoRA files would be drawn as words."""
    for name in ("prompt", "negative_prompt"):
        text = report.values.get(name)
        if isinstance(text, str) and (tags := _TAG.findall(text)):
            report.values[name] = re.sub(r"[ ,]*,[ ,]*", ", ", _TAG.sub("", text)).strip(" ,")
            known = next((loss for loss in report.not_restored if loss.field == "LoRA"), None)
            if known is not None:
                report.not_restored.remove(known)
            report.lose("LoRA", ", ".join(tags), "LoRA files are not used here yet, so the tag was left out")


def _check_family(report: Report, family: Family) -> None:
    values = report.values
    if values.get("negative_prompt") and not family.supports("negative-prompt"):
        report.lose("negative_prompt", values["negative_prompt"], f"{family.name} knows no negative prompt")
    guidance = values.get("guidance_scale")
    if guidance is not None and not family.supports("guidance") and guidance != family.guidance:
        report.lose("guidance_scale", f"{guidance:g}", f"{family.name} works at its own guidance")
    seed = values.get("seed")
    if seed is not None and not 0 <= seed < SEEDS:
        report.lose("seed", seed, f"seeds have 32 bits here, 0 to {SEEDS - 1}; another is picked")
    allowed = samplers_for(family)
    sampler = values.get("sampler")
    if sampler is not None and sampler not in [row.id for row in allowed]:
        report.lose("sampler", sampler, f"{family.name} has {', '.join(row.label for row in allowed[:12])}")


def _check_size(report: Report, family: Family) -> None:
    """A size that the family cannot draw becomes the nearest of about the same shape."""
    width, height = report.values.get("width"), report.values.get("height")
    if width is None or height is None:
        for name in ("width", "height"):  # why the other side is missing is told already
            report.values.pop(name, None)
            report.restored = [each for each in report.restored if each != name]
        return
    low, high = limits(family)
    if not 0 < min(width, height) <= max(width, height) <= 1 << 16:
        said, width, height = f"{width} x {height}", family.native_size, family.native_size
    else:
        said = f"{width} x {height}"
        scale = min(1.0, high / max(width, height))
        scale = max(scale, low / min(width, height))
        width, height = snap(family, width * scale), snap(family, height * scale)
    if said != f"{width} x {height}":
        report.restored = [name for name in report.restored if name not in ("width", "height")]
        why = (
            f"{family.name} draws {low} to {high} a side in steps of {family.size_multiple}; {width} x {height} is near"
        )
        report.lose("size", said, why)
        report.values |= {"width": width, "height": height}


def _check_request(report: Report, capability: Capability, catalog: Catalog) -> None:
    """Whatever the request itself or the model refuses goes, with the words of the refusal."""
    for _ in range(len(report.values) + 1):
        try:
            request = capability.request.model_validate(_complete(report, capability))
            capability.prepare(request, catalog)
            return
        except ValidationError as error:
            refused = refusal(error.errors())
        except StudioError as error:
            refused = error
        name = (refused.field or "").partition(".")[0]
        if name not in report.values or name == "model":
            return
        report.lose(name, report.values[name], refused.message)


def _complete(report: Report, capability: Capability) -> dict[str, Any]:
    """The values with stand-ins for what is required and not in a picture's settings: a prompt, another picture."""
    missing = {
        name: "f" * 32 if name != "prompt" else "x"
        for name, each in capability.request.model_fields.items()
        if each.is_required() and not report.values.get(name)
    }
    return {**report.values, **missing}


def _squash(name: str) -> str:
    last = re.split(r"[/\\]", name[:400])[-1]
    last = re.sub(r"\s*\[[0-9a-f]{8,64}\]$", "", last.strip(), flags=re.I)
    last = re.sub(r"\.(safetensors|ckpt|gguf|pt)$", "", last, flags=re.I)
    return re.sub(r"[\W_]", "", last.lower())


def _label(name: str) -> str:
    return {"width": "size", "height": "size", "guidance_scale": "guidance", "studio": "settings"}.get(
        name, name.replace("_", " ")
    )
