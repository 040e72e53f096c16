"""What this computer has: its accelerator, its memory, and how freed memory is given back."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from studio.errors import StudioError

GB = 1e9


def choose_device(asked: str) -> str:
    """The device called ``asked``; of "auto" the fastest. Raises `StudioError` when PyTorch does not find it."""
    here = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "xpu": hasattr(torch, "xpu") and torch.xpu.is_available(),
        "cpu": True,
    }
    if asked == "auto":
        return next(name for name, found in here.items() if found)
    if not here[asked]:
        found = ", ".join(name for name, yes in here.items() if yes)
        raise StudioError(
            f"STUDIO_DEVICE asks for '{asked}', which PyTorch does not find here; use auto or: {found}.", status=500
        )
    return asked


def device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    if device == "xpu":
        return torch.xpu.get_device_name()
    if device == "mps":
        return "Apple GPU"
    return f"CPU, {psutil.cpu_count(logical=False) or psutil.cpu_count() or 1} cores"


def device_memory(device: str) -> float:
    """Bytes; on a CPU and on a Mac the main memory's."""
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    if device == "xpu":
        return torch.xpu.get_device_properties(0).total_memory
    return host_memory()


def host_memory() -> float:
    """Bytes of main memory this process may use: a container's limit counts."""
    total = float(psutil.virtual_memory().total)
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, float(Path(file).read_text()))
        except (OSError, ValueError):
            continue
    return total


def compute_dtype(preferred: str, device: str) -> torch.dtype:
    """What weights are held in on ``device``: a CPU always runs float32."""
    if device == "cpu":
        return torch.float32
    if preferred == "bfloat16" and device == "cuda" and not torch.cuda.is_bf16_supported():
        return torch.float16
    return getattr(torch, preferred)


def out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in text or "MPS backend out of memory" in text)


def release() -> None:
    """Give freed memory back to the device and to the system."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
    elif hasattr(torch, "xpu") and torch.xpu.is_available():
        torch.xpu.empty_cache()
    if sys.platform == "linux":
        # glibc keeps freed weights in its arenas otherwise: RSS would grow with every swap.
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
