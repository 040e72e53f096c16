"""Inpaint: a part of a picture is drawn anew, the rest stays byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from PIL import Image
from pydantic import Field, StringConstraints

from studio.capability import Capability, Context, Output, Words
from studio.drawing.blending import Blend, draw_into
from studio.drawing.masks import Box, Mask, box_around, read_mask
from studio.drawing.request import DrawingRequest, check_words, check_work, fill, pixels, steps_run
from studio.errors import StudioError
from studio.media.images import open_image
from studio.models.catalog import Catalog
from studio.models.spec import TOOL, PipelineSpec
from studio.references import MaskId, PictureId

Mode = Literal["replace", "remove", "add", "background", "restore"]

STRENGTHS: dict[str, float] = {"replace": 1.0, "remove": 0.35, "add": 0.9, "background": 1.0, "restore": 0.3}
"""How much of a mode's region is drawn anew when nothing is asked: what is taken away or mended starts from what flows
in from around it and is only drawn over lightly."""
FROM_AROUND: frozenset[str] = frozenset({"remove", "restore"})
"""Modes that start from the surroundings of the mask instead of what is under it."""
WORDLESS = FROM_AROUND
"""Modes that need no prompt."""


class InpaintRequest(DrawingRequest):
    """Which part of which picture changes, and into what."""

    prompt: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = Field(
        default="", description="What to draw there; may be empty for 'remove' and 'restore'."
    )
    picture: PictureId = Field(description="Id of a gallery picture or upload.")
    mask: MaskId | None = Field(
        default=None,
        description="Id of a picture of the same size: white is what changes. May be empty for 'background': all but "
        "the subject, as the cut-out tool finds it.",
    )
    mode: Mode = Field(
        default="replace",
        description="replace: something else there; remove: fill from around; add: something on top; "
        "background: what is behind the subject; restore: mend scratches and stains.",
    )
    area: Literal["masked", "whole"] = Field(
        default="masked",
        description="masked: the part around the mask is drawn at the model's own size; whole: all of it is looked at.",
    )
    strength: float | None = Field(
        default=None, ge=0, le=1, description="How much is drawn anew in the mask, 0 to 1; empty is the mode's own."
    )
    feather: int = Field(
        default=8, ge=0, le=256, description="Pixels over which the new part fades in, from the mask's edge inward."
    )
    padding: int = Field(
        default=48, ge=0, le=1024, description="Pixels around the mask that the model sees when area is 'masked'."
    )


class Inpaint(Capability):
    """See `InpaintRequest`."""

    name = "inpaint"
    title = "Inpaint"
    summary = "Draw a part of a picture anew and leave the rest untouched."
    request = InpaintRequest
    makes = "pictures"

    def prepare(self, request: InpaintRequest, catalog: Catalog) -> InpaintRequest:
        if not request.prompt and request.mode not in WORDLESS:
            raise StudioError(
                f"Say in the prompt what to draw; only {' and '.join(sorted(WORDLESS))} need no words.", field="prompt"
            )
        if request.width is not None or request.height is not None:
            raise StudioError(
                "The picture keeps its size; leave width and height empty.",
                field="width" if request.width is not None else "height",
            )
        if request.mask is None:
            if request.mode != "background":
                raise StudioError("There is no mask; say with white where the picture should change.", field="mask")
            catalog.able("", "matte")
        strength = STRENGTHS[request.mode] if request.strength is None else request.strength
        filled = fill(request, catalog, "inpaint", strength=strength or 1.0)
        check_work(filled.count * (filled.steps or 1) * pixels(filled, catalog.get(filled.model)))
        return filled.model_copy(update={"strength": strength})

    def check(self, request: InpaintRequest, words: Words, catalog: Catalog) -> None:
        check_words(request, words, catalog)

    def work(self, request: InpaintRequest) -> float:
        """Pictures x steps that run x pixels of a usual one."""
        return float(request.count * steps_run(request.steps or 1, request.strength or 0.0) * 512 * 512)

    def run(self, request: InpaintRequest, context: Context) -> Iterator[Output]:
        source = context.unmarked(request.picture)
        if request.mask is None:
            mask, notes = _behind(source, context)
        else:
            mask, notes = read_mask(open_image(context.file(request.mask)), source.size), ()
        more = {"mode": request.mode, "area": request.area}
        whole = Box(0, 0, *source.size)
        least = context.catalog.require(request.model).native_size // 2
        box = whole if request.area == "whole" else box_around(mask, request.padding, least)
        blend = Blend(source, mask, feather=request.feather, box=box, from_around=request.mode in FROM_AROUND)
        yield from draw_into(blend, self.name, request, context, more=more, notes=notes)


def _behind(source: Image.Image, context: Context) -> tuple[Mask, tuple[str, ...]]:
    """What is behind the subject of ``source``, and which tool says so."""
    tool = context.catalog.able("", "matte")
    matte = context.models.run(PipelineSpec(tool.id, TOOL), lambda loaded: loaded.matte(source))
    mask = np.asarray(matte) < 128
    if mask.all():
        raise StudioError("No subject was found that could be kept; paint the background yourself.", field="mask")
    if not mask.any():
        raise StudioError("All of the picture was taken for its subject; paint the background yourself.", field="mask")
    return mask, (f"{tool.name} told the subject from what is behind it.",)
