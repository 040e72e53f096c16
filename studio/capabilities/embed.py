"""Embeddings for the search: what the studio itself asks for when a picture is saved or a query is typed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydantic import Field

from studio.capability import Capability, Context, PicturesRequest, Record
from studio.errors import StudioError
from studio.media.clips import Clip
from studio.models.catalog import Catalog
from studio.reading.reading import Reading, check_pictures

CLIP_FRAMES = 120
"""Frames of a clip that can be found: one a second, or as many of a longer clip."""


class EmbedRequest(PicturesRequest):
    """Pictures and clips whose vectors are missing."""

    model: str = Field(default="", max_length=64, description="Model id; empty is the model of the search.")


class Embed(Capability):
    """See `EmbedRequest`. Vectors go to `Context.keep_vectors`; only what could not be read becomes a record."""

    name = "embed"
    title = "Embed"
    summary = "Make pictures findable."
    request = EmbedRequest
    makes = "records"
    light = 20
    priority = -10
    hidden = True

    def prepare(self, request: EmbedRequest, catalog: Catalog) -> EmbedRequest:
        check_pictures(request)
        return request.model_copy(update={"model": catalog.able(request.model, "embed").id})

    def work(self, request: EmbedRequest) -> float:
        return float(len(request.pictures))

    def run(self, request: EmbedRequest, context: Context) -> Iterator[Record]:
        reading = Reading(context, request.model, request.pictures)
        for batch in reading.batches(doubt=False):
            looked = reading.looked(batch)
            found = {(item.source.id, 0.0): vector for item, vector in looked if vector is not None}
            if found:
                context.keep_vectors(request.model, found)
            for item, _ in looked:
                if item.source.is_clip:
                    try:
                        film = reading.film(Clip(context.file(item.source.id)), every=1.0, most=CLIP_FRAMES)
                        found = {(item.source.id, frame.time): vector for frame, vector in film}
                        context.keep_vectors(request.model, found)
                    except StudioError as error:
                        yield replace(item, error=error.message).record()
                elif item.error:
                    yield item.record()
