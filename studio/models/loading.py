"""From a row of the catalogue to weights in memory: each kind of row has one loader."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# Read by diffusers when it is first imported: code beside weights is never run.
os.environ.setdefault("DIFFUSERS_DISABLE_REMOTE_CODE", "1")

import torch

from studio.errors import StudioError
from studio.models import painters, readers, tools
from studio.models.brought import check as check_upscaler
from studio.models.catalog import Catalog
from studio.models.families import Family, Kind
from studio.models.inspection import check_local
from studio.models.loaded import Loaded
from studio.models.machine import out_of_memory
from studio.models.spec import Progress
from studio.models.weights import disk_bytes, read_header, stamp

log = logging.getLogger(__name__)


class Loader(NamedTuple):
    """How one kind of row is loaded."""

    load: Callable[[Family, Path, torch.dtype, Catalog, Progress | None], Loaded]
    """Onto the CPU."""
    files: Callable[[Path, str], list[Path]]
    """The files of weights that loading a place in a dtype reads."""


LOADERS: dict[Kind, Loader] = {
    "diffusion": Loader(painters.load, painters.weight_files),
    "understanding": Loader(readers.load, readers.weight_files),
    "tool": Loader(tools.load, tools.weight_files),
}

_sound: set[tuple[tuple[str, int, int], ...]] = set()
"""Stamps of models from disk whose files and numbers were found sound: nothing need be read twice."""


def expected_bytes(family: Family, place: Path, dtype: torch.dtype) -> int:
    """What the weights at ``place`` will take in memory as ``dtype``; of ONNX as much as on the disk."""
    files = LOADERS[family.kind].files(place, str(dtype).removeprefix("torch."))
    onnx = [file for file in files if file.suffix == ".onnx"]
    shapes = [
        shape
        for file in files
        if file not in onnx
        for key, shape in read_header(file).shapes.items()
        if not key.startswith("model_ema.")  # the average beside the weights is never loaded
    ]
    return sum(math.prod(shape) for shape in shapes) * dtype.itemsize + disk_bytes(onnx)


def load(family: Family, dtype: torch.dtype, catalog: Catalog, progress: Progress | None) -> Loaded:
    """The row's weights on the CPU. Raises `StudioError` when they cannot be loaded or are no numbers."""
    place = catalog.location(family.id)
    seen = stamp(place) if family.local else ()
    if family.local and seen not in _sound:
        check_upscaler(place) if family.kind == "tool" else check_local(family)
    _quiet()
    try:
        loaded = LOADERS[family.kind].load(family, place, dtype, catalog, progress)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, TypeError, ImportError) as error:
        if out_of_memory(error):
            raise
        log.warning("loading %s failed", family.id, exc_info=True)
        again = "delete and download it again in the Models tab" if family.fetched else f"restore {place}"
        fix = "check where it came from" if family.local else again
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise StudioError(f"{family.name} cannot be loaded ({reason}); {fix}.", field="model", status=500) from error
    if family.local and seen not in _sound:
        _check_finite(loaded)
        _sound.add(seen)
    return loaded


def _check_finite(loaded: Loaded) -> None:
    for module in loaded.modules():
        for name, tensor in module.named_parameters():
            # A sum is quicker than a look at every number, and finite only if all of them are.
            if not torch.isfinite(tensor.sum()) and not torch.isfinite(tensor).all():
                raise StudioError(
                    f"The weights of {loaded.family.name} are broken ('{name}' is not a number); get the model again.",
                    field="model",
                )


def _quiet() -> None:
    """The libraries' own bars and prompt echoes do not belong into our log: a 200 kB prompt would be printed twice."""
    import diffusers.utils.logging as diffusers_log
    import transformers.utils.logging as transformers_log

    for library in (diffusers_log, transformers_log):
        library.set_verbosity_error()
        library.disable_progress_bar()
