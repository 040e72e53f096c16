"""Variations: pictures like another one, drawn over it or from noise near its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from PIL.Image import Resampling
from pydantic import Field, StringConstraints

from studio.capability import Capability, Context, Output, Source, Words
from studio.drawing.made import Drawn, as_typed, changed, drawn
from studio.drawing.plan import Finished, Picture, Plan
from studio.drawing.request import DrawingRequest, check_words, check_work, fill, pixels, steps_run
from studio.drawing.sizes import check_size, size_like
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.families import Family
from studio.references import PictureId

if TYPE_CHECKING:
    from PIL.Image import Image

STRENGTH: Mapping[str, float] = {"subtle": 0.35, "strong": 0.75}
"""Share of the steps that are drawn anew."""
DISTANCE = 0.3
"""Of a neighbour, where none is asked for."""
_NOISE = "A neighbour starts near the noise of its picture"


class VariationsRequest(DrawingRequest):
    """Which picture to vary, and how far."""

    picture: PictureId = Field(description="Id of a gallery picture or upload to vary.")
    kind: Literal["subtle", "strong", "look-alike", "seed-neighbour"] = Field(
        default="subtle",
        description="'subtle' keeps things and their places, 'strong' the broad layout; 'seed-neighbour' draws again "
        "from noise near the picture's own; 'look-alike' draws what is on it without words.",
    )
    distance: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description=f"Of a seed neighbour: 0 is the picture itself, 1 another seed's; empty is {DISTANCE:g}.",
    )
    prompt: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = Field(
        default="", description="What it shows; empty is the picture's own prompt, if it was drawn here."
    )
    count: int = Field(default=4, ge=1, le=16, description="Number of pictures.")


class Variations(Capability):
    """See `VariationsRequest`."""

    name = "variations"
    title = "Variations"
    summary = "Draw pictures like another one, a little or a lot different."
    request = VariationsRequest
    makes = "pictures"

    def adopt(self, request: VariationsRequest, source: Callable[[str], Source], catalog: Catalog) -> VariationsRequest:
        if request.kind == "look-alike":
            raise StudioError(
                "Look-alikes need a model with an image-prompt adapter (IP-Adapter), and no model here has one; "
                "choose 'subtle' or 'strong'.",
                field="kind",
            )
        if request.kind == "seed-neighbour":
            return _near(request, drawn(source(request.picture), _NOISE), catalog)
        if request.distance is not None:
            raise StudioError(
                "Only seed neighbours have a distance; leave 'distance' out or choose 'seed-neighbour'.",
                field="distance",
            )
        return _over(request, source(request.picture), catalog)

    def prepare(self, request: VariationsRequest, catalog: Catalog) -> VariationsRequest:
        if request.keep_best is not None and not (request.prompt or request.styles):
            raise StudioError(
                "The best are those that fit the prompt, and there is none; write one or leave 'keep_best' out.",
                field="keep_best",
            )
        family = catalog.get(request.model)
        if request.kind == "seed-neighbour":
            filled = fill(request, catalog, "text-to-image").model_copy(
                update={"distance": DISTANCE if request.distance is None else request.distance}
            )
        else:
            strength = STRENGTH[request.kind]
            if family.supports("image-to-image") and not family.supports("strength"):
                raise StudioError(
                    f"{family.name} decides by the words how much changes, so it knows no '{request.kind}'; "
                    "choose another model or image-to-image.",
                    field="model",
                )
            if request.steps is None:
                enough = next(steps for steps in range(family.steps, 151) if steps_run(steps, strength))
                request = request.model_copy(update={"steps": enough})
            filled = fill(request, catalog, "image-to-image", strength=strength)
        if (request.width is None) != (request.height is None):
            missing = "width" if request.width is None else "height"
            raise StudioError("Give both width and height, or neither to follow the picture's shape.", field=missing)
        if request.width is not None and request.height is not None:
            check_size(family, request.width, request.height)
        check_work(filled.count * (filled.steps or 1) * pixels(filled, family))
        return filled

    def check(self, request: VariationsRequest, words: Words, catalog: Catalog) -> None:
        check_words(request, words, catalog)

    def work(self, request: VariationsRequest) -> float:
        """Pictures x steps that run x pixels; where the size follows the picture, that of a usual one."""
        steps = steps_run(request.steps or 1, STRENGTH.get(request.kind, 1.0))
        return float(request.count * steps * (request.width or 512) * (request.height or 512))

    def run(self, request: VariationsRequest, context: Context) -> Iterator[Output]:
        family = context.catalog.require(request.model)
        if request.kind == "seed-neighbour":
            return _neighbours(request, context, family, drawn(context.source(request.picture), _NOISE))
        source = context.unmarked(request.picture)
        width, height = request.width, request.height
        if width is None or height is None:
            width, height = size_like(family, *source.size)
        start = source.resize((width // family.pixel_scale, height // family.pixel_scale), Resampling.LANCZOS)

        def inputs(pipe: Any, pictures: Sequence[Picture]) -> Mapping[str, Any]:
            return {"image": [start] * len(pictures)}

        strength = STRENGTH[request.kind]
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
            more={"kind": request.kind, "strength": strength},
            parents=(request.picture,),
        ).run()


def _over(request: VariationsRequest, source: Source, catalog: Catalog) -> VariationsRequest:
    """Words and model of a gallery picture, where none are given and the model can vary."""
    told, update = source.parameters, dict[str, Any]()
    made_by = next((row for row in catalog.all("diffusion") if row.id == told.get("model")), None)
    if not request.model and made_by and made_by.supports("strength") and catalog.available(made_by.id):
        update["model"] = made_by.id
    family = catalog.get(update.get("model", request.model))
    if not request.prompt:
        braces = family.supports("prompt-weights")
        update["prompt"] = as_typed(source.prompt, braces=braces)
        if not request.negative_prompt and family.supports("negative-prompt"):
            update["negative_prompt"] = as_typed(str(told.get("negative_prompt") or ""), braces=braces)
    return request.model_copy(update=update)


def _near(request: VariationsRequest, made: Drawn, catalog: Catalog) -> VariationsRequest:
    """All settings are the picture's own; ``seed`` is that of the first neighbour, not the picture's."""
    settings = {name: value for name, value in made.settings.items() if name != "seed"}
    braces = catalog.get(made.model).supports("prompt-weights")
    words = {name: as_typed(getattr(made, name), braces=braces) for name in ("prompt", "negative_prompt")}
    changed(request, {**settings, **words}, "A neighbour is drawn with the settings of its picture")
    if request.styles:
        raise StudioError("A neighbour keeps the words of its picture; leave 'styles' out.", field="styles")
    return request.model_copy(update={**settings, **words})


def _neighbours(request: VariationsRequest, context: Context, family: Family, made: Drawn) -> Iterator[Output]:
    from studio.drawing import neighbours

    distance = DISTANCE if request.distance is None else request.distance

    def around(pipe: Any) -> AbstractContextManager[None]:
        return neighbours.starting(pipe, partial(neighbours.near, made.noise, distance))

    def finish(picture: Picture, image: Image) -> Finished:
        return Finished(image, more={"noise": made.noise.moved(picture.seed, distance).told()})

    changed_weights = made.model_hash and made.model_hash != context.models.weights_hash(family.id)
    note = f"{family.name} has other weights than when that picture was drawn, so these are not its neighbours."
    return Plan(
        Variations.name,
        "text-to-image",
        request,
        context,
        family,
        made.width,
        made.height,
        around=around,
        finish=finish,
        more={"kind": request.kind, "distance": distance},
        parents=(request.picture,),
        notes=(note,) if changed_weights else (),
    ).run()
