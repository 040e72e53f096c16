"""Scores: how well each picture fits its prompt, and plain facts about its pixels."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from studio.capability import Capability, Context, PicturesRequest, Record
from studio.drawing.prompts import plain_text
from studio.models.catalog import Catalog
from studio.reading.measures import clip_score, light
from studio.reading.reading import Reading, check_pictures


class ScoreRequest(PicturesRequest):
    """Which pictures to score."""

    model: str = Field(default="", max_length=64, description="Model id; empty is the model of the search.")


class Score(Capability):
    """See `ScoreRequest`. There is no aesthetic score: no model for it is here, and none is guessed."""

    name = "score"
    title = "Score"
    summary = "Measure how well pictures fit their prompts, and how sharp they are."
    request = ScoreRequest
    makes = "records"
    light = 8

    def prepare(self, request: ScoreRequest, catalog: Catalog) -> ScoreRequest:
        check_pictures(request)
        return request.model_copy(update={"model": catalog.able(request.model, "embed").id})

    def work(self, request: ScoreRequest) -> float:
        return float(len(request.pictures))

    def run(self, request: ScoreRequest, context: Context) -> Iterator[Record]:
        reading = Reading(context, request.model, request.pictures)
        for batch in reading.batches():
            drawn = [item for item in batch if item.image is not None and item.source.prompt]
            texts = reading.read([plain_text(item.source.prompt) for item in drawn]) if drawn else ()
            looked = {item.index: (item, vector) for item, vector in reading.looked(drawn)}
            scores = {
                index: round(clip_score(vector, text), 2)
                for (index, (_, vector)), text in zip(looked.items(), texts, strict=True)
                if vector is not None
            }
            for item in batch:
                item, _ = looked.get(item.index, (item, None))
                pixels = {} if item.image is None else light(item.image)
                yield item.record(clip_score=scores.get(item.index), **pixels)
