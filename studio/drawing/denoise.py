"""One run of a diffusers pipeline: what its call takes is passed, what it really runs is counted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from studio.drawing.preview import Preview
from studio.errors import StudioError

if TYPE_CHECKING:
    from PIL.Image import Image

StepReport = Callable[[float, "Image | None"], None]
"""Called after each call of the denoiser with the share that is done, in 0..1, and now and then a small picture."""


def takes(pipe: Any) -> frozenset[str]:
    """Names of the arguments that a call of ``pipe`` understands."""
    return _parameters(type(pipe))


@cache
def _parameters(kind: type) -> frozenset[str]:
    return frozenset(inspect.signature(kind.__call__).parameters)


def draw(
    pipe: Any,
    arguments: Mapping[str, Any],
    *,
    width: int,
    height: int,
    seeds: Sequence[int],
    report: StepReport,
) -> list[Image]:
    """Run ``pipe`` once: one picture of ``width`` x ``height`` pipeline pixels per seed.

    Of ``arguments`` and the size only what the pipeline's call takes is passed on; who must know what is left out asks
    `takes`. Every picture has a generator of its own on the CPU, so that its noise depends on its seed alone: not on
    its neighbours in the batch, nor on the kind of accelerator. ``report`` may raise to stop the run. Raises
    `StudioError` when the model produced numbers that are none, which would otherwise be saved as a black picture.
    """
    import numpy as np
    import torch

    preview = Preview(pipe, width, height)

    def on_step(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        latents = tensors["latents"]
        if not torch.isfinite(latents).all():
            raise _broken()
        # Second-order samplers call the model, and us, more often than once per step; a start from a picture less.
        report(min((index + 1) / max(pipe.num_timesteps, 1), 1.0), preview(latents))
        return tensors

    understood = takes(pipe)
    wanted = {"width": width, "height": height, **arguments}
    pictures = pipe(
        **{name: value for name, value in wanted.items() if name in understood},
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        output_type="np",
        callback_on_step_end=on_step,
    ).images
    if not np.isfinite(pictures).all():
        raise _broken()
    return pipe.image_processor.numpy_to_pil(pictures)


def _broken() -> StudioError:
    return StudioError(
        "The model lost its numbers on the way and would give a black picture; lower the guidance, "
        "try another sampler or seed, or get the model again if it happens every time.",
        status=500,
    )
