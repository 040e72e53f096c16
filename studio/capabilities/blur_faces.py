"""Blur faces: every face of a picture made unrecognisable, the rest left as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from PIL import Image, ImageDraw
from pydantic import Field

from studio import retouching
from studio.capability import Capability, Context, Output, Request
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.spec import TOOL, PipelineSpec
from studio.references import PictureId

if TYPE_CHECKING:
    from studio.models.faces import Face

CELLS = 6
"""Colours across a face that are left of it, however it is covered."""
MARGIN = 0.3
"""Of a face's width and height, around what was found: hair and chin tell people apart too."""

Effect = Literal["blur", "mosaic", "black"]


class BlurFacesRequest(Request):
    """Whose faces to cover, and how."""

    picture: PictureId = Field(description="Id of a gallery picture or upload.")
    effect: Effect = Field(
        default="blur", description="What covers a face: blur, mosaic or black. None of them can be undone."
    )
    model: str = Field(default="", max_length=64, description="Tool id; empty is the first that is here.")


class BlurFaces(Capability):
    """See `BlurFacesRequest`."""

    name = "blur-faces"
    title = "Blur faces"
    summary = "Make all faces of a photograph unrecognisable."
    request = BlurFacesRequest
    makes = "pictures"
    light = 2.0

    def prepare(self, request: BlurFacesRequest, catalog: Catalog) -> BlurFacesRequest:
        return request.model_copy(update={"model": catalog.able(request.model, "faces").id})

    def run(self, request: BlurFacesRequest, context: Context) -> Iterator[Output]:
        context.progress(0, 1, message="Looking for faces")
        source = retouching.opened(context, request.picture)
        faces: list[Face] = context.models.run(
            PipelineSpec(request.model, TOOL), lambda tool: tool.faces(context.unmarked(request.picture))
        )
        if not faces:
            raise StudioError(
                "No face was found in this picture, so nothing was covered; paint over it in Edit if there is one.",
                field="picture",
            )
        made = covered(source, faces, request.effect)
        context.progress(1, 1)
        told = "1 face was" if len(faces) == 1 else f"{len(faces)} faces were"
        yield Output(
            image=made,
            seed=0,
            parameters=retouching.finished(
                self.name,
                request,
                context,
                request.model,
                made,
                effect=request.effect,
                faces=[[round(at) for at in (face.left, face.top, face.right, face.bottom)] for face in faces],
            ),
            notes=retouching.notes(
                context, request.model, f"{told} found and covered; look whether one was missed before you publish."
            ),
            parents=(request.picture,),
        )


def covered(image: Image.Image, faces: Sequence[Face], effect: Effect) -> Image.Image:
    """``image`` with an oval over each face, of which at most `CELLS` x `CELLS` colours are left; all else, its alpha
    too, is as it was."""
    made = image.copy()
    for face in faces:
        wide, tall = (face.right - face.left) * MARGIN, (face.bottom - face.top) * MARGIN
        oval = (face.left - wide, face.top - tall, face.right + wide, face.bottom + tall)
        left, top = max(0, int(oval[0])), max(0, int(oval[1]))
        right, bottom = min(image.width, int(oval[2]) + 1), min(image.height, int(oval[3]) + 1)
        part = made.crop((left, top, right, bottom))
        cover = _cover(part, effect)
        if "A" in part.getbands():
            cover.putalpha(part.getchannel("A"))
        mask = Image.new("L", part.size)
        ImageDraw.Draw(mask).ellipse((oval[0] - left, oval[1] - top, oval[2] - left, oval[3] - top), fill=255)
        made.paste(cover, (left, top), mask)
    return made


def _cover(part: Image.Image, effect: Effect) -> Image.Image:
    if effect == "black":
        return Image.new("RGB", part.size)
    few = part.convert("RGB").resize((min(CELLS, part.width), min(CELLS, part.height)), Image.Resampling.BOX)
    return few.resize(part.size, Image.Resampling.NEAREST if effect == "mosaic" else Image.Resampling.BICUBIC)
