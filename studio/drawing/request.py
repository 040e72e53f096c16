"""The parts that requests to draw share, and how their blanks are filled. No torch here."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, TypeVar

from pydantic import Field, StringConstraints

from studio.capability import Request, Words
from studio.drawing.prompts import apply_styles, check_prompt, resolve_choices
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.families import Family, Feature
from studio.models.samplers import SAMPLERS, check_sampler

MAX_WORK = 3.0e9
"""Pictures x steps x pixels of one request: 16 pictures of 1024 x 1024 in 150 steps are 2.5e9."""

SEEDS = 2**32


class DrawingRequest(Request):
    """What every request to draw says. Everything but the prompt may be left out; the model's defaults fill it."""

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
        default=(), max_length=16, description="Names of saved styles whose text is added to the prompts."
    )


Drawing = TypeVar("Drawing", bound=DrawingRequest)


def fill(request: Drawing, catalog: Catalog, task: Feature, *, strength: float = 1.0) -> Drawing:
    """``request`` with model, steps, guidance, sampler, seed and batch chosen, and checked; its size is left alone.

    ``strength`` is the share of the steps that will really run. Raises `StudioError` for what ``task`` cannot do.
    """
    family = catalog.get(request.model)
    catalog.check(family, task)
    steps = request.steps if request.steps is not None else family.steps
    filled = request.model_copy(
        update={
            "model": family.id,
            "steps": steps,
            "guidance_scale": request.guidance_scale if request.guidance_scale is not None else family.guidance,
            "sampler": request.sampler or family.sampler,
            "seed": request.seed if request.seed is not None else secrets.randbelow(SEEDS),
            "batch_size": min(request.batch_size, request.count),
        }
    )
    check_sampler(filled.sampler, steps, family)
    if strength < 1 and (task == "inpaint" or family.supports("strength")):
        _check_steps_left(filled.sampler, steps, strength)
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


def steps_run(steps: int, strength: float) -> int:
    """How many of ``steps`` denoising steps run at ``strength``, as diffusers counts them."""
    return min(int(steps * strength), steps)


def _check_steps_left(sampler: str, steps: int, strength: float) -> None:
    least, left = SAMPLERS[sampler].min_steps, steps_run(steps, strength)
    if left < least:
        raise StudioError(
            f"At strength {strength:g} only {left} of {steps} steps run, and this needs {least}; "
            f"raise the steps to {-(-least // strength):.0f} or the strength.",
            field="steps",
        )


def check_work(work: float) -> None:
    """Raise `StudioError` for more than `MAX_WORK` at once."""
    if work > MAX_WORK:
        raise StudioError(
            "This asks for too much at once; use fewer pictures, fewer steps or a smaller size.", field="count"
        )


def worded(request: DrawingRequest, words: Words, family: Family, seed: int) -> tuple[str, str]:
    """(prompt, negative prompt) of the picture with ``seed`` by ``family``: styles merged in, choices made.

    Raises `StudioError` for a style or a wildcard list that is not there.
    """
    texts = []
    for name in request.styles:
        style = words.style(name)
        if style is None:
            raise StudioError(
                f"There is no saved style '{name[:80]}'; save one by that name or leave it out.", field="styles"
            )
        texts.append(style)
    prompt, negative = apply_styles(request.prompt, request.negative_prompt, texts)
    braces = family.supports("prompt-weights")
    return (
        resolve_choices(prompt, seed, words.wildcard, braces=braces),
        resolve_choices(negative, seed, words.wildcard, braces=braces, field="negative_prompt"),
    )


def seeds(request: DrawingRequest) -> list[int]:
    """One for each picture of a prepared request."""
    return [((request.seed or 0) + index) % SEEDS for index in range(request.count)]


def check_words(request: DrawingRequest, words: Words, catalog: Catalog) -> None:
    """What `studio.capability.Capability.check` is for, of a request to draw."""
    family = catalog.get(request.model)
    for seed in seeds(request):
        prompt, negative = worded(request, words, family, seed)
        check_prompt(prompt, family, words.wildcard)
        check_prompt(negative, family, words.wildcard, field="negative_prompt")


def pixels(request: Any, family: Family) -> float:
    """Of one picture of a prepared request, at the model's own size where it names none."""
    return float((request.width or family.native_size) * (request.height or family.native_size))
