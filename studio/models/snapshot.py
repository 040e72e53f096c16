"""Undoing what a job did to shared components."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any

import torch

_CONTAINERS = (
    "_parameters",
    "_buffers",
    "_modules",
    "_non_persistent_buffers_set",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


class Snapshot:
    """The object graph of all components: which attributes, children, hooks and tensors every module has.

    Putting it back undoes everything that patches modules from outside (hooks, PEFT layers, attention processors,
    overridden ``forward``, tiling flags), whoever did it. One that has put everything back describes the next use as
    well, which saves taking it.
    """

    def __init__(self, modules: Sequence[torch.nn.Module], components: Mapping[str, Any]) -> None:
        """Of ``modules``, and of the tokenizers among ``components``."""
        self._roots = list(modules)
        self._modules: list[tuple[torch.nn.Module, dict[str, Any], list[tuple[Any, Any]]]] = []
        self._tensors: list[tuple[torch.Tensor, int, torch.dtype]] = []
        for root in self._roots:
            for module in root.modules():
                state = dict(module.__dict__)
                held = [state[name] for name in _CONTAINERS if name in state]
                self._modules.append((module, state, [(value, value.copy() if value else None) for value in held]))
                tensors = [*module._parameters.values(), *module._buffers.values()]
                self._tensors += [(each, each._version, each.dtype) for each in tensors if each is not None]
        self._tokenizers = [
            (value, len(value))
            for name, value in components.items()
            if name.startswith("tokenizer") and value is not None
        ]
        self._devices = [_device_of(root) for root in self._roots]

    def restore(self) -> bool:
        """Put everything back. False when weights or a vocabulary were changed in place, which cannot be undone."""
        # PEFT merges adapters through ``.data``, which the version counters below do not see.
        same = not any(module.__dict__.get("merged_adapters") for root in self._roots for module in root.modules())
        for root in self._roots:
            if getattr(root, "_hf_hook", None) is not None:
                from accelerate.hooks import remove_hook_from_module

                remove_hook_from_module(root, recurse=True)
        for module, state, inner in self._modules:
            now = module.__dict__
            if not _equal(now, state):
                for name in [name for name in now if name not in state]:
                    del now[name]
                for name, value in state.items():
                    if now.get(name) is not value:
                        now[name] = value
            for held, saved in inner:
                if saved is None:
                    if held:
                        held.clear()
                elif isinstance(held, dict):
                    if not _equal(held, saved):
                        held.clear()
                        held.update(saved)
                elif held != saved:
                    held.clear()
                    held |= saved
        for tensor, version, dtype in self._tensors:
            same = same and tensor._version == version
            if tensor.dtype != dtype:
                tensor.data = tensor.data.to(dtype)
        for root, device in zip(self._roots, self._devices, strict=True):
            if _device_of(root) != device:
                root.to(device)
        return same and all(len(tokenizer) == size for tokenizer, size in self._tokenizers)


def _equal(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether two mappings hold the very same objects, told without a loop in Python: this runs for every module."""
    return len(now) == len(before) and all(map(is_, now.values(), before.values())) and all(map(is_, now, before))


def _device_of(module: torch.nn.Module) -> torch.device:
    tensors = itertools.chain(module.parameters(), module.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))
