"""Of several pictures those that fit the prompt best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from studio.capability import Context, Output
from studio.drawing.prompts import plain_text
from studio.models.spec import UNDERSTANDING, PipelineSpec
from studio.reading.measures import clip_score


def best(pictures: Iterator[Output], keep: int, context: Context) -> Iterator[Output]:
    """Of all ``pictures`` the ``keep`` with the highest CLIP score, best first; their parameters then tell it."""
    drawn = list(pictures)
    family = context.catalog.default_for("embed")

    def told(message: str) -> None:
        steps = sum(output.parameters["steps"] for output in drawn)
        context.progress(steps, steps, message=message)

    def scores(reader: Any) -> list[float]:
        seen = reader.pictures([output.image for output in drawn])
        texts = reader.texts([plain_text(output.parameters["prompt"]) for output in drawn])
        return [clip_score(picture, text) for picture, text in zip(seen, texts, strict=True)]

    told("Choosing the best")
    found = context.models.run(PipelineSpec(family.id, UNDERSTANDING), scores, lambda *step: told(step[2]))
    ranked = sorted(zip(found, drawn, strict=True), key=lambda pair: -pair[0])
    note = f"The best {keep} of {len(drawn)} by the CLIP score of {family.name} were kept."
    for place, (score, output) in enumerate(ranked[:keep]):
        parameters = {**output.parameters, "clip_score": round(score, 2), "clip_model": family.id}
        yield replace(output, parameters=parameters, notes=(*output.notes, *(() if place else (note,))))
