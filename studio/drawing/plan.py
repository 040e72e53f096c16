"""From a prepared request to pictures: seeds, wording, batches, halving where memory is short, parameters, notes.

What every capability that draws does the same way. It says which task of the model it needs, how large the picture is
and what else the pipeline is given; `Plan.run` yields the finished pictures. Torch stays inside the manager's use.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from PIL.Image import Image, Resampling

from studio.capability import Context, Output
from studio.drawing.best import best
from studio.drawing.denoise import draw
from studio.drawing.prompts import encode, merge
from studio.drawing.request import DrawingRequest, seeds, steps_run, worded
from studio.drawing.words import words_note
from studio.errors import StudioError
from studio.models.families import Family
from studio.models.spec import PipelineSpec


@dataclass(frozen=True)
class Picture:
    """One picture of a request, its choices made."""

    seed: int
    prompt: str
    negative_prompt: str


@dataclass(frozen=True)
class Finished:
    """A picture as it leaves, with what its parameters and notes say more."""

    image: Image
    notes: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


Inputs = Callable[[Any, Sequence[Picture]], Mapping[str, Any]]
"""(pipeline, the pictures drawn at once) -> more arguments of the pipeline's call."""
Around = Callable[[Any], AbstractContextManager[Any]]
"""(pipeline) -> what is entered before its call and surely left after it, such as other attention processors."""
Finish = Callable[[Picture, Image], Finished]
"""What is made of a picture that was drawn, at the finished size."""


def _nothing_more(pipe: Any, pictures: Sequence[Picture]) -> Mapping[str, Any]:
    return {}


def _as_drawn(picture: Picture, image: Image) -> Finished:
    return Finished(image)


@dataclass(frozen=True)
class Plan:
    """A prepared request with nothing left open."""

    capability: str
    task: str
    """One of `studio.models.families.TASKS`."""
    request: DrawingRequest
    context: Context
    family: Family
    width: int
    height: int
    """Pixels of the finished picture."""
    strength: float | None = None
    """Share of the steps that run, of a picture that is drawn over another one."""
    inputs: Inputs = _nothing_more
    around: Around = nullcontext
    finish: Finish = _as_drawn
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else the parameters of every picture say."""
    parents: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Denoising steps that really run for one picture."""
        asked = self.request.steps or 1
        return asked if self.strength is None else steps_run(asked, self.strength)

    @property
    def guidance_scale(self) -> float:
        asked = self.request.guidance_scale
        if asked is None or self.request.seed is None or self.request.steps is None:
            raise StudioError("This request was not prepared; submit it as a job.", status=500)
        return asked if self.family.supports("guidance") else self.family.guidance

    def run(self) -> Iterator[Output]:
        """The pictures, each as soon as it is finished; of `keep_best` the best, once all are."""
        keep = self.request.keep_best
        return self._run() if keep is None else best(self._run(), keep, self.context)

    def _run(self) -> Iterator[Output]:
        from studio.models.manager import OutOfMemory

        context, request = self.context, self.request
        waiting = [Picture(seed, *worded(request, context.words, self.family, seed)) for seed in seeds(request)]
        spec = PipelineSpec(self.family.id, self.task, request.sampler)
        total, done, batch = request.count * self.steps, 0, request.batch_size
        context.progress(0, total)

        def loading(bytes_done: int, bytes_all: int, message: str) -> None:
            share = f" ({bytes_done / bytes_all:.0%})" if bytes_all else ""
            context.progress(done, total, message=message + share)

        shrunk: tuple[str, ...] = ()
        while waiting:
            wanted = waiting[:batch]
            try:
                work = partial(self._draw, wanted=wanted, done=done, total=total)
                drawn = context.models.run(spec, work, loading)
            except OutOfMemory:
                if len(wanted) == 1:
                    raise
                batch = (len(wanted) + 1) // 2
                shrunk = (f"Memory was short, so at most {batch} pictures were made at the same time.",)
                continue
            relief = context.models.note(self.family.id)
            for picture, image, notes in drawn:
                finished = self.finish(picture, image)
                yield Output(
                    image=finished.image,
                    seed=picture.seed,
                    parameters={**self._parameters(picture), **finished.more},
                    notes=(*notes, *finished.notes, *shrunk, *((relief,) if relief else ())),
                    parents=self.parents,
                )
            done += len(drawn) * self.steps
            waiting = waiting[len(drawn) :]

    def _draw(
        self, pipe: Any, *, wanted: list[Picture], done: int, total: int
    ) -> list[tuple[Picture, Image, tuple[str, ...]]]:
        """Draw the first of ``wanted`` that fit into one batch without changing each other; at least one."""
        family, guidance = self.family, self.guidance_scale
        weights, negative = family.supports("prompt-weights"), family.supports("negative-prompt")
        encoded = [
            encode(pipe, each.prompt, each.negative_prompt, weights=weights, negative=negative) for each in wanted
        ]
        together = list(itertools.takewhile(lambda item: item.key == encoded[0].key, encoded))
        size = len(together)
        arguments = {
            **merge(together),
            **self.inputs(pipe, wanted[:size]),
            "num_inference_steps": self.request.steps,
            "guidance_scale": guidance,
        }
        notes = self.notes
        if guidance != self.request.guidance_scale:
            notes += (f"{family.name} works at its own guidance of {guidance:g}; the setting was left out.",)
        if self.strength is not None:
            arguments["strength"] = self.strength

        def report(share: float, preview: Image | None) -> None:
            self.context.progress(done + round(share * self.steps * size), total, preview=preview)

        with self.around(pipe):
            images = draw(
                pipe,
                arguments,
                width=self.width // family.pixel_scale,
                height=self.height // family.pixel_scale,
                seeds=[picture.seed for picture in wanted[:size]],
                report=report,
            )
        if family.pixel_scale > 1:
            images = [image.resize((self.width, self.height), Resampling.LANCZOS) for image in images]
        told = [words_note(picture.prompt, family.id, self.context.catalog) for picture in wanted[:size]]
        return [
            (wanted[index], images[index], (*together[index].notes, *notes, *filter(None, (told[index],))))
            for index in range(size)
        ]

    def _parameters(self, picture: Picture) -> dict[str, Any]:
        return {
            "capability": self.capability,
            "prompt": picture.prompt,
            "negative_prompt": picture.negative_prompt,
            "width": self.width,
            "height": self.height,
            "steps": self.request.steps,
            "guidance_scale": self.guidance_scale,
            "sampler": self.request.sampler,
            "seed": picture.seed,
            "model": self.family.id,
            "model_hash": self.context.models.weights_hash(self.family.id),
            "styles": list(self.request.styles),
            **self.more,
            "requested": self.request.model_dump(mode="json"),
            "upscaler": "lanczos" if self.family.pixel_scale > 1 else "",
            "versions": versions(),
        }


@cache
def versions() -> dict[str, str]:
    """Versions a picture depends on, for its parameters."""
    found = {}
    for label, package in (
        ("studio", "creative-studio"),
        ("torch", "torch"),
        ("diffusers", "diffusers"),
        ("transformers", "transformers"),
    ):
        try:
            found[label] = version(package)
        except PackageNotFoundError:
            found[label] = "unknown"
    return found
