"""Captions: a picture becomes a sentence, for people, for screen readers or as a prompt."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from pydantic import Field

from studio.capability import Capability, Context, PicturesRequest, Record
from studio.models.catalog import Catalog
from studio.reading.reading import Reading, check_pictures


class CaptionRequest(PicturesRequest):
    """Which pictures to describe and how."""

    style: Literal["short", "detailed", "alt", "prompt"] = Field(
        default="short",
        description="short: one line. detailed: all that is seen. alt: for screen readers. prompt: to draw it again.",
    )
    model: str = Field(default="", max_length=64, description="Model id; empty is the studio's default.")


class Caption(Capability):
    """See `CaptionRequest`."""

    name = "caption"
    title = "Caption"
    summary = "Describe pictures in a sentence."
    request = CaptionRequest
    makes = "records"
    light = 4

    def prepare(self, request: CaptionRequest, catalog: Catalog) -> CaptionRequest:
        check_pictures(request)
        return request.model_copy(update={"model": catalog.able(request.model, "caption").id})

    def work(self, request: CaptionRequest) -> float:
        return float(len(request.pictures))

    def run(self, request: CaptionRequest, context: Context) -> Iterator[Record]:
        reading = Reading(context, request.model, request.pictures)
        for item in reading.items():
            if item.image is None:
                yield item.record()
            else:
                item, said = reading.about(item, partial(_caption, image=item.image, style=request.style))
                yield item.record(style=request.style, caption=said)


def _caption(reader: Any, *, image: Any, style: str) -> str:
    return reader.caption(image, style)
