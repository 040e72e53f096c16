"""The invisible watermark on 200 pictures: how far it moves pixels, what the eye sees of it, and what it survives."""

from __future__ import annotations

import io
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.drawing import Quiet
from benchmarks.harness import ROOT
from studio.starter.colour import delta_e, rgb_to_lab
from studio.trust import watermark

FORMATS = {"JPEG 90": ("JPEG", 90), "JPEG 75": ("JPEG", 75), "JPEG 50": ("JPEG", 50), "WebP 80": ("WEBP", 80)}
PHOTOGRAPHS = (
    "astronaut", "camera", "cell", "chelsea", "clock", "coffee", "coins", "grass", "gravel", "hubble_deep_field",
    "immunohistochemistry", "moon", "page", "retina", "rocket", "stereo_motorcycle",
)  # fmt: skip
"""Those that come inside the package scikit-image; the rest would be fetched."""
PURE = (
    "white", "black", "red", "lime", "blue", "yellow", "cyan", "magenta", "#808080", "#fafafa", "#18181c",
)  # fmt: skip

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Measured:
    """One picture. Levels are those of 0 to 255; colour differences are CIEDE2000."""

    moved: int
    """Most levels by which one channel of one pixel changed."""
    seen: float | None
    """Mean colour difference on flat areas; None where there are none."""
    psnr: float
    writing: float
    reading: float
    """CPU milliseconds."""
    read: dict[str, bool]


def starter(count: int) -> Iterator[Image.Image]:
    """What the starter draws from prompts of its vocabulary, 256 px."""
    from studio.capabilities.text_to_image import TextToImage, TextToImageRequest
    from studio.models.catalog import Catalog
    from studio.models.manager import ModelManager
    from studio.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), device="cpu")
        catalog, painter = Catalog(settings), TextToImage()
        words = json.loads((ROOT / "assets" / "starter" / "vocabulary.json").read_text("utf-8"))
        context: Any = Quiet(ModelManager(settings, catalog), settings, catalog)
        for seed in range(count):
            pick = random.Random(seed).choice
            prompt = f"a {pick(words['objects'])}, {pick(words['styles'])}, {pick(list(words['colours']))} background"
            request = TextToImageRequest(prompt=prompt, seed=seed, model="starter")
            (output,) = painter.run(painter.prepare(request, catalog), context)
            yield output.image


def photographs(count: int) -> Iterator[Image.Image]:
    """Those of scikit-image whole, then square parts of them, at 256 to 480 px."""
    from skimage import data

    whole = [np.asarray(getattr(data, name)()) for name in PHOTOGRAPHS[:-1]] + [data.stereo_motorcycle()[0]]
    pictures = [Image.fromarray(pixels.astype(np.uint8)).convert("RGB") for pixels in whole]
    dice = random.Random(5)
    for index in range(count):
        picture = pictures[index % len(pictures)]
        size = picture.size
        if index < len(pictures):
            scale = 320 / min(size)
            yield picture.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.LANCZOS)
        else:
            side, target = dice.randint(min(size) // 2, min(size)), dice.choice((256, 320, 384, 480))
            left, top = dice.randint(0, size[0] - side), dice.randint(0, size[1] - side)
            yield picture.crop((left, top, left + side, top + side)).resize((target, target), Image.Resampling.LANCZOS)


def flat(count: int) -> Iterator[Image.Image]:
    """Pure colours first, then any, every third with a disc of another."""
    dice = random.Random(6)

    def colour() -> tuple[int, int, int]:
        return dice.randrange(256), dice.randrange(256), dice.randrange(256)

    for index in range(count):
        picture = Image.new("RGB", (256, 256), PURE[index] if index < len(PURE) else colour())
        if index >= len(PURE) and index % 3 == 0:
            ImageDraw.Draw(picture).ellipse((60, 60, 200, 200), fill=colour())
        yield picture


def line_art(count: int) -> Iterator[Image.Image]:
    """Black lines on white, or white on black, with and without smoothed edges."""
    for index in range(count):
        dice = random.Random(index)
        paper, ink = ("black", "white") if index % 4 == 3 else ("white", "black")
        large = Image.new("RGB", (1024, 1024), paper)
        draw = ImageDraw.Draw(large)
        for _ in range(dice.randint(6, 60)):
            points = [(dice.randrange(1024), dice.randrange(1024)) for _ in range(dice.randint(2, 4))]
            width = dice.choice((4, 8, 12))
            if dice.random() < 0.5:
                draw.line(points, fill=ink, width=width)
            else:
                (left, right), (top, bottom) = (sorted(pair) for pair in zip(*points[:2], strict=True))
                draw.ellipse((left, top, right, bottom), outline=ink, width=width)
        yield large.resize((256, 256), Image.Resampling.LANCZOS if index % 2 else Image.Resampling.NEAREST)


KINDS: dict[str, tuple[Callable[[int], Iterator[Image.Image]], int]] = {
    "drawn by the starter": (starter, 60),
    "photographs": (photographs, 60),
    "flat colours": (flat, 40),
    "line art": (line_art, 40),
}


def measure(picture: Image.Image, seed: int) -> Measured:
    key = watermark.make_key(b"benchmark %d" % seed)
    started = time.process_time()
    marked = watermark.embed(picture, key).image
    written = time.process_time()
    read = {"PNG": watermark.read(marked) == key}
    done = time.process_time()
    for name, (format, quality) in FORMATS.items():
        buffer = io.BytesIO()
        marked.save(buffer, format, quality=quality)
        read[name] = watermark.read(Image.open(buffer)) == key
    before, after = np.asarray(picture), np.asarray(marked)
    error = np.mean((before.astype(float) - after) ** 2)
    still = is_flat(before)
    seen = delta_e(rgb_to_lab(before[still]), rgb_to_lab(after[still])) if still.sum() > 400 else None
    return Measured(
        moved=int(np.abs(before.astype(int) - after).max()),
        seen=float(seen.mean()) if seen is not None else None,
        psnr=float(10 * np.log10(255**2 / error)),
        writing=(written - started) * 1e3,
        reading=(done - written) * 1e3,
        read=read,
    )


def is_flat(pixels: Pixels) -> NDArray[np.bool_]:
    """[height, width]: whether the 7 x 7 pixels around differ by no more than 3 levels in any channel."""
    around = np.ones((7, 7), np.uint8)
    spread = cv2.dilate(pixels, around).astype(int) - cv2.erode(pixels, around)
    return spread.max(-1) <= 3


def rows(quick: bool) -> dict[str, list[Measured]]:
    measured: dict[str, list[Measured]] = {}
    for name, (make, count) in KINDS.items():
        measured[name] = [measure(picture, seed) for seed, picture in enumerate(make(8 if quick else count))]
    return measured


def as_json(measured: dict[str, list[Measured]]) -> dict[str, Any]:
    everything = [each for some in measured.values() for each in some]
    return {name: summary(some) for name, some in {**measured, "all": everything}.items()}


def summary(some: list[Measured]) -> dict[str, Any]:
    """What a line of the table says of ``some`` pictures; shares in 0..1."""
    seen = [each.seen for each in some if each.seen is not None]
    return {
        "pictures": len(some),
        "moved": max(each.moved for each in some),
        "seen": round(statistics.mean(seen), 3),
        "seen_worst": round(max(seen), 3),
        "psnr": round(statistics.median(each.psnr for each in some), 1),
        "writing": round(statistics.median(each.writing for each in some), 2),
        "reading": round(statistics.median(each.reading for each in some), 2),
        "read": {name: sum(each.read[name] for each in some) / len(some) for name in ("PNG", *FORMATS)},
    }


def table(measured: dict[str, list[Measured]]) -> str:
    formats = ["PNG", *FORMATS]
    lines = [
        "| pictures | most levels a pixel moved | mean CIEDE2000 on flat areas (worst picture) | PSNR, dB | "
        "CPU ms to write, to read | " + " | ".join(f"read from {name}" for name in formats) + " |",
        "| --- " * (5 + len(formats)) + "|",
    ]
    for name, row in as_json(measured).items():
        lines.append(
            f"| {row['pictures']} {name} | {row['moved']} | {row['seen']:.2f} ({row['seen_worst']:.2f}) | "
            f"{row['psnr']} | {row['writing']:.1f}, {row['reading']:.1f} | "
            + " | ".join(f"{row['read'][format]:.1%}" for format in formats)
            + " |"
        )
    return "\n".join(lines)
