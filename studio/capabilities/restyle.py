"""Restyle: a picture painted over in the style of others, without words."""

from __future__ import annotations

from collections.abc import Iterator

from PIL.Image import Image, Resampling, blend
from pydantic import Field

from studio import retouching
from studio.capability import Capability, Context, Output, Request
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.restyling import STYLES
from studio.models.spec import TOOL, PipelineSpec
from studio.references import PictureId


class RestyleRequest(Request):
    """Which picture to paint over, and how."""

    picture: PictureId = Field(description="Id of a gallery picture or upload.")
    style: str = Field(
        default="",
        max_length=40,
        coerce_numbers_to_str=True,
        description=f"One of {len(STYLES)} styles, by name or by number from 1: {', '.join(STYLES)}.",
    )
    style_picture: PictureId | None = Field(
        default=None, description="Id of a gallery picture or upload whose style is taken instead."
    )
    strength: float = Field(
        default=1.0, ge=0, le=1, description="1 is the painted picture, 0 the one that was given, between is a mixture."
    )
    model: str = Field(default="", max_length=64, description="Tool id; empty is the first that is here.")


class Restyle(Capability):
    """See `RestyleRequest`."""

    name = "restyle"
    title = "Restyle"
    summary = "Paint a picture over in one of 26 styles, or in that of another picture."
    request = RestyleRequest
    makes = "pictures"
    light = 1.0

    def prepare(self, request: RestyleRequest, catalog: Catalog) -> RestyleRequest:
        style = request.style.strip().lower()
        if bool(style) == bool(request.style_picture):
            raise StudioError("Name either a style or a picture whose style is taken.", field="style")
        if style:
            style = _named(style)
        return request.model_copy(update={"style": style, "model": catalog.able(request.model, "restyle").id})

    def run(self, request: RestyleRequest, context: Context) -> Iterator[Output]:
        context.progress(0, 1)
        source = retouching.opened(context, request.picture)
        image = context.unmarked(request.picture)
        if request.strength == 0:
            made, said = image, "The strength is 0, so this is the picture as it was given."
        else:
            made, said = self._painted(image, request, context)
        if source.mode == "RGBA":
            made = made.copy()
            made.putalpha(source.getchannel("A"))
        context.progress(1, 1)
        yield Output(
            image=made,
            seed=0,
            parameters=retouching.finished(
                self.name, request, context, request.model, made, style=request.style, strength=request.strength
            ),
            notes=retouching.notes(context, request.model, said),
            parents=(request.picture, *([request.style_picture] if request.style_picture else [])),
        )

    def _painted(self, image: Image, request: RestyleRequest, context: Context) -> tuple[Image, str]:
        """The picture painted over, and what is to be said of its size."""
        spec = PipelineSpec(request.model, TOOL)
        if request.style_picture:
            example = context.picture(request.style_picture)
            painted = context.models.run(spec, lambda tool: tool.painted_like(image, example))
        else:
            number = STYLES.index(request.style) + 1
            painted = context.models.run(spec, lambda tool: tool.painted(image, number))
        said = ""
        if painted.width < image.width:
            said = f"It was painted {painted.width} x {painted.height} pixels large and brought to the picture's size."
        return blend(image, painted.resize(image.size, Resampling.LANCZOS), request.strength), said


def _named(style: str) -> str:
    """The name of a style that is given by name or number. Raises `StudioError`."""
    if style.isdecimal() and 1 <= int(style) <= len(STYLES):
        return STYLES[int(style) - 1]
    if style not in STYLES:
        raise StudioError(
            f"There is no style '{style}'; choose a number from 1 to {len(STYLES)} or one of: {', '.join(STYLES)}.",
            field="style",
        )
    return style
