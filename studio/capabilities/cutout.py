"""Cut out: what a picture is of stays, what is behind it becomes transparent."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from studio.capability import Capability, Context, Output, Request
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.families import SMALLEST
from studio.models.spec import TOOL, PipelineSpec
from studio.references import PictureId


class CutoutRequest(Request):
    """Which picture to cut out of."""

    picture: PictureId = Field(description="Id of a gallery picture or upload.")
    model: str = Field(default="", max_length=64, description="Tool id; empty is the first that is here.")


class Cutout(Capability):
    """See `CutoutRequest`."""

    name = "cutout"
    title = "Cut out"
    summary = "Make what is behind a thing or a person transparent."
    request = CutoutRequest
    makes = "pictures"

    def prepare(self, request: CutoutRequest, catalog: Catalog) -> CutoutRequest:
        return request.model_copy(update={"model": catalog.able(request.model, "matte").id})

    def run(self, request: CutoutRequest, context: Context) -> Iterator[Output]:
        context.progress(0, 1)
        image = context.picture(request.picture)
        if min(image.size) < SMALLEST:
            side = f"{image.width} x {image.height}"
            raise StudioError(
                f"This picture has {side} pixels; choose one of at least {SMALLEST} x {SMALLEST}.", field="picture"
            )
        matte = context.models.run(PipelineSpec(request.model, TOOL), lambda tool: tool.matte(image))
        relief = context.models.note(request.model)
        image.putalpha(matte)
        context.progress(1, 1)
        yield Output(
            image=image,
            seed=0,
            parameters={
                "capability": self.name,
                "width": image.width,
                "height": image.height,
                "model": request.model,
                "model_hash": context.models.weights_hash(request.model),
                "requested": request.model_dump(mode="json"),
            },
            notes=((relief,) if relief else ()) + (NOTHING if not matte.getbbox() else ()),
            parents=(request.picture,),
        )


NOTHING = ("Nothing was found that stands out from the rest, so the whole picture is transparent.",)
