"""Files of weights: which of them belong together, how large they are, what their headers say. No torch here."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from studio.errors import StudioError

_USUAL = re.compile(
    r"(?:model|diffusion_pytorch_model)(?:\.(?P<before>\w+))?(?:-(?P<part>\d{5})-of-(?P<parts>\d{5}))?"
    r"(?:\.(?P<after>\w+))?\.safetensors"
)
HALF = ("fp16", "bf16")
WEIGHTS = (".safetensors", ".onnx")
"""What files of weights end in."""


@dataclass(frozen=True)
class Header:
    """What a safetensors file says before its first tensor."""

    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]


def visible(folder: Path) -> Iterator[Path]:
    """All files below ``folder`` but those that systems leave beside them: ``._name`` and ``__MACOSX`` of macOS, the
    hub client's ``.cache``."""
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder).parts
        if file.is_file() and not any(part.startswith(".") or part == "__MACOSX" for part in inside):
            yield file


def component_weights(folder: Path, dtype: str = "float32") -> tuple[str | None, list[Path]]:
    """The files of one component that loading it in ``dtype`` reads, and their variant ("fp16" ..., None for none).

    Of several variants that lie side by side one is taken: the asked precision, then the full one, then any other;
    weights before averaging ("non_ema") last. Only complete sets of parts count.
    """
    found: dict[str | None, list[Path]] = defaultdict(list)
    missing: set[str | None] = set()
    for file in sorted(folder.glob("*.safetensors")):
        if match := _USUAL.fullmatch(file.name):
            variant = match["before"] or match["after"]
            found[variant].append(file)
            if match["parts"] and len(list(folder.glob(_siblings(file.name, match["part"])))) < int(match["parts"]):
                missing.add(variant)
    wanted = {"float16": ["fp16"], "bfloat16": ["bf16"]}.get(dtype, [])
    order: list[str | None] = [*wanted, None, *HALF]
    complete = [variant for variant in found if variant not in missing]
    if not complete:
        return None, []
    rank = {variant: place for place, variant in enumerate(order)}
    best = min(complete, key=lambda each: (each == "non_ema", rank.get(each, len(order)), each or ""))
    return best, found[best]


def _siblings(name: str, part: str) -> str:
    return name.replace(f"-{part}-of-", "-?????-of-")


def weights_in(folder: Path) -> list[Path]:
    """The files of weights that lie in ``folder`` itself: safetensors and ONNX."""
    return sorted(file for file in folder.glob("[!.]*") if file.suffix in WEIGHTS)


def disk_bytes(files: Iterable[Path]) -> int:
    """Bytes on the disk: a file that several names lead to counts once."""
    found = {}
    for file in files:
        state = file.stat()
        found[(state.st_dev, state.st_ino) if state.st_ino else str(file)] = state.st_size
    return sum(found.values())


def stamp(place: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of every file at ``place``: equal stamps, equal contents."""
    files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
    return tuple((str(file), state.st_size, state.st_mtime_ns) for file in files for state in (file.stat(),))


def read_header(file: Path) -> Header:
    """The header of a safetensors file. Raises `StudioError` when it is damaged or hostile."""
    try:
        state = file.stat()
        return _header(str(file), state.st_size, state.st_mtime_ns)
    except (OSError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise StudioError(
            f"{file.name} is not a sound safetensors file ({reason}); fetch it again.", field="path"
        ) from None


@lru_cache(maxsize=64)
def _header(file: str, size: int, time: int) -> Header:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            shapes = {key: tuple(tensors.get_slice(key).get_shape()) for key in tensors.keys()}  # noqa: SIM118
            return Header(shapes, dict(tensors.metadata() or {}))
    except SafetensorError as error:
        raise ValueError(str(error)) from None
