# transformers, diffusers and Pillow type these calls wider than they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
"""`python -m studio.starter.doubt`: teaches the pack to notice a picture that is not of its world.

A linear rule over what the pack's CLIP makes of a picture (`DualEncoder.texture`): on one side scenes of the world,
the painter's own pictures, and scenes as JPEG and scaling leave them; on the other made pictures that have the
statistics of photographs: noise whose power falls with frequency, and dead leaves (overlapping shaded and textured
shapes). No photograph is learned from, so that all photographs can tell how well it works.
"""

from __future__ import annotations

import argparse
import io
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from safetensors.numpy import save_file

from studio.models.catalog import Catalog
from studio.models.encoders import DualEncoder
from studio.reading.doubt import FILE, Doubt, doubt_of
from studio.settings import Settings
from studio.starter import art, vocabulary
from studio.starter.steps import FIRST_TEST_SEED
from studio.starter.world import World

ROOT = Path(__file__).resolve().parents[2]
SIDE = 128
RIDGE = 1e-3
DOUBTED = 0.012
"""Share of each kind of known pictures that may be doubted when the rule is set; the bar for others is 0.02."""


def make(pack: Path, world: World, drawn: Sequence[Image.Image], scenes: int = 3000) -> dict[str, float]:
    """Write ``pack/clip/doubt.safetensors``; returns which shares of unseen scenes and drawn pictures it doubts.

    Half of ``drawn`` is learned from, the other half measured.
    """
    reader = reader_of(pack)
    first = FIRST_TEST_SEED
    dice = random.Random(0)
    known = [
        seen(reader, (world.picture(world.scene(seed, split="train"), 256) for seed in range(scenes))),
        seen(reader, (worn(world.picture(world.scene(seed, split="train"), 256), dice) for seed in range(scenes // 5))),
        seen(reader, drawn[::2]),
    ]
    others = seen(reader, (unlike(seed) for seed in range(scenes * 4 // 5)))
    held_out = [seen(reader, (world.picture(world.scene(first + seed, split="held_out"), 256)
                              for seed in range(start, start + scenes // 4))) for start in (0, 100_000)]  # fmt: skip
    rule = learn(np.concatenate(known), others)
    scores = [(each - rule.centre) @ rule.weight for each in (held_out[0], *known[1:])]
    bias = -max(float(np.quantile(each, 1 - DOUBTED)) for each in scores)
    kept = {"centre": rule.centre, "weight": rule.weight, "bias": np.array([bias], np.float32)}
    save_file(kept, pack / "clip" / FILE)
    rule = Doubt(rule.centre, rule.weight, bias)
    return {
        "scenes": float(rule.outside(held_out[1]).mean()),
        "drawn": float(rule.outside(seen(reader, drawn[1::2])).mean()),
    }


def learn(known: NDArray[np.float32], others: NDArray[np.float32]) -> Doubt:
    """Ridge regression to -1 and 1, both sides weighing the same; its bias is still open."""
    both = np.concatenate([known, others]).astype(np.float64)
    centre, scale = both.mean(0), both.std(0) + 1e-4
    side = np.concatenate([np.full(len(known), -1.0), np.full(len(others), 1.0)])
    weigh = np.concatenate([np.full(len(known), 0.5 / len(known)), np.full(len(others), 0.5 / len(others))])
    z = np.column_stack([(both - centre) / scale, np.ones(len(both))])
    squares = (z * weigh[:, None]).T @ z + RIDGE * np.eye(z.shape[1])
    weight = np.linalg.solve(squares, (z * weigh[:, None]).T @ side)[:-1] / scale
    return Doubt(centre.astype(np.float32), weight.astype(np.float32), 0.0)


def seen(reader: DualEncoder, pictures: Iterable[Image.Image]) -> NDArray[np.float32]:
    """What the CLIP makes of them [n, d], 64 open at a time."""
    found, waiting = [], []
    for picture in pictures:
        waiting.append(picture)
        if len(waiting) == 64:
            found.append(reader.texture(waiting))
            waiting = []
    if waiting:
        found.append(reader.texture(waiting))
    return np.concatenate(found)


def reader_of(pack: Path) -> DualEncoder:
    catalog = Catalog(Settings(starter_dir=pack))
    reader: Any = DualEncoder.load(catalog.get("starter-clip"), pack / "clip", torch.float32)
    return reader


def worn(picture: Image.Image, dice: random.Random) -> Image.Image:
    """As files are that were passed on: JPEG of 60 to 90, another size."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=dice.choice((60, 75, 90)))
    side = dice.choice((96, 128, 200, 256))
    return Image.open(buffer).convert("RGB").resize((side, side))


def unlike(seed: int) -> Image.Image:
    """A picture [128 x 128] with the statistics of photographs, of nothing."""
    dice = np.random.default_rng(seed)
    pixels = noise(dice, dice.uniform(0.3, 2.5)) if seed % 4 == 0 else leaves(dice)
    if dice.random() < 0.3:
        pixels = pixels.mean(-1, keepdims=True).repeat(3, 2)
    if dice.random() < 0.3:  # light falls off from somewhere
        down, across = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
        far = np.hypot(across - dice.uniform(-0.5, 0.5), down - dice.uniform(-0.5, 0.5))
        pixels = pixels * np.clip(1.2 - dice.uniform(0.3, 1.2) * far, 0, 1)[..., None]
    picture = Image.fromarray(pixels.astype(np.uint8))
    return picture.filter(ImageFilter.GaussianBlur(dice.uniform(0.3, 2))) if dice.random() < 0.6 else picture


def noise(dice: np.random.Generator, fall: float) -> NDArray[np.float64]:
    """[128, 128, 3] in 0..255: power falls with frequency to the power ``fall``, more or less grey."""
    line = np.fft.fftfreq(SIDE)
    far = np.hypot(*np.meshgrid(line, line))
    far[0, 0] = 1
    planes = [np.fft.ifft2(np.fft.fft2(dice.standard_normal((SIDE, SIDE))) / far**fall).real for _ in range(3)]
    grey = dice.uniform(0, 1)
    pixels = np.stack([grey * planes[0] + (1 - grey) * plane for plane in planes], -1)
    pixels = (pixels - pixels.mean((0, 1))) / (pixels.std((0, 1)) + 1e-9)
    return np.clip(dice.uniform(60, 200, 3) + pixels * dice.uniform(15, 70, 3), 0, 255)


def leaves(dice: np.random.Generator) -> NDArray[np.float64]:
    """[128, 128, 3] in 0..255: shapes of all sizes that lie over one another on noise."""
    pixels = noise(dice, dice.uniform(0.8, 2))
    down, across = np.mgrid[:SIDE, :SIDE]
    for _ in range(int(dice.integers(5, 150))):
        small = dice.random() < 0.8
        radius = SIDE * (0.5 * min(1, 0.03 / dice.uniform(0.02, 1) ** 0.7) if small else dice.uniform(0.2, 0.6))
        x, y = dice.uniform(-0.1, 1.1, 2) * SIDE
        turn, flat = dice.uniform(0, np.pi), dice.uniform(0.2, 1)
        u = (across - x) * np.cos(turn) + (down - y) * np.sin(turn)
        v = (down - y) * np.cos(turn) - (across - x) * np.sin(turn)
        box = np.maximum(abs(u), abs(v) / flat) < radius * 0.8
        inside = box if dice.random() < 0.4 else u * u + (v / flat) ** 2 < radius * radius
        colour = dice.uniform(0, 255, 3) if dice.random() < 0.5 else dice.uniform(0, 255) + dice.uniform(-25, 25, 3)
        shade = (u / (radius + 1) * dice.uniform(-40, 40))[..., None]
        textured = dice.random() < 0.15
        cover = noise(dice, dice.uniform(0.5, 2.2)) * 0.5 + colour * 0.5 if textured else colour + shade
        pixels = np.where(inside[..., None], cover, pixels)
    return np.clip(pixels, 0, 255)


def draw(pack: Path, count: int) -> list[Image.Image]:
    """What the pack's painter makes of its own vocabulary, 256 px."""
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(pack / "painter", local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    words = json.loads((pack / "vocabulary.json").read_text(encoding="utf-8"))
    chosen, made = words["default"], []
    for seed in range(count):
        pick = random.Random(seed).choice
        prompt = f"a {pick(words['styles'])} {pick(words['objects'])} on a {pick(list(words['colours']))} background"
        result: Any = pipe(prompt, num_inference_steps=chosen["steps"], guidance_scale=chosen["guidance"],
                           generator=torch.Generator().manual_seed(seed))  # fmt: skip
        made.append(result.images[0].resize((256, 256), Image.Resampling.LANCZOS))
    return made


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m studio.starter.doubt", description=__doc__)
    parser.add_argument("--pack", type=Path, default=ROOT / "assets/starter")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/creative-studio/starter")
    parser.add_argument("--drawn", type=int, default=400, help="pictures that the painter makes")
    parser.add_argument("--scenes", type=int, default=3000)
    args = parser.parse_args(argv)
    world = World(art.load(args.cache / "art"), vocabulary.PROMISED, vocabulary.PROMISED_STYLES, free=False)
    print(json.dumps(make(args.pack, world, draw(args.pack, args.drawn), args.scenes)))
    assert doubt_of(args.pack / "clip")


if __name__ == "__main__":
    main()
