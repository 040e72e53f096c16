"""The Understand tab: what its script has to know of models, words and questions. The script draws the tab.

Jobs, uploads, boards and checklists go over REST like any program's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studio.capabilities.ask import suggestions
from studio.drawing.words import vocabulary
from studio.errors import StudioError
from studio.models.families import Feature
from studio.reading.labels import TEMPLATES
from studio.ui.markup import html, licence_words
from studio.ui.operations import Action

if TYPE_CHECKING:
    from studio import Studio
    from studio.models.families import Family

FEATURES: tuple[Feature, ...] = ("zero-shot", "vqa", "caption", "embed")
"""What the tools ask of a model; each tool names one of them."""


def build(studio: Studio) -> None:
    """The place of the tab; its script fills it."""
    del studio
    html("", elem_id="understand", js_on_load="window.studio.mount('understand', element)")


def actions(studio: Studio, user: str) -> dict[str, Action]:
    catalog = studio.catalog

    def offered(feature: Feature) -> dict[str, Any]:
        rows = [row for row in catalog.all() if row.supports(feature)]
        available = {row.id for row in rows if catalog.available(row.id)}
        rows.sort(key=lambda row: row.id not in available)
        try:
            default = catalog.default_for(feature).id
        except StudioError:  # nothing here can do it
            default = ""
        return {"default": default, "models": [_model(row, row.id in available) for row in rows]}

    def understand(data: dict[str, Any]) -> dict[str, Any]:
        words = vocabulary(catalog.location("starter-clip"))
        return {
            "models": {feature: offered(feature) for feature in FEATURES},
            "templates": list(TEMPLATES),
            "vocabulary": list(words.objects) if words else [],
        }

    def suggested(data: dict[str, Any]) -> dict[str, Any]:
        ids = [str(id) for id in data.get("pictures") or ()]
        history = [(str(question), str(answer)) for question, answer in data.get("history") or ()]
        prompt = ""
        if len(ids) == 1:
            try:
                prompt = studio.library.source(ids[0], user=user).prompt
            except StudioError:
                prompt = ""
        return {"questions": suggestions(history, prompt=prompt, pictures=max(len(ids), 1))}

    return {"understand": understand, "suggestions": suggested}


def _model(family: Family, available: bool) -> dict[str, Any]:
    return {
        "id": family.id, "name": family.name, "summary": family.summary, "licence": family.licence,
        "commercial": family.commercial, "badge": licence_words(family), "available": available,
    }  # fmt: skip
