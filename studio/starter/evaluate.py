# transformers, diffusers and Pillow type these calls wider than they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOperatorIssue=false
"""`python -m studio.starter.evaluate`: measures the shipped pack and writes docs/starter-models.md.

Every prompt holds a combination (object, style and background, or pair of objects) that no model trained on. The
judge is a separate classifier trained on sprites alone; what it scores on true scenes bounds what it can say of
drawings, so those figures stand beside.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw

from studio.starter import art, vocabulary
from studio.starter.colour import delta_e, rgb_to_lab
from studio.starter.judge import Judge
from studio.starter.rate import Rate, prompt
from studio.starter.steps import FIRST_TEST_SEED, sprite_scene
from studio.starter.world import Layout, Scene, World

ROOT = Path(__file__).resolve().parents[2]
COUNTS: dict[Layout, int] = {"single": 228, "left_right": 60, "above_below": 60, "large_small": 40, "count": 40}


def held_out_scenes(world: World) -> list[Scene]:
    """The scenes asked for: every object equally often alone, then pairs and counts."""
    scenes: list[Scene] = []
    seed = FIRST_TEST_SEED
    often: dict[str, int] = {}
    for layout, wanted in COUNTS.items():
        found = 0
        while found < wanted:
            seed += 1
            scene = world.scene(seed, layout, split="held_out")
            name = scene.objects[0].name
            if layout == "single" and often.get(name, 0) >= math.ceil(wanted / len(world.names)):
                continue
            often[name] = often.get(name, 0) + (layout == "single")
            scenes.append(scene)
            found += 1
    return scenes


def things(image: Image.Image) -> list[tuple[tuple[int, int, int, int], int]]:
    """The connected things that stand out from the rim's colour: (box, pixels), largest first, specks left out."""
    pixels = np.asarray(image.convert("RGB"))
    rim = np.concatenate([pixels[:2].reshape(-1, 3), pixels[-2:].reshape(-1, 3), pixels[:, :2].reshape(-1, 3),
                          pixels[:, -2:].reshape(-1, 3)])  # fmt: skip
    away = delta_e(rgb_to_lab(pixels), rgb_to_lab(np.median(rim, axis=0))) > 12
    closed = cv2.dilate(away.astype(np.uint8), np.ones((3, 3), np.uint8))
    number, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    found = []
    for i in range(1, number):
        area = int(((labels == i) & away).sum())
        if area >= 0.012 * away.size:
            x, y, w, h = (int(v) for v in stats[i, :4])
            found.append(((x, y, x + w, y + h), area))
    return sorted(found, key=lambda t: -t[1])


def _crop(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """The box on a square of the picture's own background, with some room around."""
    pixels = np.asarray(image)
    ground = tuple(int(v) for v in np.median(np.concatenate([pixels[0], pixels[-1]]), axis=0))
    w, h = box[2] - box[0], box[3] - box[1]
    side = round(max(w, h) * 1.2) + 2
    canvas = Image.new("RGB", (side, side), ground)
    canvas.paste(image.crop(box), ((side - w) // 2, (side - h) // 2))
    return canvas


def layout_right(image: Image.Image, scene: Scene, judge: Judge) -> bool:
    """Both objects recognised (top-1), each where it was asked for; for counts, the right number of the object."""
    names = [o.name for o in scene.objects]
    w, h = image.size

    def best(box: tuple[int, int, int, int]) -> str:
        """What the things in this part of the picture are, taken together."""
        part = image.crop(box)
        boxes = [b for b, _ in things(part)]
        if not boxes:
            return ""
        left, top, right, bottom = zip(*boxes, strict=True)
        return judge.look(_crop(part, (min(left), min(top), max(right), max(bottom)))).objects[0][0]

    if scene.layout == "left_right":
        return best((0, 0, w // 2, h)) == names[0] and best((w // 2, 0, w, h)) == names[1]
    if scene.layout == "above_below":
        return best((0, 0, w, h // 2)) == names[0] and best((0, h // 2, w, h)) == names[1]
    found = things(image)
    if scene.layout == "count":
        if len(found) != len(names):
            return False
        return sum(best(box) == names[0] for box, _ in found) * 2 > len(names)
    if len(found) < 2:
        return False
    (first, a), (second, b) = found[:2]
    return a > 1.5 * b and best(first) == names[0] and best(second) == names[1]


def score(images: list[Image.Image], scenes: list[Scene], judge: Judge) -> dict[str, Rate]:
    """Every rate, from pictures and from what was asked for."""
    rates: dict[str, list[bool]] = {}
    singles = [(i, s) for i, s in zip(images, scenes, strict=True) if s.layout == "single"]
    objects, styles = judge.scores([i for i, _ in singles])
    for (_, scene), o, s in zip(singles, objects, styles, strict=True):
        order = o.argsort(descending=True).tolist()
        wanted = judge.names.index(scene.objects[0].name)
        rates.setdefault("top1", []).append(order[0] == wanted)
        rates.setdefault("top5", []).append(wanted in order[:5])
        rates.setdefault("style", []).append(judge.styles[int(s.argmax())] == scene.style)
    for image, scene in zip(images, scenes, strict=True):
        rates.setdefault("colour", []).append(judge.background(image)[0] == scene.background)
        if scene.layout != "single":
            right = layout_right(image, scene, judge)
            rates.setdefault(scene.layout, []).append(right)
            if scene.layout != "count":
                rates.setdefault("layout", []).append(right)
    return {k: Rate(sum(v), len(v)) for k, v in rates.items()}


def draw(pipe: Any, prompts: list[str], seeds: list[int], steps: int, guidance: float, batch: int = 16
         ) -> list[Image.Image]:  # fmt: skip
    """Pictures at the native size, one seeded generator each."""
    images: list[Image.Image] = []
    for start in range(0, len(prompts), batch):
        generators = [torch.Generator("cpu").manual_seed(s) for s in seeds[start : start + batch]]
        images += pipe(prompts[start : start + batch], num_inference_steps=steps, guidance_scale=guidance,
                       generator=generators).images  # fmt: skip
    return images


def load_pipe(pack: Path) -> Any:
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(pack / "painter", torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def load_seconds(pack: Path) -> float:
    """Seconds to load the pipeline in a fresh process, imports left out."""
    code = (
        "import sys, time, torch\nfrom diffusers import StableDiffusionPipeline\n"
        "t = time.perf_counter()\nStableDiffusionPipeline.from_pretrained(sys.argv[1], torch_dtype=torch.float32)\n"
        "print(time.perf_counter() - t)"
    )
    command = [sys.executable, "-c", code, str(pack / "painter")]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def picture_seconds(pipe: Any, steps: int, guidance: float, n: int = 15) -> list[float]:
    times = []
    for i in range(n + 2):
        start = time.perf_counter()
        draw(pipe, ["a red apple on a blue background"], [i], steps, guidance)
        times.append(time.perf_counter() - start)
    return times[2:]


def sheet(images: list[Image.Image], captions: list[str], columns: int = 8, size: int = 128) -> Image.Image:
    """Pictures in a grid with what was asked for below each."""
    rows, strip = -(-len(images) // columns), 26
    out = Image.new("RGB", (columns * (size + 8) + 8, rows * (size + strip + 8) + 8), "white")
    pen = ImageDraw.Draw(out)
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = 8 + (i % columns) * (size + 8), 8 + (i // columns) * (size + strip + 8)
        out.paste(image.resize((size, size), Image.Resampling.LANCZOS), (x, y))
        words, line, lines = caption.split(), "", []
        for word in words:
            if pen.textlength(f"{line} {word}") > size:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        for k, text in enumerate([*lines, line][:2]):
            pen.text((x, y + size + 1 + 12 * k), text, fill="black")
    return out


def judge_accuracy(judge: Judge, world: World, n: int = 1000) -> dict[str, Rate]:
    """The judge on real sprites over colour gradients that its training never showed."""
    rng = random.Random("judge-test")
    rows = [sprite_scene(world, rng, 64, held_back=True) for _ in range(n)]
    objects, styles = judge.scores([r[0] for r in rows])
    return {
        "top1": Rate(sum(int(o.argmax()) == r[1] for o, r in zip(objects, rows, strict=True)), n),
        "top5": Rate(sum(r[1] in o.topk(5).indices.tolist() for o, r in zip(objects, rows, strict=True)), n),
        "style": Rate(sum(int(s.argmax()) == r[2] for s, r in zip(styles, rows, strict=True)), n),
    }


@torch.no_grad()
def vae_psnr(pipe: Any, world: World, n: int = 200) -> float:
    """Mean PSNR in dB of pictures through the autoencoder, held-out scenes."""
    size = pipe.unet.config.sample_size * pipe.vae_scale_factor
    pictures = [world.picture(world.scene(FIRST_TEST_SEED + i, split="held_out"), size) for i in range(n)]
    x = torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2).float() / 127.5 - 1
    y = pipe.vae(x).sample.clamp(-1, 1)
    return float((10 * torch.log10(4 / (x - y).square().mean((1, 2, 3)))).mean())


def machine() -> str:
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        name = next(
            (x.split(":")[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")), name
        )
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def sampler_sheet(pipe: Any, steps: int, guidance: float) -> tuple[list[Image.Image], list[str]]:
    """One prompt and seed under every sampler that the studio offers."""
    import diffusers

    classes: list[tuple[str, dict[str, Any]]] = [
        ("DDPMScheduler", {}), ("DDIMScheduler", {}), ("PNDMScheduler", {}), ("EulerDiscreteScheduler", {}),
        ("EulerAncestralDiscreteScheduler", {}), ("HeunDiscreteScheduler", {}), ("DPMSolverMultistepScheduler", {}),
        ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}), ("UniPCMultistepScheduler", {}),
        ("LCMScheduler", {}),
    ]  # fmt: skip
    shipped, images, names = pipe.scheduler, [], []
    for name, extra in classes:
        pipe.scheduler = getattr(diffusers, name).from_config(shipped.config, **extra)
        count = 2 * steps if name in ("DDPMScheduler", "EulerAncestralDiscreteScheduler") else steps
        images += draw(pipe, ["a sticker of a carrot on a green background"], [7], count, guidance)
        names.append(name.removesuffix("Scheduler") + (" Karras" if extra else ""))
    pipe.scheduler = shipped
    return images, names


def table(rates: dict[str, Rate]) -> dict[str, Any]:
    return {k: {**asdict(r), "value": round(r.value, 4), "interval": [round(v, 4) for v in r.interval()]}
            for k, r in rates.items()}  # fmt: skip


def measure(pack: Path, world: World, docs: Path) -> dict[str, Any]:
    """The painter's figures; writes the sheets beside the document."""
    judge = Judge.load(pack / "judge")
    pipe = load_pipe(pack)
    chosen = json.loads((pack / "vocabulary.json").read_text(encoding="utf-8"))["default"]
    steps, guidance = chosen["steps"], chosen["guidance"]
    scenes = held_out_scenes(world)
    rng = random.Random("prompts")
    prompts = [prompt(s, rng) for s in scenes]
    images = draw(pipe, prompts, [s.seed % 2**31 for s in scenes], steps, guidance)
    truth = [world.picture(s, images[0].width) for s in scenes]
    drawn, bound = score(images, scenes, judge), score(truth, scenes, judge)

    folder = docs / "starter"
    folder.mkdir(parents=True, exist_ok=True)
    shown = random.Random(5).sample(range(COUNTS["single"]), 48)
    extra = random.Random(6).sample(range(COUNTS["single"], len(scenes)), 32)
    sheet([images[i] for i in shown], [prompts[i] for i in shown]).save(folder / "sheet.png", optimize=True)
    sheet([images[i] for i in extra], [prompts[i] for i in extra]).save(folder / "sheet-layouts.png", optimize=True)
    examples = list(vocabulary.PROMPT_EXAMPLES)
    sheet(draw(pipe, examples, list(range(len(examples))), steps, guidance), examples).save(
        folder / "sheet-examples.png", optimize=True
    )
    sheet(*sampler_sheet(pipe, max(steps, 20), guidance), columns=5).save(folder / "sheet-samplers.png", optimize=True)

    figures: dict[str, Any] = {
        "settings": chosen,
        "native_size": images[0].width,
        "painter": table(drawn),
        "true_scenes": table(bound),
        "judge_on_sprites": table(judge_accuracy(judge, world)),
        "vae_psnr_db": round(vae_psnr(pipe, world), 2),
        "parameters_millions": {
            k: round(sum(p.numel() for p in getattr(pipe, k).parameters()) / 1e6, 2)
            for k in ("unet", "vae", "text_encoder")
        },
        "prompts": len(scenes),
    }
    torch.set_num_threads(min(2, os.cpu_count() or 2))
    seconds = picture_seconds(pipe, steps, guidance)
    median, worst = round(statistics.median(seconds), 3), round(max(seconds), 3)
    figures["seconds_per_picture"] = {"median": median, "worst": worst, "n": len(seconds)}
    figures["load_seconds"] = round(statistics.median(load_seconds(pack) for _ in range(3)), 2)
    figures["machine"] = machine()
    return figures


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m studio.starter.evaluate", description=__doc__)
    parser.add_argument("--pack", type=Path, default=ROOT / "assets/starter")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/creative-studio/starter")
    parser.add_argument("--sprites", type=Path, help="a saved pack of sprites to use instead of the fetched art")
    parser.add_argument("--preset", default="cpu", help="whose training logs are drawn")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 2), help="for drawing; timing takes 2")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--only", choices=("painter", "understanding"), help="keep the other half's figures")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    from studio.starter import exam, report

    sprites = art.Art.load(args.sprites) if args.sprites else art.load(args.cache / "art")
    # The shipped pack is measured on the world that it was trained on.
    world = World(sprites, vocabulary.PROMISED, vocabulary.PROMISED_STYLES, free=False)
    figures = json.loads((args.pack / "metrics.json").read_text(encoding="utf-8")) if args.only else {}
    if args.only != "understanding":
        figures |= measure(args.pack, world, args.docs)
    if args.only != "painter":
        figures["understanding"] = table(exam.figures(args.pack, world))
    report.write(figures, args.pack, args.cache / args.preset, args.docs)
    for key in ("colour", "top1", "top5", "style", "layout"):
        drawn, bound = (100 * figures[of][key]["value"] for of in ("painter", "true_scenes"))
        print(f"{key}: {drawn:.1f} % (true scenes {bound:.1f} %)")
    for key, row in figures["understanding"].items():
        print(f"{key}: {100 * row['value']:.1f} %")


if __name__ == "__main__":
    main()
