"""Outpaint: a picture goes on beyond its edges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field, StringConstraints

from studio.capability import Capability, Context, Output, Words
from studio.drawing.blending import Blend, draw_into
from studio.drawing.masks import Box
from studio.drawing.request import DrawingRequest, check_words, check_work, fill, pixels, steps_run
from studio.errors import StudioError
from studio.media.images import MAX_PIXELS
from studio.models.catalog import Catalog
from studio.references import PictureId

SIDES = ("left", "right", "top", "bottom")


class OutpaintRequest(DrawingRequest):
    """Which picture goes on, and how far on each side."""

    prompt: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = Field(
        default="", description="What lies beyond the edges; empty lets the picture go on as it is."
    )
    picture: PictureId = Field(description="Id of a gallery picture or upload.")
    left: int = Field(default=0, ge=0, le=4096, description="New pixels on the left.")
    right: int = Field(default=0, ge=0, le=4096, description="New pixels on the right.")
    top: int = Field(default=0, ge=0, le=4096, description="New pixels at the top.")
    bottom: int = Field(default=0, ge=0, le=4096, description="New pixels at the bottom.")
    strength: float = Field(
        default=0.65,
        ge=0.05,
        le=1,
        description="How far what is drawn may leave what the picture's edge goes on as: 0.05 to 1.",
    )
    feather: int = Field(
        default=8, ge=0, le=256, description="Pixels over which the new part fades in, outward from the old edge."
    )


class Outpaint(Capability):
    """See `OutpaintRequest`."""

    name = "outpaint"
    title = "Outpaint"
    summary = "Let a picture go on beyond its edges."
    request = OutpaintRequest
    makes = "pictures"

    def prepare(self, request: OutpaintRequest, catalog: Catalog) -> OutpaintRequest:
        if not any(getattr(request, side) for side in SIDES):
            raise StudioError("Say on which side the picture goes on, and by how many pixels.", field="left")
        if request.width is not None or request.height is not None:
            raise StudioError(
                "The size follows from the picture and its new edges; leave width and height empty.",
                field="width" if request.width is not None else "height",
            )
        filled = fill(request, catalog, "inpaint", strength=request.strength)
        check_work(filled.count * (filled.steps or 1) * pixels(filled, catalog.get(filled.model)))
        return filled

    def check(self, request: OutpaintRequest, words: Words, catalog: Catalog) -> None:
        check_words(request, words, catalog)

    def work(self, request: OutpaintRequest) -> float:
        """Pictures x steps that run x pixels of a usual one."""
        return float(request.count * steps_run(request.steps or 1, request.strength) * 512 * 512)

    def run(self, request: OutpaintRequest, context: Context) -> Iterator[Output]:
        source = context.unmarked(request.picture)
        width, height = source.width + request.left + request.right, source.height + request.top + request.bottom
        if width * height > MAX_PIXELS:
            raise StudioError(
                f"The picture would have {width} x {height} pixels; add less, so that it stays below "
                f"{MAX_PIXELS / 1e6:.0f} megapixels.",
                field=max(SIDES, key=lambda side: getattr(request, side)),
            )
        edges = ((request.top, request.bottom), (request.left, request.right), (0, 0))
        wider = np.pad(np.asarray(source), edges, mode="edge")
        mask = np.ones((height, width), bool)
        mask[request.top : request.top + source.height, request.left : request.left + source.width] = False
        blend = Blend(
            Image.fromarray(wider), mask, feather=request.feather, box=Box(0, 0, width, height),
            from_around=True, outside="In the old picture",
        )  # fmt: skip
        more = {side: getattr(request, side) for side in SIDES}
        yield from draw_into(blend, self.name, request, context, more=more)
