"""Tiny checkpoints in the original single-file layout, with random weights of the true classes, and the diffusers
folders whose configs they are drawn with. Text widths are the real ones, because a checkpoint is told by them."""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModelWithProjection

from studio.models.families import COMPLETE
from studio.settings import Settings
from tests import tiny

Tensors = dict[str, torch.Tensor]
FOUR = (16, 16, 16, 16)
LEVELS: dict[str, Any] = {
    "layers_per_block": 2,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}


def _vae() -> Any:
    return tiny.vae(block_out_channels=FOUR, layers_per_block=2, sample_size=256)


def _classic(width: int, scheduler: Any, **more: Any) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=tiny.clip_text(width=width),
        tokenizer=tiny.clip_tokenizer(),
        unet=tiny.unet(width=width, channels=FOUR, **LEVELS, **more),
        scheduler=scheduler,
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )


def _sdxl() -> StableDiffusionXLPipeline:
    levels: dict[str, Any] = {
        "layers_per_block": 2,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": [1, 1, 1],
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 1280 + 6 * 8,
    }
    return StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=tiny.clip_text(width=768),
        text_encoder_2=tiny.clip_text(CLIPTextModelWithProjection, width=1280, seed=5),
        tokenizer=tiny.clip_tokenizer(),
        tokenizer_2=tiny.clip_tokenizer(),
        unet=tiny.unet(width=2048, channels=(16, 16, 16), **levels),
        scheduler=EulerDiscreteScheduler(**tiny.SD_BETAS, steps_offset=1),  # type: ignore[arg-type]
    )


BUILDERS: dict[str, Any] = {
    "sd15": lambda: _classic(768, PNDMScheduler(**tiny.SD_BETAS, skip_prk_steps=True, steps_offset=1)),
    "sd21": lambda: _classic(
        1024,
        DDIMScheduler(**tiny.SD_BETAS, **tiny.SD_STEPS, prediction_type="v_prediction"),
        use_linear_projection=True,
    ),
    "sdxl": _sdxl,
}


@functools.cache
def donor(id: str) -> Path:
    """The diffusers folder of family ``id``; shared, so never write into it."""
    root = Path(tempfile.mkdtemp(prefix=f"donor-{id}-"))
    BUILDERS[id]().save_pretrained(root, safe_serialization=True)
    return root


def place(id: str, settings: Settings) -> None:
    """Put the folder where the catalogue looks for the downloaded family ``id``."""
    target = settings.models_dir / id
    shutil.copytree(donor(id), target)
    (target / COMPLETE).write_text('{"revision": ""}')


@functools.cache
def tensors(id: str) -> Tensors:
    """All tensors of a whole checkpoint of family ``id``, in half precision; make a dict of your own before changes."""
    root = donor(id)
    found = {
        **_unet(load_file(root / "unet" / "diffusion_pytorch_model.safetensors")),
        **_autoencoder(load_file(root / "vae" / "diffusion_pytorch_model.safetensors")),
    }
    text = load_file(root / "text_encoder" / "model.safetensors")
    if id == "sd15":
        found |= _clip(text, "cond_stage_model.transformer.")
    elif id == "sd21":
        found |= _openclip(text, "cond_stage_model.model.")
    else:
        found |= _clip(text, "conditioner.embedders.0.transformer.")
        second = load_file(root / "text_encoder_2" / "model.safetensors")
        found |= _openclip(second, "conditioner.embedders.1.model.")
    return {key: value.half().contiguous() for key, value in found.items()}


def save(file: Path, found: Tensors, **metadata: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.clone().contiguous() for key, value in found.items()}, file, metadata=metadata or None)
    return file


def widened(found: Tensors, channels: int) -> Tensors:
    """With so many input channels: 9 as inpainting checkpoints have, 8 as those that edit."""
    key = "model.diffusion_model.input_blocks.0.0.weight"
    kernel = found[key]
    more = torch.zeros(kernel.shape[0], channels - kernel.shape[1], 3, 3, dtype=kernel.dtype)
    return {**found, key: torch.cat([kernel, more], 1)}


def without(found: Tensors, start: str) -> Tensors:
    return {key: value for key, value in found.items() if not key.startswith(start)}


_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def _unet(state: Tensors) -> Tensors:
    def resnet(key: str) -> str:
        for new, old in _RESNET.items():
            key = key.replace(new, old)
        return key

    rules: list[tuple[str, Any]] = [
        (r"time_embedding\.linear_(\d)\.(.*)", lambda m: f"time_embed.{(int(m[1]) - 1) * 2}.{m[2]}"),
        (r"add_embedding\.linear_(\d)\.(.*)", lambda m: f"label_emb.0.{(int(m[1]) - 1) * 2}.{m[2]}"),
        (r"conv_in\.(.*)", lambda m: f"input_blocks.0.0.{m[1]}"),
        (r"conv_norm_out\.(.*)", lambda m: f"out.0.{m[1]}"),
        (r"conv_out\.(.*)", lambda m: f"out.2.{m[1]}"),
        (
            r"down_blocks\.(\d)\.resnets\.(\d)\.(.*)",
            lambda m: f"input_blocks.{3 * int(m[1]) + int(m[2]) + 1}.0.{resnet(m[3])}",
        ),
        (
            r"down_blocks\.(\d)\.attentions\.(\d)\.(.*)",
            lambda m: f"input_blocks.{3 * int(m[1]) + int(m[2]) + 1}.1.{m[3]}",
        ),
        (
            r"down_blocks\.(\d)\.downsamplers\.0\.conv\.(.*)",
            lambda m: f"input_blocks.{3 * (int(m[1]) + 1)}.0.op.{m[2]}",
        ),
        (r"mid_block\.resnets\.(\d)\.(.*)", lambda m: f"middle_block.{int(m[1]) * 2}.{resnet(m[2])}"),
        (r"mid_block\.attentions\.0\.(.*)", lambda m: f"middle_block.1.{m[1]}"),
        (
            r"up_blocks\.(\d)\.resnets\.(\d)\.(.*)",
            lambda m: f"output_blocks.{3 * int(m[1]) + int(m[2])}.0.{resnet(m[3])}",
        ),
        (
            r"up_blocks\.(\d)\.attentions\.(\d)\.(.*)",
            lambda m: f"output_blocks.{3 * int(m[1]) + int(m[2])}.1.{m[3]}",
        ),
        (
            r"up_blocks\.(\d)\.upsamplers\.0\.(.*)",
            lambda m: f"output_blocks.{3 * int(m[1]) + 2}.{1 + (f'up_blocks.{m[1]}.attentions' in joined)}.{m[2]}",
        ),
    ]
    joined = "\n".join(state)
    found = {}
    for key, value in state.items():
        [name] = [make(match) for rule, make in rules if (match := re.fullmatch(rule, key))]
        found["model.diffusion_model." + name] = value
    return found


def _autoencoder(state: Tensors) -> Tensors:
    found = {}
    for key, value in state.items():
        name = re.sub(r"encoder\.down_blocks\.(\d)\.resnets\.(\d)\.", r"encoder.down.\1.block.\2.", key)
        name = re.sub(r"encoder\.down_blocks\.(\d)\.downsamplers\.0\.", r"encoder.down.\1.downsample.", name)
        name = re.sub(
            r"decoder\.up_blocks\.(\d)\.resnets\.(\d)\.", lambda m: f"decoder.up.{3 - int(m[1])}.block.{m[2]}.", name
        )
        name = re.sub(
            r"decoder\.up_blocks\.(\d)\.upsamplers\.0\.", lambda m: f"decoder.up.{3 - int(m[1])}.upsample.", name
        )
        name = re.sub(r"mid_block\.resnets\.(\d)\.", lambda m: f"mid.block_{int(m[1]) + 1}.", name)
        if "mid_block.attentions" in name:
            names = {
                "mid_block.attentions.0.": "mid.attn_1.",
                "group_norm": "norm",
                "to_q": "q",
                "to_k": "k",
                "to_v": "v",
                "to_out.0": "proj_out",
            }
            for new, old in names.items():
                name = name.replace(new, old)
            if name.endswith("weight") and value.ndim == 2:
                value = value[:, :, None, None]
        name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        found["first_stage_model." + name] = value
    return found


def _clip(state: Tensors, start: str) -> Tensors:
    return {
        start + (key if key.startswith("text_model.") else f"text_model.{key}"): value
        for key, value in state.items()
        if "text_projection" not in key
    }


_OPEN = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm": "ln_final",
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def _openclip(state: Tensors, start: str) -> Tensors:
    found: Tensors = {}
    thirds: dict[tuple[str, str], Tensors] = {}
    for key, value in state.items():
        if key == "text_projection.weight":
            found[start + "text_projection"] = value.T
            continue
        name = key.removeprefix("text_model.")
        if match := re.match(r"encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(weight|bias)", name):
            thirds.setdefault((match[1], match[3]), {})[match[2]] = value
            continue
        for new, old in _OPEN.items():
            name = name.replace(new, old)
        found[start + re.sub(r"^encoder\.layers\.(\d+)\.", r"transformer.resblocks.\1.", name)] = value
    for (layer, kind), parts in thirds.items():
        found[f"{start}transformer.resblocks.{layer}.attn.in_proj_{kind}"] = torch.cat([parts[each] for each in "qkv"])
    return found
