"""Edit by instruction: "make the background green" (InstructPix2Pix, Brooks et al. 2023; FLUX.2 klein by itself)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from PIL.Image import Resampling
from pydantic import Field, StringConstraints

from studio.capability import Capability, Context, Output, Words
from studio.drawing.plan import Plan
from studio.drawing.request import DrawingRequest, check_words, check_work, fill, pixels
from studio.drawing.sizes import size_like
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.references import PictureId


class InstructEditRequest(DrawingRequest):
    """What is to be done to which picture."""

    prompt: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = Field(
        default="", description="Leave empty: what is to be done is said in the instruction."
    )
    instruction: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)] = Field(
        description="What to do, such as 'make the background green' or 'replace the cat with a dog'."
    )
    picture: PictureId = Field(description="Id of a gallery picture or upload.")
    image_guidance_scale: float | None = Field(
        default=None,
        ge=1,
        le=5,
        description="How strictly to keep the picture; empty is the model's default. Not every model takes it.",
    )


class InstructEdit(Capability):
    """See `InstructEditRequest`."""

    name = "instruct-edit"
    title = "Edit by instruction"
    summary = "Change a picture by saying what to do."
    request = InstructEditRequest
    makes = "pictures"

    def prepare(self, request: InstructEditRequest, catalog: Catalog) -> InstructEditRequest:
        if request.prompt not in ("", request.instruction):
            raise StudioError("Say all of it in the instruction and leave the prompt empty.", field="prompt")
        if request.width is not None or request.height is not None:
            raise StudioError(
                "The picture keeps its shape; leave width and height empty.",
                field="width" if request.width is not None else "height",
            )
        model = request.model or catalog.default_for("instruct").id
        filled = fill(request.model_copy(update={"prompt": request.instruction, "model": model}), catalog, "instruct")
        family = catalog.get(filled.model)
        check_work(filled.count * (filled.steps or 1) * pixels(filled, family))
        keep = request.image_guidance_scale
        if family.supports("image-guidance") and keep is None:
            keep = 1.5
        return filled.model_copy(update={"image_guidance_scale": keep})

    def check(self, request: InstructEditRequest, words: Words, catalog: Catalog) -> None:
        check_words(request, words, catalog)

    def work(self, request: InstructEditRequest) -> float:
        """Pictures x steps x pixels of a usual one."""
        return float(request.count * (request.steps or 1) * 512 * 512)

    def run(self, request: InstructEditRequest, context: Context) -> Iterator[Output]:
        family = context.catalog.require(request.model)
        source = context.unmarked(request.picture)
        width, height = size_like(family, *source.size)
        start = source.resize((width // family.pixel_scale, height // family.pixel_scale), Resampling.LANCZOS)
        keep, takes = request.image_guidance_scale, family.supports("image-guidance")

        def inputs(pipe: Any, pictures: Sequence[Any]) -> Mapping[str, Any]:
            given = {"image": [start] * len(pictures)} if takes else {"image": start}
            return {**given, "image_guidance_scale": keep} if takes else given

        left_out = f"{family.name} decides by itself how much of the picture stays; the image guidance was left out."
        yield from Plan(
            self.name,
            "instruct",
            request,
            context,
            family,
            width,
            height,
            inputs=inputs,
            more={"instruction": request.instruction, **({"image_guidance_scale": keep} if takes else {})},
            parents=(request.picture,),
            notes=(left_out,) if keep is not None and not takes else (),
        ).run()
