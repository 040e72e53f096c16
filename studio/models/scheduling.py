"""From a sampler's name to a scheduler of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from studio.models.samplers import SAMPLERS

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_utils import SchedulerMixin


def build_scheduler(id: str, config: Mapping[str, Any]) -> SchedulerMixin:
    """A fresh scheduler for one use, from the config of the scheduler the family came with."""
    import diffusers

    sampler = SAMPLERS[id]
    return getattr(diffusers, sampler.scheduler).from_config(dict(config), **sampler.options)
