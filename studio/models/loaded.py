"""What everything that is loaded answers for itself: its parts, a view of them for one use, and doing with less memory.

The manager knows nothing else of a row: not its kind, not its class.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch

from studio.models.families import Family
from studio.models.spec import PipelineSpec


class Loaded(ABC):
    """The weights of one row in memory. Never handed out itself, so nothing a job does to its view can stay."""

    reliefs: ClassVar[tuple[str, str, str, str]]
    """What each rung of the out-of-memory ladder does, as a note for the user: as it is; other models put away; less
    at a time; out of the accelerator's memory."""
    field: ClassVar[str] = "model"
    remedy: ClassVar[str] = "choose a smaller model"
    """What helps when the ladder did not, and the request's field that it concerns."""

    def __init__(self, family: Family, components: dict[str, Any]) -> None:
        self.family = family
        self.components = components

    @abstractmethod
    def view(self, spec: PipelineSpec) -> Any:
        """An object of its own over the shared components, for one use by ``spec``."""

    @abstractmethod
    def relieve(self, view: Any, rung: int, device: str) -> None:
        """Make ``view`` work in less memory of ``device``: rung 2 or 3 of `reliefs`. Undone with everything else."""

    def waits_on(self, device: str, rung: int) -> str:
        """Where the weights are between runs on ``device``, at a rung of `reliefs`."""
        return "cpu" if rung >= 3 else self.family.device or device

    def modules(self) -> list[torch.nn.Module]:
        """Every module once."""
        found = {id(value): value for value in self.components.values() if isinstance(value, torch.nn.Module)}
        return list(found.values())

    def bytes(self) -> int:
        """Bytes of the storages behind all modules, each counted once."""
        storages: dict[int, int] = {}
        for module in self.modules():
            for tensor in itertools.chain(module.parameters(), module.buffers()):
                storage = tensor.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
        return sum(storages.values())

    def move(self, device: str) -> None:
        for module in self.modules():
            module.to(device)
