"""Pictures near another one: the noise that a pipeline starts from, moved towards that of other seeds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from studio.drawing.made import Noise

if TYPE_CHECKING:
    import torch

Draw = Callable[[list["torch.Generator"]], "torch.Tensor"]
"""The pipeline's own start [n, ...] by one generator a picture."""


@contextmanager
def starting(pipe: Any, change: Callable[[Draw, list[torch.Generator]], torch.Tensor]) -> Iterator[None]:
    """Within this ``pipe`` starts from ``change(draw, generators)``, whatever the shape its latents have.

    ``draw`` is the pipeline's own way to make noise, which any number of generators may be put through;
    ``generators`` are those of the call, which samplers go on with. ``pipe`` must be a view of one's own.
    """
    original = pipe.prepare_latents
    signature = inspect.signature(original)

    def prepare_latents(*args: Any, **named: Any) -> Any:
        given = signature.bind(*args, **named).arguments
        more: tuple[Any, ...] = ()

        def draw(generators: list[torch.Generator]) -> torch.Tensor:
            nonlocal more
            made = original(**{**given, "batch_size": len(generators), "generator": generators})
            if isinstance(made, tuple):  # FLUX.2 tells where each of its patches lies
                made, *rest = made
                more = tuple(rest)
            return made

        start = change(draw, given["generator"])
        return (start, *more) if more else start

    pipe.prepare_latents = prepare_latents
    try:
        yield
    finally:
        del pipe.prepare_latents


def start_of(noise: Noise, draw: Draw, generators: list[torch.Generator]) -> torch.Tensor:
    """The start [n, ...] that ``noise`` describes, for each of ``generators``.

    These are left as they were after the noise of ``noise.seed`` alone, so that samplers which add noise at every
    step add the same to all neighbours.
    """
    for generator in generators:
        generator.manual_seed(noise.seed)
    start = draw(generators)
    for seed, distance in noise.towards:
        start = _towards(start, draw, [seed] * len(generators), distance)
    return start


def near(noise: Noise, distance: float, draw: Draw, generators: list[torch.Generator]) -> torch.Tensor:
    """The start [n, ...] of neighbours of ``noise``: ``distance`` of the way from it towards each generator's seed."""
    seeds = [generator.initial_seed() for generator in generators]
    return _towards(start_of(noise, draw, generators), draw, seeds, distance)


def _towards(start: torch.Tensor, draw: Draw, seeds: list[int], distance: float) -> torch.Tensor:
    import torch

    return slerp(start, draw([torch.Generator("cpu").manual_seed(seed) for seed in seeds]), distance)


def slerp(start: torch.Tensor, end: torch.Tensor, share: float) -> torch.Tensor:
    """Each row of ``start`` [n, ...] moved along the arc towards that of ``end``; at 0 it is ``start`` itself.

    Noise in so many dimensions lies near a sphere; the straight line between two of its points leaves it and gives
    grey pictures (Shoemake 1985; White 2016).
    """
    import torch

    if share == 0:
        return start
    a, b = start.flatten(1).float(), end.flatten(1).float()
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1).clamp(-1, 1).unsqueeze(1)
    angle = torch.arccos(cosine)
    sine = torch.sin(angle)
    alike = sine < 1e-6
    sine = torch.where(alike, torch.ones_like(sine), sine)
    near = torch.where(alike, torch.full_like(sine, 1 - share), torch.sin((1 - share) * angle) / sine)
    far = torch.where(alike, torch.full_like(sine, share), torch.sin(share * angle) / sine)
    return (near * a + far * b).to(start.dtype).reshape(start.shape)
