"""Image to image and inpaint, through manager and capability, against plain diffusers with the same settings."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from PIL import Image, ImageDraw

from benchmarks import harness
from benchmarks.drawing import PROMPT, Quiet, psnr
from benchmarks.harness import Row, alternate, measure_in_child
from studio.capabilities.image_to_image import ImageToImage, ImageToImageRequest
from studio.capabilities.inpaint import Inpaint, InpaintRequest
from studio.drawing.blending import Blend
from studio.drawing.masks import whole_cells
from studio.models.catalog import Catalog
from studio.models.scheduling import build_scheduler
from studio.settings import Settings

SIDE = 256
STRENGTH = 0.75
PICTURE, MASK = "0" * 32, "1" * 32
TASKS = {"image-to-image": "image to image", "inpaint": "inpaint, the whole picture looked at"}


def source() -> Image.Image:
    """A green disc on blue, as large as the starter draws."""
    image = Image.new("RGB", (SIDE, SIDE), (40, 90, 220))
    ImageDraw.Draw(image).ellipse((70, 60, 190, 190), fill=(50, 170, 70))
    return image


def mask() -> Image.Image:
    """White is what changes: a circle around the disc."""
    image = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(image).ellipse((50, 40, 210, 210), fill=255)
    return image


class Editing(Quiet):
    """The context of an edit of `source`."""

    def __init__(self, models: Any, settings: Settings, catalog: Catalog) -> None:
        super().__init__(models, settings, catalog)
        self._mask = settings.data_dir / "mask.png"
        mask().save(self._mask)

    def unmarked(self, id: str, *, alpha: bool = False) -> Image.Image:
        return source()

    def file(self, id: str) -> Path:
        return self._mask


class Plain:
    """What a careful user of diffusers writes: one pipeline of the task, loaded once; same scheduler, same settings."""

    def __init__(self, task: str, catalog: Catalog) -> None:
        import torch
        from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline

        kind = StableDiffusionInpaintPipeline if task == "inpaint" else StableDiffusionImg2ImgPipeline
        self.family = catalog.get("starter")
        self.pipe: Any = kind.from_pretrained(
            catalog.location(self.family.id), torch_dtype=torch.float32, local_files_only=True
        )
        self.pipe.set_progress_bar_config(disable=True)
        self.masked = task == "inpaint"
        if self.masked:
            # It insists on 4 channels or 9, although putting latents back at every step asks for no number.
            self.pipe.unet.register_to_config(in_channels=4)

    def edit(self, request: Any) -> Image.Image:
        import torch

        side = SIDE // self.family.pixel_scale
        self.pipe.scheduler = build_scheduler(request.sampler, self.pipe.scheduler.config)
        more: dict[str, Any] = {}
        if self.masked:
            small = mask().resize((side, side), Image.Resampling.BOX)
            more = {"mask_image": whole_cells(small, self.pipe.vae_scale_factor), "width": side, "height": side}
        picture = self.pipe(
            prompt=request.prompt,
            image=source().resize((side, side), Image.Resampling.LANCZOS),
            strength=request.strength,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance_scale,
            generator=torch.Generator("cpu").manual_seed(request.seed),
            **more,
        ).images[0]
        return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def edited(task: str, rounds: int) -> dict[str, Any]:
    """CPU seconds and seconds a picture of both, same seeds, in one process; and the PSNR between what the models drew,
    before anything is blended."""
    from studio.models.manager import ModelManager

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), device="cpu")
        catalog = Catalog(settings)
        context: Any = Editing(ModelManager(settings, catalog), settings, catalog)
        plain = Plain(task, catalog)
        seeds = iter(range(10**6))
        last: list[Any] = []
        drawn: list[Image.Image] = []
        likeness: list[float] = []
        wall: tuple[list[float], list[float]] = ([], [])

        def request(seed: int) -> Any:
            fields = {"picture": PICTURE, "prompt": PROMPT, "seed": seed, "model": "starter", "strength": STRENGTH}
            if task == "inpaint":
                return Inpaint().prepare(InpaintRequest(**fields, mask=MASK, area="whole"), catalog)
            return ImageToImage().prepare(ImageToImageRequest(**fields), catalog)

        def run_ours() -> float:
            asked = request(next(seeds))
            started, cpu = time.perf_counter(), time.process_time()
            (output,) = (Inpaint() if task == "inpaint" else ImageToImage()).run(asked, context)
            spent = time.process_time() - cpu
            wall[0].append(time.perf_counter() - started)
            last[:] = [asked]
            if task != "inpaint":
                drawn[:] = [output.image]
            return spent

        def run_plain() -> float:
            started, cpu = time.perf_counter(), time.process_time()
            picture = plain.edit(last[0])
            spent = time.process_time() - cpu
            wall[1].append(time.perf_counter() - started)
            likeness.append(min(psnr(drawn[0], picture), 999.0))
            return spent

        finish = Blend.finish

        def watched(blend: Blend, picture: Any, image: Image.Image) -> Any:
            drawn[:] = [image]
            return finish(blend, picture, image)

        with patch.object(Blend, "finish", watched):
            cpu = alternate(run_ours, run_plain, rounds, warm_up=2)
        return {"cpu": cpu, "wall": [samples[2:] for samples in wall], "psnr": likeness}


def rows(quick: bool) -> list[Row]:
    against, found = "plain diffusers, same model, sampler, steps, seed, strength", []
    for task, words in TASKS.items():
        measured = measure_in_child("editing:edited", task=task, rounds=3 if quick else 12)
        ours, other = ([1 / value for value in samples] for samples in measured["cpu"])
        found += [
            Row(
                f"{words}, {SIDE} px, strength {STRENGTH:g}: manager and capability",
                "pictures per CPU second",
                ours,
                other,
                against,
                higher_is_better=True,
            ),
            Row("the same", "s a picture", measured["wall"][0], measured["wall"][1], against),
            Row("likeness of what was drawn, before blending (999 is identical)", "dB PSNR", measured["psnr"], [], ""),
        ]
    return found


def table(found: list[Row]) -> str:
    return harness.table(found)


def as_json(found: list[Row]) -> list[dict[str, Any]]:
    return harness.as_json(found, {})["rows"]
