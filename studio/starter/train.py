"""`python -m studio.starter.train --preset cpu`: makes the starter models, one resumable step after the other.

Steps: art, tokenizer, judge, vae, clip, painter, blip, export, evaluate. Checkpoints and logs lie in
`~/.cache/creative-studio/starter` (`--cache`); a step whose budget is used up is not run again unless it is given more
minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from studio.starter import art, blip, steps
from studio.starter.judge import Judge
from studio.starter.models import clip as build_clip
from studio.starter.models import train_tokenizer
from studio.starter.presets import PRESETS, Preset
from studio.starter.training import averaged, seed
from studio.starter.world import World

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path.home() / ".cache/creative-studio/starter"  # outside the checkout: another one goes on from it
STEPS = ("art", "tokenizer", "judge", "vae", "clip", "painter", "blip", "export", "evaluate")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m studio.starter.train", description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, help="which steps to run (default: all)")
    parser.add_argument("--minutes", type=float, help="training minutes of each named step, over all sittings")
    parser.add_argument("--max-steps", type=int, help="stop each training after so many steps (to try the recipe)")
    parser.add_argument("--scenes", type=int, help="how many scenes to train on")
    parser.add_argument("--batch", type=int, help="examples per training step, for a machine with little memory")
    parser.add_argument("--sprites", type=Path, help="a saved pack of sprites to use instead of the fetched art")
    parser.add_argument("--from-pack", type=Path, help="go on from the weights of this pack where no checkpoint lies")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", help="cpu or cuda (default: the preset's)")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, default=ROOT / "assets/starter")
    args = parser.parse_args(argv)

    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    p = PRESETS[args.preset]
    p = replace(p, device=args.device or p.device, scenes=args.scenes or p.scenes)
    if args.batch:
        p = replace(p, vae_batch=args.batch, clip_batch=args.batch, painter_batch=args.batch, judge_batch=args.batch,
                    blip_batch=args.batch)  # fmt: skip
    cache: Path = args.cache
    work = cache / p.name
    work.mkdir(parents=True, exist_ok=True)

    def minutes(step: str) -> float:
        return args.minutes if args.minutes is not None else p.minutes[step]

    world = World(art.Art.load(args.sprites) if args.sprites else art.load(cache / "art"))
    tokens = work / "tokenizer"
    if args.from_pack:
        begin_with(args.from_pack, p, work)
    if "tokenizer" in args.steps and not (tokens / "vocab.json").exists():
        scenes = (world.scene(i, split="train") for i in range(min(p.scenes, 30_000)))
        train_tokenizer([world.caption(s) for s in scenes], tokens, p.max_tokens)
    if "judge" in args.steps:
        steps.train_judge(p, world, work / "judge", args.out / "judge", minutes("judge"), args.max_steps)
    if not {"vae", "clip", "painter", "blip"} & set(args.steps):
        return finish(args, p, work)

    from transformers import CLIPTokenizer

    promised = World(world.art, p.objects, p.styles)
    pool = steps.make_pool(cache, promised, p.size, p.scenes)
    tokenizer = CLIPTokenizer.from_pretrained(tokens)
    settled = (work / "painter/state.pt").exists()
    if "vae" in args.steps:
        steps.train_vae(p, pool, work / "vae", minutes("vae"), args.max_steps, settled)
    if "clip" in args.steps:
        steps.train_clip(p, pool, tokenizer, work / "clip", minutes("clip"), args.max_steps, settled)
    if "painter" in args.steps:
        latents, scaling = steps.make_latents(p, pool, work / "vae", work / "latents.pt")
        student = averaged(work / "clip", steps.ClipStudent(build_clip(p, tokenizer)))
        steps.train_painter(p, pool, tokenizer, student.clip, latents, scaling, work / "painter",  # type: ignore[arg-type]
                            minutes("painter"), args.max_steps)  # fmt: skip
    if "blip" in args.steps:
        asked = steps.make_pool(cache, promised, p.size, p.scenes, blip.LAYOUTS)
        words = blip.tokenizer(promised, asked.scenes[:3000], work / "blip-tokenizer")
        eyes = averaged(work / "clip", steps.ClipStudent(build_clip(p, tokenizer))).clip.vision_model  # type: ignore[union-attr]
        blip.train_blip(p, asked, words, eyes, work / "blip", minutes("blip"), args.max_steps)  # type: ignore[arg-type]
    finish(args, p, work)


def begin_with(pack: Path, p: Preset, work: Path) -> None:
    """Make the weights of a shipped pack the first checkpoints of `work`."""
    from diffusers import AutoencoderTiny, UNet2DConditionModel
    from transformers import BertTokenizer, CLIPModel, CLIPTokenizer

    if not (work / "tokenizer/vocab.json").exists():
        shutil.copytree(pack / "painter/tokenizer", work / "tokenizer", dirs_exist_ok=True)
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    student = steps.ClipStudent(build_clip(p, tokenizer))
    student.clip.load_state_dict(CLIPModel.from_pretrained(pack / "clip", dtype=torch.float32).state_dict())
    seed(work / "clip", student, p.rates["clip"])
    vae = AutoencoderTiny.from_pretrained(pack / "painter/vae", torch_dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(pack / "painter/unet", torch_dtype=torch.float32)
    seed(work / "vae", vae, p.rates["vae"])
    seed(work / "painter", unet, p.painter_rate)
    if (pack / "vqa").exists():
        words = BertTokenizer.from_pretrained(pack / "vqa")
        words.save_pretrained(work / "blip-tokenizer")
        seed(work / "blip", blip.from_pack(p, pack, words), p.rates["blip"])
    seed(work / "judge", Judge.load(pack / "judge").net, p.rates["judge"])


def finish(args: argparse.Namespace, p: Preset, work: Path) -> None:
    """Write the pack and measure it, where asked for."""
    if "export" in args.steps:
        from studio.starter.export import export

        export(p, work, args.out)
    if "evaluate" in args.steps:
        from studio.starter import evaluate

        evaluate.main(["--pack", str(args.out), "--cache", str(args.cache), "--preset", p.name,
                       *(["--sprites", str(args.sprites)] if args.sprites else [])])  # fmt: skip


if __name__ == "__main__":
    main()
