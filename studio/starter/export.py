# transformers, diffusers and Pillow type these calls wider than they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOperatorIssue=false
"""Writes the pack that the studio ships: plain diffusers and transformers folders in half precision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPImageProcessor, CLIPModel, CLIPTextModel, CLIPTokenizer

from studio.starter import models, vocabulary
from studio.starter.blip import export_blip
from studio.starter.presets import Preset
from studio.starter.steps import ClipStudent
from studio.starter.training import averaged

SHARD = "9MB"  # many hosts refuse large files in a plain repository


def say_single(folder: Path) -> None:
    """Let `folder/config.json` ask for single precision: transformers would otherwise load the stored halves as they
    are, beside diffusers' parts, which it loads in single."""
    path = folder / "config.json"
    stated = json.loads(path.read_text(encoding="utf-8")) | {"dtype": "float32"}
    path.write_text(json.dumps(stated, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def text_model(clip: CLIPModel) -> CLIPTextModel:
    """The text tower alone, as the painter's pipeline wants it."""
    text = CLIPTextModel(clip.config.text_config)
    wanted = text.state_dict()
    tower = {k.removeprefix("text_model."): v for k, v in clip.state_dict().items() if k.startswith("text_model.")}
    text.load_state_dict({k: tower[k.removeprefix("text_model.")] for k in wanted})
    return text


def pipeline(
    vae: AutoencoderTiny, unet: UNet2DConditionModel, clip: CLIPModel, tokenizer: CLIPTokenizer, scaling: float
) -> StableDiffusionPipeline:
    """The parts as one pipeline; `scaling` gives the latents unit variance."""
    vae.register_to_config(scaling_factor=round(scaling, 5))
    return StableDiffusionPipeline(
        vae=vae, text_encoder=text_model(clip), tokenizer=tokenizer, unet=unet, scheduler=models.scheduler(),  # type: ignore[arg-type]
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,  # type: ignore[arg-type]
    )  # fmt: skip


def export(p: Preset, work: Path, out: Path) -> None:
    """Write painter, clip and vocabulary of the averaged weights in `work` to `out`."""
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    clip: CLIPModel = averaged(work / "clip", ClipStudent(models.clip(p, tokenizer))).clip  # type: ignore[assignment]
    vae = averaged(work / "vae", models.vae(p))
    unet = averaged(work / "painter", models.unet(p))
    scaling = torch.load(work / "latents.pt", weights_only=True, mmap=True)["scaling"]
    painter, fresh = out / "painter", out / "painter.new"
    shutil.rmtree(fresh, ignore_errors=True)
    pipe = pipeline(vae, unet, clip, tokenizer, scaling)  # type: ignore[arg-type]
    pipe.to(torch.float16).save_pretrained(fresh, safe_serialization=True, max_shard_size=SHARD)
    say_single(fresh / "text_encoder")
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(work / "tokenizer" / name, fresh / "tokenizer" / name)
    shutil.rmtree(painter, ignore_errors=True)
    fresh.rename(painter)

    folder = out / "clip"
    shutil.rmtree(folder, ignore_errors=True)
    clip.half().save_pretrained(folder, max_shard_size=SHARD)
    say_single(folder)
    shutil.copytree(work / "tokenizer", folder, dirs_exist_ok=True)
    CLIPImageProcessor(
        size={"shortest_edge": p.size}, crop_size={"height": p.size, "width": p.size}, do_convert_rgb=True
    ).save_pretrained(folder)
    if (work / "blip/state.pt").exists():
        export_blip(p, work, out, SHARD)
        for name in ("vqa", "caption"):
            say_single(out / name)
    write_vocabulary(out, p.size)


def write_vocabulary(out: Path, size: int, **changes: Any) -> None:
    path = out / "vocabulary.json"
    path.write_text(json.dumps(vocabulary.as_json(size, **changes), indent=1) + "\n", encoding="utf-8")
