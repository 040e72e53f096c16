"""Memory: several tasks on one family, and many family swaps, against plain diffusers; each in its own process."""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import Row, measure_in_child, slope
from studio.models.catalog import Catalog
from studio.models.families import TASKS
from studio.settings import Settings

WIDTHS = {"quarter": (80, 160, 320, 320), "eighth": (40, 80, 160, 160)}
"""UNet widths: Stable Diffusion 1.5 has (320, 640, 1280, 1280)."""


def make_family(folder: Path, width: str, name: str, settings: Settings) -> str:
    """Random weights in Stable Diffusion 1.5's classes and proportions, saved as a folder and added by path."""
    import torch
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel

    catalog = Catalog(settings)
    source = StableDiffusionPipeline.from_pretrained(catalog.location("starter"), local_files_only=True)
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=WIDTHS[width],
        cross_attention_dim=source.text_encoder.config.hidden_size,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    shape: dict[str, Any] = {
        "block_out_channels": (32, 64, 128, 128),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
    }
    vae = AutoencoderKL(**shape, latent_channels=4, norm_num_groups=8, sample_size=128)
    pipe = StableDiffusionPipeline(
        unet=unet,
        vae=vae,
        text_encoder=source.text_encoder,
        tokenizer=source.tokenizer,
        scheduler=source.scheduler,
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder / name)
    return catalog.add_local(str(folder / name), name=name).id


def _settings(data_dir: str, **more: Any) -> Settings:
    return Settings(data_dir=Path(data_dir), device="cpu", **more)


def prepare(data_dir: str, width: str, name: str) -> str:
    return make_family(Path(data_dir), width, name, _settings(data_dir))


def _unique_bytes(pipes: list[Any]) -> int:
    """Bytes of the weights behind ``pipes``, storage that is shared counted once."""
    import torch

    storages: dict[int, int] = {}
    for pipe in pipes:
        for part in pipe.components.values():
            if isinstance(part, torch.nn.Module):
                for tensor in (*part.parameters(), *part.buffers()):
                    storage = tensor.untyped_storage()
                    storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def _touch(pipe: Any) -> None:
    """Read every page of the weights: safetensors maps them, and what was never read is not resident yet."""
    import torch

    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            for tensor in part.parameters():
                tensor.detach().reshape(-1)[::1024].sum().item()


def _resident() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


def visit_with_manager(data_dir: str, family: str) -> dict[str, float]:
    """Every task once through the manager: megabytes of distinct weights, growth of resident memory, CPU seconds."""
    import diffusers

    from studio.models.manager import ModelManager
    from studio.models.spec import PipelineSpec

    settings = _settings(data_dir)
    models = ModelManager(settings, Catalog(settings))
    for name in (*TASKS.values(), "StableDiffusionPipeline"):
        getattr(diffusers, name)  # the code is no part of the measurement
    before, started, pipes = _resident(), time.process_time(), []
    for task in TASKS:
        with models.use(PipelineSpec(family, task)) as pipe:
            _touch(pipe)
            pipes.append(pipe)
    seconds = time.process_time() - started
    return {"weights": _unique_bytes(pipes) / 1e6, "resident": _resident() - before, "seconds": seconds}


def visit_one_by_one(data_dir: str, family: str) -> dict[str, float]:
    """The same with one pipeline per task, as separate tabs do."""
    import diffusers
    import torch

    place = Catalog(_settings(data_dir)).location(family)
    classes = [getattr(diffusers, name) for name in TASKS.values()]
    _ = diffusers.StableDiffusionPipeline
    before, started = _resident(), time.process_time()
    pipes = [kind.from_pretrained(place, torch_dtype=torch.float32, local_files_only=True) for kind in classes]
    for pipe in pipes:
        _touch(pipe)
    seconds = time.process_time() - started
    return {"weights": _unique_bytes(pipes) / 1e6, "resident": _resident() - before, "seconds": seconds}


def swap_with_manager(data_dir: str, families: list[str], swaps: int, budget_gb: float) -> dict[str, list[float]]:
    """Use ``families`` in turn under a budget for one of them: resident megabytes and CPU seconds after every swap."""
    from studio.models.manager import ModelManager
    from studio.models.spec import PipelineSpec

    settings = _settings(data_dir, device_memory_gb=budget_gb, host_memory_gb=budget_gb)
    models = ModelManager(settings, Catalog(settings))
    resident, seconds = [], []
    for index in range(swaps):
        started = time.process_time()
        with models.use(PipelineSpec(families[index % len(families)])) as pipe:
            _touch(pipe)
        seconds.append(time.process_time() - started)
        resident.append(_resident())
    return {"resident": resident, "seconds": seconds}


def swap_plainly(data_dir: str, families: list[str], swaps: int) -> dict[str, list[float]]:
    """The same with ``pipe = from_pretrained(...)`` and a garbage collection each time."""
    import torch
    from diffusers import AutoPipelineForText2Image

    catalog = Catalog(_settings(data_dir))
    resident, seconds, pipe = [], [], None
    for index in range(swaps):
        started = time.process_time()
        pipe = None
        gc.collect()
        pipe = AutoPipelineForText2Image.from_pretrained(
            catalog.location(families[index % len(families)]), torch_dtype=torch.float32, local_files_only=True
        )
        _touch(pipe)
        seconds.append(time.process_time() - started)
        resident.append(_resident())
    return {"resident": resident, "seconds": seconds}


def rows(quick: bool) -> list[Row]:
    rounds, swaps = (1, 20) if quick else (3, 100)
    with tempfile.TemporaryDirectory() as folder:
        big = measure_in_child("memory:prepare", data_dir=folder, width="quarter", name="Quarter size")
        first = measure_in_child("memory:prepare", data_dir=folder, width="eighth", name="First")
        second = measure_in_child("memory:prepare", data_dir=folder, width="eighth", name="Second")
        visits: list[tuple[dict[str, float], dict[str, float]]] = [
            (
                measure_in_child("memory:visit_with_manager", data_dir=folder, family=big),
                measure_in_child("memory:visit_one_by_one", data_dir=folder, family=big),
            )
            for _ in range(rounds)
        ]
        size = sum(file.stat().st_size for file in (Path(folder) / "First").rglob("*.safetensors")) / 1e9
        ours = measure_in_child(
            "memory:swap_with_manager", data_dir=folder, families=[first, second], swaps=swaps, budget_gb=size * 1.5
        )
        other = measure_in_child("memory:swap_plainly", data_dir=folder, families=[first, second], swaps=swaps)
    settled = swaps // 5
    against = "one pipeline per task"
    model = f"random weights, {visits[0][1]['weights'] / len(TASKS):.0f} MB"
    return [
        Row(
            f"{len(TASKS)} tasks of one family visited: weights ({model})",
            "MB",
            [mine["weights"] for mine, _ in visits],
            [theirs["weights"] for _, theirs in visits],
            against,
        ),
        Row(
            "the same: growth of resident memory",
            "MB",
            [mine["resident"] for mine, _ in visits],
            [theirs["resident"] for _, theirs in visits],
            against,
        ),
        Row(
            "the same: work",
            "CPU s",
            [mine["seconds"] for mine, _ in visits],
            [theirs["seconds"] for _, theirs in visits],
            against,
        ),
        Row(
            f"{swaps} swaps between two families: slope of resident memory after the first {settled}",
            "MB a swap",
            [slope(ours["resident"][settled:])],
            [slope(other["resident"][settled:])],
            "from_pretrained and gc.collect each time",
            comparable=False,
        ),
        Row(
            f"the same, {size * 1e3:.0f} MB each",
            "CPU s a swap",
            ours["seconds"][settled:],
            other["seconds"][settled:],
            "from_pretrained and gc.collect each time",
        ),
    ]
