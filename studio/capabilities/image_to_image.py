"""Image to image: a picture is drawn over, more or less of it kept (SDEdit, Meng et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL.Image import Resampling
from pydantic import Field

from studio.capability import Capability, Context, Output, Words
from studio.drawing.blending import check_large_enough, unchanged
from studio.drawing.plan import Plan
from studio.drawing.request import DrawingRequest, check_words, check_work, fill, pixels, steps_run
from studio.drawing.sizes import check_size, size_like
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.references import PictureId


class ImageToImageRequest(DrawingRequest):
    """Which picture to draw over, and what it becomes."""

    picture: PictureId = Field(description="Id of a gallery picture or upload to start from.")
    strength: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="How much is drawn anew: low keeps shapes and colours, high keeps little but the layout; "
        "at 0 the picture comes back as it was.",
    )
    width: int | None = Field(
        default=None, ge=64, le=4096, description="Width in pixels; empty follows the picture's shape."
    )
    height: int | None = Field(
        default=None, ge=64, le=4096, description="Height in pixels; empty follows the picture's shape."
    )


class ImageToImage(Capability):
    """See `ImageToImageRequest`."""

    name = "image-to-image"
    title = "Image to image"
    summary = "Draw a picture over, keeping as much of it as you like."
    request = ImageToImageRequest
    makes = "pictures"

    def prepare(self, request: ImageToImageRequest, catalog: Catalog) -> ImageToImageRequest:
        if request.strength == 0 and (request.width or request.height):
            raise StudioError(
                "At strength 0 the picture comes back as it was, in its own size; leave width and height empty.",
                field="width" if request.width else "height",
            )
        filled = fill(request, catalog, "image-to-image", strength=request.strength or 1.0)
        family = catalog.get(filled.model)
        if (request.width is None) != (request.height is None):
            missing = "width" if request.width is None else "height"
            raise StudioError("Give both width and height, or neither to follow the picture's shape.", field=missing)
        if request.width is not None and request.height is not None:
            check_size(family, request.width, request.height)
        check_work(filled.count * (filled.steps or 1) * pixels(filled, family))
        return filled

    def check(self, request: ImageToImageRequest, words: Words, catalog: Catalog) -> None:
        check_words(request, words, catalog)

    def work(self, request: ImageToImageRequest) -> float:
        """Pictures x steps that run x pixels; where the size follows the picture, that of a usual one."""
        size = (request.width or 512) * (request.height or 512)
        return float(request.count * steps_run(request.steps or 1, request.strength) * size)

    def run(self, request: ImageToImageRequest, context: Context) -> Iterator[Output]:
        family = context.catalog.require(request.model)
        source = context.unmarked(request.picture)
        if request.strength == 0:
            check_large_enough(source)
            return iter([unchanged(self.name, request, source)])
        width, height = request.width, request.height
        if width is None or height is None:
            width, height = size_like(family, *source.size)
        scale = family.pixel_scale
        start = source.resize((width // scale, height // scale), Resampling.LANCZOS)

        def inputs(pipe: Any, pictures: Sequence[Any]) -> Mapping[str, Any]:
            return {"image": [start] * len(pictures)}

        strength = request.strength if family.supports("strength") else None
        left_out = f"{family.name} decides by the words how much changes; the strength was left out."
        return Plan(
            self.name,
            "image-to-image",
            request,
            context,
            family,
            width,
            height,
            strength=strength,
            inputs=inputs,
            more={} if strength is None else {"strength": strength},
            parents=(request.picture,),
            notes=(left_out,) if strength is None else (),
        ).run()
