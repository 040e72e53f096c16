"""Cut out: what a picture is of stays, what is behind it becomes transparent, a colour or blurred."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import ImageChops, ImageColor
from PIL.Image import Image, composite, new
from pydantic import Field

from studio import retouching
from studio.capability import Capability, Context, Output, Request
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.spec import TOOL, PipelineSpec
from studio.references import PictureId

TRANSPARENT, BLUR = "transparent", "blur"


class CutOutRequest(Request):
    """Which picture to cut out of, and what comes behind."""

    picture: PictureId = Field(description="Id of a gallery picture or upload.")
    background: str = Field(
        default=TRANSPARENT,
        max_length=64,
        description="What comes behind: transparent, blur, or a colour as CSS writes it, such as white or #20c997.",
    )
    model: str = Field(default="", max_length=64, description="Tool id; empty is the first that is here.")


class CutOut(Capability):
    """See `CutOutRequest`."""

    name = "cut-out"
    title = "Cut out"
    summary = "Keep a thing or a person; make what is behind transparent, a colour or blurred."
    request = CutOutRequest
    makes = "pictures"
    light = 1.0

    def prepare(self, request: CutOutRequest, catalog: Catalog) -> CutOutRequest:
        background = request.background.strip().lower() or TRANSPARENT
        if background not in (TRANSPARENT, BLUR):
            _colour(background)
        return request.model_copy(update={"background": background, "model": catalog.able(request.model, "matte").id})

    def run(self, request: CutOutRequest, context: Context) -> Iterator[Output]:
        context.progress(0, 1)
        source = retouching.opened(context, request.picture)
        image = context.unmarked(request.picture)
        matte = context.models.run(PipelineSpec(request.model, TOOL), lambda tool: tool.matte(image))
        if source.mode == "RGBA":
            matte = ImageChops.multiply(matte, source.getchannel("A"))
        made = placed(image, matte, request.background)
        context.progress(1, 1)
        yield Output(
            image=made,
            seed=0,
            parameters=retouching.finished(
                self.name, request, context, request.model, made, background=request.background
            ),
            notes=retouching.notes(context, request.model, "" if matte.getbbox() else NOTHING),
            parents=(request.picture,),
        )


NOTHING = "Nothing was found that stands out from the rest, so all of the picture counts as background."


def placed(image: Image, matte: Image, background: str) -> Image:
    """What ``matte`` ("L") keeps of ``image`` before ``background``: RGBA where that is transparent, else RGB, exactly
    the background where nothing is kept."""
    from studio.models import matting

    kept = matting.foreground(image, matte)
    if background == TRANSPARENT:
        kept.putalpha(matte)
        return kept
    behind = matting.blurred(image, matte) if background == BLUR else new("RGB", image.size, _colour(background))
    return composite(kept, behind, matte)


def _colour(named: str) -> tuple[int, int, int]:
    """Raises `StudioError` for what is no opaque colour."""
    try:
        found = ImageColor.getrgb(named)
    except ValueError:
        found = ()
    if len(found) != 3:
        raise StudioError(
            f"'{named[:40]}' is no background: write transparent, blur, or an opaque colour such as white or #20c997.",
            field="background",
        )
    return found[0], found[1], found[2]
