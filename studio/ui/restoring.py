"""Settings of a picture, ours or another tool's, as values of a form; and field by field what could not come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.capability import Request
from studio.models.samplers import samplers_for
from studio.ui.form.model import ModelField
from studio.ui.form.schema import label, takes

_ALWAYS = ("prompt", "negative_prompt", "model", "width", "height", "steps", "guidance_scale", "sampler", "seed")
"""What a complete set of settings tells."""
_DEFAULTS = {"negative_prompt": "", "styles": []}


@dataclass
class Report:
    """``values`` for the form; ``restored`` are labels, ``not_restored`` are ``{"field": label, "why": words}``."""

    values: dict[str, Any] = field(default_factory=dict)
    restored: list[str] = field(default_factory=list)
    not_restored: list[dict[str, str]] = field(default_factory=list)

    def lose(self, name: str, why: str) -> None:
        self.not_restored.append({"field": label(name), "why": why})


def bring_back(found: Mapping[str, Any], request: type[Request], models: ModelField) -> Report:
    """What of ``found`` fits ``request`` and a model of this computer."""
    report = Report()
    model = str(found.get("model") or "")
    family = models.family(model)
    if model and family.id != model:
        report.lose("model", f"{model[:80]} is not on this computer; {family.name} is chosen instead.")
    elif model:
        report.restored.append(label("model"))
    report.values["model"] = family.id
    for name in request.model_fields:
        if name == "model" or name not in (*_ALWAYS, "strength", "picture", "styles"):
            continue
        value = found.get(name)
        if value is None:
            if name in _ALWAYS and name not in _DEFAULTS:
                report.lose(name, f"is not among its settings; {family.name}'s own is used.")
        elif name == "sampler" and value not in [row.id for row in samplers_for(family)]:
            report.lose(name, f"“{str(value)[:80]}” cannot be used with {family.name}.")
        elif not takes(request, name, value):
            report.lose(name, f"“{str(value)[:40]}” cannot be used here.")
        else:
            report.values[name] = value
            if value not in ("", [], ()):
                report.restored.append(label(name))
    return report
