"""Segment: a mask of the things that are pointed at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from studio import retouching
from studio.capability import Capability, Context, Output, Request
from studio.models.catalog import Catalog
from studio.models.spec import TOOL, PipelineSpec
from studio.references import PictureId

Share = Annotated[float, Field(ge=0, le=1)]


def _spelled(value: Any) -> Any:
    """Points as the command line gives them, "0.5,0.3" or JSON; everything else as it is."""
    points: list[Any] = []
    for each in value if isinstance(value, list | tuple) else [value]:
        if isinstance(each, str):
            try:
                each = json.loads(each if "[" in each else f"[{each}]")
            except ValueError:
                return value
            points += each if each and isinstance(each, list) and isinstance(each[0], list) else [each]
        else:
            points.append(each)
    return points


class SegmentRequest(Request):
    """Which things of which picture."""

    picture: PictureId = Field(description="Id of a gallery picture or upload.")
    points: Annotated[tuple[tuple[Share, Share], ...], BeforeValidator(_spelled)] = Field(
        default=(),
        max_length=32,
        description="Points on the things that are meant, each [x, y] from the upper left, 0 to 1 of width and height; "
        "the command line takes x,y. None is what the picture is of.",
    )
    model: str = Field(default="", max_length=64, description="Tool id; empty is the first that is here.")


class Segment(Capability):
    """See `SegmentRequest`."""

    name = "segment"
    title = "Segment"
    summary = "Make a mask of the things that you point at: white is the thing."
    request = SegmentRequest
    makes = "pictures"
    priority = 1
    light = 1.0

    def prepare(self, request: SegmentRequest, catalog: Catalog) -> SegmentRequest:
        return request.model_copy(update={"model": catalog.able(request.model, "matte").id})

    def run(self, request: SegmentRequest, context: Context) -> Iterator[Output]:
        from studio.models import segmenting

        context.progress(0, 1)
        retouching.opened(context, request.picture)
        image = context.picture(request.picture)
        mask = context.models.run(
            PipelineSpec(request.model, TOOL), lambda tool: segmenting.selected(tool.matte, image, request.points)
        )
        context.progress(1, 1)
        yield Output(
            image=mask.convert("RGB"),
            seed=0,
            parameters=retouching.finished(self.name, request, context, request.model, mask),
            notes=retouching.notes(context, request.model, "" if mask.getbbox() else NOTHING),
            parents=(request.picture,),
        )


NOTHING = "Nothing was found that stands out from the rest, so the mask is empty; point at the thing."
