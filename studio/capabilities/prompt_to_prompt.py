"""Prompt-to-Prompt: a drawn picture with other words in its prompt, its layout kept (Hertz et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from studio.capability import Capability, Context, Output, Source, Words
from studio.drawing.made import Drawn, as_typed, changed, drawn
from studio.drawing.plan import Finished, Picture, Plan
from studio.drawing.request import DrawingRequest, check_words, check_work, fill, pixels
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.families import Family
from studio.references import PictureId

if TYPE_CHECKING:
    from PIL.Image import Image

_WHY = "Prompt-to-Prompt draws the picture a second time beside the new one"


class PromptToPromptRequest(DrawingRequest):
    """Which picture, and its prompt with words swapped, added, left out or weighted."""

    picture: PictureId = Field(description="Id of a gallery picture that was drawn from words.")
    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)] = Field(
        description="The picture's prompt with words changed; (word:1.5) stresses what is there, (word:0.5) weakens it."
    )
    cross_attention_share: float = Field(
        default=0.8, ge=0, le=1, description="Share of the steps in which words are placed as in the picture."
    )
    self_attention_share: float = Field(
        default=0.4, ge=0, le=1, description="Share of the steps in which shapes are held as in the picture."
    )
    count: int = Field(default=1, ge=1, le=1, description="One: the seed is the picture's.")
    batch_size: int = Field(default=1, ge=1, le=1, description="One: the picture itself is drawn beside it.")


class PromptToPrompt(Capability):
    """See `PromptToPromptRequest`."""

    name = "prompt-to-prompt"
    title = "Change the words"
    summary = "Change words of a picture's prompt while its layout stays."
    request = PromptToPromptRequest
    makes = "pictures"

    def adopt(
        self, request: PromptToPromptRequest, source: Callable[[str], Source], catalog: Catalog
    ) -> PromptToPromptRequest:
        made = drawn(source(request.picture), _WHY)
        family = catalog.get(made.model)
        _check(family)
        settings = made.settings
        braces = family.supports("prompt-weights")
        settings["negative_prompt"] = as_typed(made.negative_prompt, braces=braces)
        changed(request, settings, "The picture keeps its settings")
        return request.model_copy(update=settings)

    def prepare(self, request: PromptToPromptRequest, catalog: Catalog) -> PromptToPromptRequest:
        filled = fill(request, catalog, "text-to-image")
        family = catalog.get(filled.model)
        _check(family)
        if request.styles:
            raise StudioError("The new prompt is drawn as it is written; leave 'styles' out.", field="styles")
        check_work(2 * (filled.steps or 1) * pixels(filled, family))
        return filled

    def check(self, request: PromptToPromptRequest, words: Words, catalog: Catalog) -> None:
        check_words(request, words, catalog)

    def work(self, request: PromptToPromptRequest) -> float:
        """Pictures (two) x steps x pixels of a prepared request."""
        return float(2 * (request.steps or 1) * (request.width or 512) * (request.height or 512))

    def run(self, request: PromptToPromptRequest, context: Context) -> Iterator[Output]:
        from studio.drawing import attention

        family = context.catalog.require(request.model)
        made = drawn(context.source(request.picture), _WHY)
        edit = attention.PromptToPrompt(
            made,
            cross_share=request.cross_attention_share,
            self_share=request.self_attention_share,
            negative=family.supports("negative-prompt"),
            pixel_scale=family.pixel_scale,
        )

        def finish(picture: Picture, image: Image) -> Finished:
            return Finished(image, more={"attention_maps": edit.maps()})

        return Plan(
            self.name,
            "text-to-image",
            request,
            context,
            family,
            made.width,
            made.height,
            inputs=edit.inputs,
            around=edit.around,
            finish=finish,
            more={
                "source_prompt": made.prompt,
                "cross_attention_share": request.cross_attention_share,
                "self_attention_share": request.self_attention_share,
            },
            parents=(request.picture,),
            notes=_notes(made, family, context),
        ).run()


def _check(family: Family) -> None:
    if family.denoiser != "unet" or not family.supports("prompt-weights"):
        raise StudioError(
            f"{family.name} has no UNet whose attention to single words can be changed; "
            "use image-to-image, or draw the picture with Stable Diffusion 1.5 or SDXL.",
            field="picture",
        )


def _notes(made: Drawn, family: Family, context: Context) -> tuple[str, ...]:
    if not made.model_hash or made.model_hash == context.models.weights_hash(family.id):
        return ()
    return (f"{family.name} has other weights than when that picture was drawn, so its layout may be another.",)
