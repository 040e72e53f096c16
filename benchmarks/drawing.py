"""Text to image: through manager and capability, and through the whole studio, against plain diffusers."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmarks.harness import Row, alternate, cpu_seconds
from studio.capabilities.text_to_image import TextToImage, TextToImageRequest
from studio.models.catalog import Catalog
from studio.models.families import Family
from studio.models.scheduling import build_scheduler
from studio.settings import Settings

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

PROMPT = "a red apple on a blue background"


class Plain:
    """What a careful user of diffusers writes: one pipeline, loaded once, with the same scheduler and settings."""

    def __init__(self, catalog: Catalog, family: Family) -> None:
        import torch
        from diffusers import StableDiffusionPipeline

        self.family = family
        self.pipe: StableDiffusionPipeline = StableDiffusionPipeline.from_pretrained(
            catalog.location(family.id), torch_dtype=torch.float32, local_files_only=True
        )
        self.pipe.set_progress_bar_config(disable=True)

    def draw(self, request: TextToImageRequest) -> Image.Image:
        import torch

        pipe, scale = self.pipe, self.family.pixel_scale
        pipe.scheduler = build_scheduler(request.sampler, pipe.scheduler.config)
        assert request.width and request.height and request.steps
        assert request.seed is not None and request.guidance_scale is not None
        result: Any = pipe(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt or None,
            width=request.width // scale,
            height=request.height // scale,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance_scale,
            generator=torch.Generator("cpu").manual_seed(request.seed),
        )
        picture = result.images[0]
        return picture.resize((request.width, request.height), Image.Resampling.LANCZOS) if scale > 1 else picture


class Quiet:
    """A `studio.capability.Context` that nobody watches."""

    def __init__(self, models: Any, settings: Settings, catalog: Catalog) -> None:
        self.models = models
        self.settings = settings
        self.catalog = catalog
        self.words = self

    def progress(self, step: int, steps: int, preview: Image.Image | None = None, message: str = "") -> None: ...

    def wildcard(self, name: str) -> list[str]:
        return []

    def style(self, name: str) -> tuple[str, str] | None:
        return None


def psnr(first: Image.Image, second: Image.Image) -> float:
    """Decibels over all channels; infinite for equal pictures."""
    difference = np.asarray(first.convert("RGB"), np.float64) - np.asarray(second.convert("RGB"), np.float64)
    error = float((difference**2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def capability(rounds: int) -> dict[str, Any]:
    """Seconds and CPU seconds a picture of both, same seeds, in one process; and the PSNR between the two pictures."""
    from studio.models.manager import ModelManager

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), device="cpu")
        catalog = Catalog(settings)
        family = catalog.get("starter")
        context: Any = Quiet(ModelManager(settings, catalog), settings, catalog)
        plain, ours = Plain(catalog, family), TextToImage()
        seeds = iter(range(10**6))
        pictures: dict[int, Image.Image] = {}
        likeness: list[float] = []
        wall: tuple[list[float], list[float]] = ([], [])

        def request(seed: int) -> TextToImageRequest:
            return ours.prepare(TextToImageRequest(prompt=PROMPT, seed=seed, model=family.id), catalog)

        def run_ours() -> float:
            seed = next(seeds)
            started, cpu = time.perf_counter(), time.process_time()
            (output,) = ours.run(request(seed), context)
            wall[0].append(time.perf_counter() - started)
            pictures[seed] = output.image
            return time.process_time() - cpu

        def run_plain() -> float:
            ((seed, mine),) = pictures.items()
            started, cpu = time.perf_counter(), time.process_time()
            picture = plain.draw(request(seed))
            spent = time.process_time() - cpu
            wall[1].append(time.perf_counter() - started)
            likeness.append(psnr(mine, picture))
            pictures.clear()
            return spent

        cpu = alternate(run_ours, run_plain, rounds, warm_up=2)
        return {
            "cpu": cpu,
            "wall": [samples[2:] for samples in wall],
            "psnr": [min(value, 999.0) for value in likeness],
            "size": f"{family.native_size} px, {family.steps} steps",
        }


def whole_studio(rounds: int) -> dict[str, Any]:
    """The same pictures as jobs: queue, worker process, watermark, PNG, gallery. CPU of server and worker."""
    import psutil

    from studio import Studio

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = Settings(data_dir=Path(folder), device="cpu", port=0)
        studio = Studio(settings)
        studio.start()
        try:
            plain = Plain(studio.catalog, studio.catalog.get("starter"))
            seeds = iter(range(10**6))
            last: list[TextToImageRequest] = []
            wall: tuple[list[float], list[float]] = ([], [])

            def run_ours() -> float:
                request = TextToImageRequest(prompt=PROMPT, seed=next(seeds), model="starter")
                me = psutil.Process()
                started, cpu = time.perf_counter(), cpu_seconds(me) + sum(map(cpu_seconds, me.children(recursive=True)))
                job = studio.jobs.submit("text-to-image", request, source="cli", user="local")
                for event in studio.jobs.events(job.id, user="local"):
                    job = event.job
                assert job.status == "done", job.error
                spent = cpu_seconds(me) + sum(map(cpu_seconds, me.children(recursive=True))) - cpu
                wall[0].append(time.perf_counter() - started)
                last[:] = [TextToImage().prepare(request, studio.catalog)]
                return spent

            def run_plain() -> float:
                started, cpu = time.perf_counter(), time.process_time()
                plain.draw(last[0])
                wall[1].append(time.perf_counter() - started)
                return time.process_time() - cpu

            cpu = alternate(run_ours, run_plain, rounds, warm_up=2)
            return {"cpu": cpu, "wall": [samples[2:] for samples in wall]}
        finally:
            studio.stop()


def rows(measured: dict[str, Any], whole: dict[str, Any]) -> list[Row]:
    def per_second(seconds: list[float]) -> list[float]:
        return [1 / value for value in seconds]

    against = "plain diffusers, same model, sampler, steps, seed"
    return [
        Row(
            f"text to image, {measured['size']}: manager and capability",
            "pictures per CPU second",
            per_second(measured["cpu"][0]),
            per_second(measured["cpu"][1]),
            against,
            higher_is_better=True,
        ),
        Row("the same", "s a picture", measured["wall"][0], measured["wall"][1], against),
        Row("likeness of the two pictures (999 is identical)", "dB PSNR", measured["psnr"], [], ""),
        Row(
            "whole studio: queue, worker process, watermark, PNG, gallery",
            "pictures per CPU second",
            per_second(whole["cpu"][0]),
            per_second(whole["cpu"][1]),
            against,
            "which keeps nothing",
            higher_is_better=True,
        ),
        Row("the same, from submission to finished", "s a picture", whole["wall"][0], whole["wall"][1], against),
    ]
