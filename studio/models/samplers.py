"""The sampler registry. Names need no torch; classes are resolved when one is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.errors import StudioError
from studio.models.families import Family


@dataclass(frozen=True)
class Sampler:
    """One row of the registry: a diffusers scheduler class and what to change in the family's scheduler config."""

    id: str
    label: str
    scheduler: str
    options: Mapping[str, Any] = field(default_factory=dict)
    min_steps: int = 1
    max_steps: int = 150
    zero_snr: bool = True
    """Can end at pure noise, as families trained with zero terminal signal-to-noise ratio want."""
    flow: bool = False
    """For flow-matching families, which integrate a velocity and share no sampler with the noise-predicting ones."""


SAMPLERS: dict[str, Sampler] = {
    row.id: row
    for row in (
        Sampler("ddpm", "DDPM", "DDPMScheduler", {"variance_type": "fixed_small"}),
        Sampler("ddim", "DDIM", "DDIMScheduler"),
        # Four model outputs start the multistep formula; diffusers 0.42 fails below five steps.
        Sampler("pndm", "PNDM", "PNDMScheduler", {"skip_prk_steps": True}, min_steps=5, zero_snr=False),
        Sampler("euler", "Euler", "EulerDiscreteScheduler"),
        Sampler("euler-a", "Euler ancestral", "EulerAncestralDiscreteScheduler"),
        Sampler("heun", "Heun", "HeunDiscreteScheduler", zero_snr=False),
        Sampler("dpmpp-2m", "DPM-Solver++ 2M", "DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
        Sampler(
            "dpmpp-2m-karras",
            "DPM-Solver++ 2M Karras",
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True},
            zero_snr=False,
        ),
        Sampler("unipc", "UniPC", "UniPCMultistepScheduler"),
        # Its steps are picked from the 50 it was distilled over.
        Sampler("lcm", "LCM", "LCMScheduler", max_steps=50),
        Sampler("flow-euler", "Euler (flow matching)", "FlowMatchEulerDiscreteScheduler", flow=True),
    )
}


def samplers_for(family: Family) -> list[Sampler]:
    """The samplers a user may choose with ``family``."""
    if family.supports("samplers"):
        return [row for row in SAMPLERS.values() if not row.flow and (row.zero_snr or not family.zero_snr)]
    return [SAMPLERS[family.sampler]]


def check_sampler(id: str, steps: int, family: Family) -> Sampler:
    """The sampler called ``id``. Raises `StudioError` when unknown, unfit for the family, or short of steps."""
    allowed = samplers_for(family)
    names = ", ".join(row.id for row in allowed)
    sampler = SAMPLERS.get(id)
    if sampler is None:
        raise StudioError(f"There is no sampler called '{id[:64]}'; choose one of: {names}.", field="sampler")
    if sampler not in allowed:
        raise StudioError(f"{family.name} cannot use {sampler.label}; choose one of: {names}.", field="sampler")
    if steps < sampler.min_steps:
        raise StudioError(f"{sampler.label} needs at least {sampler.min_steps} steps; raise the steps.", field="steps")
    if steps > sampler.max_steps:
        raise StudioError(f"{sampler.label} takes at most {sampler.max_steps} steps; lower the steps.", field="steps")
    return sampler
