"""Text to image: a sentence becomes pictures."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

from PIL.Image import Image, Resampling
from pydantic import Field, StringConstraints

from studio.capability import Capability, Context, Output, Request
from studio.drawing.denoise import draw, versions
from studio.drawing.prompts import encode, merge, plain_text, resolve_choices
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.families import Family
from studio.models.samplers import check_sampler
from studio.reading.measures import clip_score

MAX_WORK = 3.0e9
"""Pictures x steps x pixels of one request: 16 pictures of 1024 x 1024 in 150 steps are 2.5e9."""

SEEDS = 2**32


class TextToImageRequest(Request):
    """What to draw and how. Everything but the prompt may be left out; the model's own defaults fill it."""

    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)] = Field(
        description="What to draw. (word:1.2) stresses, [word] softens, {a|b} picks one, __name__ picks from a file."
    )
    negative_prompt: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = Field(
        default="", description="What to keep out of the picture."
    )
    model: str = Field(default="", max_length=64, description="Model id; empty is the studio's default.")
    width: int | None = Field(
        default=None, ge=64, le=4096, description="Width in pixels; empty is the model's own size."
    )
    height: int | None = Field(
        default=None, ge=64, le=4096, description="Height in pixels; empty is the model's own size."
    )
    steps: int | None = Field(default=None, ge=1, le=150, description="Denoising steps; empty is the model's default.")
    guidance_scale: float | None = Field(
        default=None, ge=0, le=30, description="How strictly to follow the prompt; empty is the model's default."
    )
    sampler: str = Field(default="", max_length=64, description="Sampler id; empty is the model's default.")
    seed: int | None = Field(
        default=None, ge=0, lt=SEEDS, description="Picture i uses seed + i; empty picks one at random."
    )
    count: int = Field(default=1, ge=1, le=16, description="Number of pictures.")
    batch_size: int = Field(
        default=1, ge=1, le=16, description="Pictures made at the same time; more needs more memory."
    )
    keep_best: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="Draw 'count' pictures and keep only so many: those that fit the prompt best by CLIP score.",
    )
    styles: tuple[Annotated[str, StringConstraints(max_length=100)], ...] = Field(
        default=(),
        max_length=16,
        description="Names of the saved styles already merged into the prompts.",
    )


def check_size(family: Family, width: int, height: int) -> None:
    """Raise `StudioError` naming the nearest valid side when ``family`` cannot draw ``width`` x ``height``."""
    for name, value in (("width", width), ("height", height)):
        nearest = round(value / family.size_multiple) * family.size_multiple
        low = -(-family.min_size // family.size_multiple) * family.size_multiple
        high = family.max_size // family.size_multiple * family.size_multiple
        nearest = min(max(nearest, low), high)
        if value != nearest:
            raise StudioError(
                f"{family.name} draws a {name} from {low} to {high} in steps of {family.size_multiple}; "
                f"use {nearest} instead of {value}.",
                field=name,
            )


class TextToImage(Capability):
    """See `TextToImageRequest`."""

    name = "text-to-image"
    title = "Text to image"
    summary = "Draw pictures from a sentence."
    request = TextToImageRequest
    makes = "pictures"

    def prepare(self, request: TextToImageRequest, catalog: Catalog) -> TextToImageRequest:
        family = catalog.get(request.model)
        catalog.check(family, self.name)
        width = request.width if request.width is not None else family.native_size
        height = request.height if request.height is not None else family.native_size
        steps = request.steps if request.steps is not None else family.steps
        filled = request.model_copy(
            update={
                "model": family.id,
                "width": width,
                "height": height,
                "steps": steps,
                "guidance_scale": request.guidance_scale if request.guidance_scale is not None else family.guidance,
                "sampler": request.sampler or family.sampler,
                "seed": request.seed if request.seed is not None else secrets.randbelow(SEEDS),
                "batch_size": min(request.batch_size, request.count),
            }
        )
        check_size(family, width, height)
        check_sampler(filled.sampler, steps, family)
        if self.work(filled) > MAX_WORK:
            raise StudioError(
                "This asks for too much at once; use fewer pictures, fewer steps or a smaller size.",
                field="count",
            )
        if request.keep_best is not None:
            if request.keep_best > request.count:
                raise StudioError(
                    f"Of {request.count} pictures the best {request.keep_best} cannot be kept; "
                    "raise 'count' or lower 'keep_best'.",
                    field="keep_best",
                )
            catalog.default_for("embed")
        catalog.require(family.id)
        return filled

    def work(self, request: TextToImageRequest) -> float:
        """Pictures x steps x pixels of a prepared request."""
        return float(request.count * (request.steps or 1) * (request.width or 1) * (request.height or 1))

    def run(self, request: TextToImageRequest, context: Context) -> Iterator[Output]:
        drawn = self._run(request, context)
        return drawn if request.keep_best is None else _best(drawn, request.keep_best, context)

    def _run(self, request: TextToImageRequest, context: Context) -> Iterator[Output]:
        from studio.models.manager import OutOfMemory
        from studio.models.spec import PipelineSpec

        plan = _Plan.of(request, context)
        waiting = [plan.picture(index, context) for index in range(request.count)]
        spec = PipelineSpec(plan.family.id, self.name, request.sampler)
        total, done, batch = request.count * plan.steps, 0, request.batch_size
        context.progress(0, total)

        def loading(bytes_done: int, bytes_all: int, message: str) -> None:
            share = f" ({bytes_done / bytes_all:.0%})" if bytes_all else ""
            context.progress(done, total, message=message + share)

        shrunk: tuple[str, ...] = ()
        while waiting:
            wanted = waiting[:batch]
            try:
                work = partial(_draw, plan=plan, wanted=wanted, done=done, total=total, context=context)
                drawn = context.models.run(spec, work, loading)
            except OutOfMemory:
                if len(wanted) == 1:
                    raise
                batch = (len(wanted) + 1) // 2
                shrunk = (f"Memory was short, so at most {batch} pictures were made at the same time.",)
                continue
            relief = context.models.note(plan.family.id)
            for picture, image, notes in drawn:
                yield Output(
                    image=image,
                    seed=picture.seed,
                    parameters=plan.parameters(picture, context),
                    notes=(*notes, *shrunk, *((relief,) if relief else ())),
                )
            done += len(drawn) * plan.steps
            waiting = waiting[len(drawn) :]


@dataclass(frozen=True)
class _Picture:
    """One picture of a request, its choices made."""

    seed: int
    prompt: str
    negative_prompt: str


@dataclass(frozen=True)
class _Plan:
    """A prepared request with nothing left open."""

    request: TextToImageRequest
    family: Family
    width: int
    height: int
    steps: int
    seed: int
    guidance_scale: float
    notes: tuple[str, ...]

    @classmethod
    def of(cls, request: TextToImageRequest, context: Context) -> _Plan:
        family = context.catalog.require(request.model)
        width, height, steps, seed = request.width, request.height, request.steps, request.seed
        if width is None or height is None or steps is None or seed is None or request.guidance_scale is None:
            raise StudioError("This request was not prepared; submit it as a job.", status=500)
        guidance, notes = request.guidance_scale, ()
        if not family.supports("guidance") and guidance != family.guidance:
            notes = (f"{family.name} works at its own guidance of {family.guidance:g}; the setting was left out.",)
            guidance = family.guidance
        return cls(request, family, width, height, steps, seed, guidance, notes)

    def picture(self, index: int, context: Context) -> _Picture:
        seed = (self.seed + index) % SEEDS
        prompt = resolve_choices(self.request.prompt, seed, context.words.wildcard)
        return _Picture(seed, prompt, resolve_choices(self.request.negative_prompt, seed, context.words.wildcard))

    def parameters(self, picture: _Picture, context: Context) -> dict[str, Any]:
        return {
            "capability": TextToImage.name,
            "prompt": picture.prompt,
            "negative_prompt": picture.negative_prompt,
            "width": self.width,
            "height": self.height,
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "sampler": self.request.sampler,
            "seed": picture.seed,
            "model": self.family.id,
            "model_hash": context.models.weights_hash(self.family.id),
            "styles": list(self.request.styles),
            "requested": self.request.model_dump(mode="json"),
            "upscaler": "lanczos" if self.family.pixel_scale > 1 else "",
            "versions": versions(),
        }


def _draw(
    pipe: Any, *, plan: _Plan, wanted: list[_Picture], done: int, total: int, context: Context
) -> list[tuple[_Picture, Image, tuple[str, ...]]]:
    """Draw the first of ``wanted`` that fit into one batch without changing each other; at least one."""
    family = plan.family
    weights, negative = family.supports("prompt-weights"), family.supports("negative-prompt")
    encoded = [encode(pipe, each.prompt, each.negative_prompt, weights=weights, negative=negative) for each in wanted]
    together = list(itertools.takewhile(lambda item: item.key == encoded[0].key, encoded))
    size = len(together)
    images = draw(
        pipe,
        merge(together),
        width=plan.width // family.pixel_scale,
        height=plan.height // family.pixel_scale,
        steps=plan.steps,
        guidance_scale=plan.guidance_scale,
        seeds=[picture.seed for picture in wanted[:size]],
        report=lambda steps, preview: context.progress(done + steps * size, total, preview=preview),
    )
    if family.pixel_scale > 1:
        images = [image.resize((plan.width, plan.height), Resampling.LANCZOS) for image in images]
    return [(wanted[index], images[index], together[index].notes + plan.notes) for index in range(size)]


def _best(pictures: Iterator[Output], keep: int, context: Context) -> Iterator[Output]:
    """Of all ``pictures`` the ``keep`` with the highest CLIP score, best first; their parameters then tell it."""
    from studio.models.spec import UNDERSTANDING, PipelineSpec

    drawn = list(pictures)
    family = context.catalog.default_for("embed")

    def told(message: str) -> None:
        steps = sum(output.parameters["steps"] for output in drawn)
        context.progress(steps, steps, message=message)

    def scores(reader: Any) -> list[float]:
        seen = reader.pictures([output.image for output in drawn])
        texts = reader.texts([plain_text(output.parameters["prompt"]) for output in drawn])
        return [clip_score(picture, text) for picture, text in zip(seen, texts, strict=True)]

    told("Choosing the best")
    found = context.models.run(PipelineSpec(family.id, UNDERSTANDING), scores, lambda *step: told(step[2]))
    ranked = sorted(zip(found, drawn, strict=True), key=lambda pair: -pair[0])
    note = f"The best {keep} of {len(drawn)} by the CLIP score of {family.name} were kept."
    for place, (score, output) in enumerate(ranked[:keep]):
        parameters = {**output.parameters, "clip_score": round(score, 2), "clip_model": family.id}
        yield replace(output, parameters=parameters, notes=(*output.notes, *(() if place else (note,))))
