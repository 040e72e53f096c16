"""Tiny pipelines with random weights, of each family's true classes, saved in the family's folder layout.

``place(id, settings)`` puts one where the catalogue expects the family, so that it goes through the same manager as
the real one. Each is built once per test session, in one to three seconds.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderTiny,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from studio.capability import Cancelled
from studio.families import COMPLETE, Catalog
from studio.models import ModelManager
from studio.settings import Settings

SD_BETAS: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SD_STEPS: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def byte_alphabet() -> list[str]:
    """The 256 printable characters that byte-level BPE tokenizers use for bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def clip_tokenizer(length: int = 77) -> CLIPTokenizer:
    """Every character is a token, so ``length - 2`` characters fill the window."""
    letters = byte_alphabet()
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer({token: index for index, token in enumerate(tokens)}, [], model_max_length=length)


def clip_text(cls: type = CLIPTextModel, width: int = 32, length: int = 77, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=length,
        projection_dim=width,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )
    return cls(config).eval()


def unet(width: int = 32, channels: tuple[int, ...] = (16, 32), **more: Any) -> UNet2DConditionModel:
    torch.manual_seed(1)
    levels = len(channels)
    return UNet2DConditionModel(
        **{
            "sample_size": 32,
            "in_channels": 4,
            "out_channels": 4,
            "layers_per_block": 1,
            "block_out_channels": channels,
            "norm_num_groups": 8,
            "down_block_types": ("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
            "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
            "cross_attention_dim": width,
            "attention_head_dim": 4,
            **more,
        }
    )


def vae(cls: type = AutoencoderKL, latents: int = 4, **more: Any) -> Any:
    torch.manual_seed(2)
    return cls(
        **{
            "block_out_channels": (8, 8, 8, 8),
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "layers_per_block": 1,
            "latent_channels": latents,
            "norm_num_groups": 8,
            "sample_size": 64,
            **more,
        }
    ).eval()


def qwen(layers: int, width: int = 16) -> tuple[Any, Any]:
    torch.manual_seed(3)
    letters = byte_alphabet()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocab = {token: index for index, token in enumerate([*letters, *special])}
    tokenizer = Qwen2Tokenizer(vocab, [], additional_special_tokens=special[1:])
    tokenizer.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    config = Qwen3Config(
        vocab_size=len(vocab),
        hidden_size=width,
        intermediate_size=24,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=600,
    )
    return Qwen3ForCausalLM(config).eval(), tokenizer


def _sd(scheduler: Any, **more: Any) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=vae(),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(),
        unet=unet(**more),
        scheduler=scheduler,
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )


def starter() -> StableDiffusionPipeline:
    """The trained starter's shape: 64 px, a tiny autoencoder of factor 4, 6 channels, v-prediction, fp16 on disk."""
    torch.manual_seed(4)
    small = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
        latent_channels=6,
    )
    last = small.decoder.layers[-1]
    assert isinstance(last, torch.nn.Conv2d)
    torch.nn.init.normal_(last.weight, std=0.5)  # fresh weights would decode everything to black
    assert last.bias is not None
    torch.nn.init.constant_(last.bias, 0.5)
    scheduler = DPMSolverMultistepScheduler(
        **SD_BETAS,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        steps_offset=1,
    )
    pipe = _sd(scheduler, sample_size=16, in_channels=6, out_channels=6, channels=(16, 16, 32))
    pipe.register_modules(vae=small)
    return pipe.to(torch.float16)  # type: ignore[return-value]


def sd15() -> StableDiffusionPipeline:
    return _sd(DDIMScheduler(**SD_BETAS, **SD_STEPS))


def sd21() -> StableDiffusionPipeline:
    return _sd(DDIMScheduler(**SD_BETAS, **SD_STEPS, prediction_type="v_prediction"), use_linear_projection=True)


def _sdxl(scheduler: Any) -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline(
        vae=vae(force_upcast=True),
        text_encoder=clip_text(),
        text_encoder_2=clip_text(CLIPTextModelWithProjection, seed=5),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=unet(
            width=64,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=32 + 6 * 8,
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
        ),
        scheduler=scheduler,
    )


def sdxl() -> StableDiffusionXLPipeline:
    return _sdxl(DDIMScheduler(**SD_BETAS, **SD_STEPS))


def sdxl_turbo() -> StableDiffusionXLPipeline:
    return _sdxl(EulerAncestralDiscreteScheduler(**SD_BETAS, timestep_spacing="trailing"))


def lcm() -> LatentConsistencyModelPipeline:
    return LatentConsistencyModelPipeline(
        vae=vae(),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(),
        unet=unet(time_cond_proj_dim=16),
        scheduler=LCMScheduler(**SD_BETAS, **SD_STEPS),
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )


def klein() -> Flux2KleinPipeline:
    encoder, tokenizer = qwen(layers=28)
    torch.manual_seed(6)
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae(AutoencoderKLFlux2, latents=4),
        text_encoder=encoder,
        tokenizer=tokenizer,
        transformer=Flux2Transformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            timestep_guidance_channels=32,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        is_distilled=True,
    )


def z_image() -> ZImagePipeline:
    encoder, tokenizer = qwen(layers=2)
    torch.manual_seed(7)
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(shift_factor=0.1159, scaling_factor=0.3611),
        text_encoder=encoder,
        tokenizer=tokenizer,
        transformer=ZImageTransformer2DModel(
            in_channels=4,
            dim=32,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=16,
            axes_dims=[8, 4, 4],
            axes_lens=[600, 64, 64],
        ),
    )


BUILDERS: dict[str, Callable[[], Any]] = {
    "starter": starter,
    "sd15": sd15,
    "sd21": sd21,
    "sdxl": sdxl,
    "sdxl-turbo": sdxl_turbo,
    "lcm-dreamshaper": lcm,
    "flux2-klein-4b": klein,
    "z-image-turbo": z_image,
}
"""One row per family: a new family gets its tiny pipeline here."""


@functools.cache
def folder(id: str) -> Path:
    """The saved pipeline of family ``id``; shared, so never write into it."""
    root = Path(tempfile.mkdtemp(prefix=f"tiny-{id}-"))
    pipe = BUILDERS[id]()
    pipe.save_pretrained(root, safe_serialization=True)
    return root


def settings(root: Path, **more: Any) -> Settings:
    """Settings of a studio that lives under ``root`` and runs on the CPU."""
    values: dict[str, Any] = {"data_dir": root / "data", "starter_dir": root / "starter", "device": "cpu", **more}
    return Settings(**values)


def place(id: str, at: Settings) -> Path:
    """Put family ``id`` where the catalogue looks for it. Files are hard links: replace them, never edit them."""
    target = at.starter_dir / "painter" if id == "starter" else at.models_dir / id
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(folder(id), target, copy_function=os.link)
    except shutil.Error:
        shutil.rmtree(target)
        shutil.copytree(folder(id), target)
    if id != "starter":
        (target / COMPLETE).write_text(json.dumps({"revision": "0" * 40}))
    return target


def catalog(root: Path, *ids: str, **more: Any) -> Catalog:
    """A catalogue under ``root`` in which the families ``ids`` are available."""
    at = settings(root, **more)
    for id in ids:
        place(id, at)
    return Catalog(at)


class Context:
    """What a capability runs in, recording what it reports. ``cancel_at``: the step at which its owner cancels."""

    def __init__(self, catalog: Catalog, models: ModelManager | None = None, *, cancel_at: int | None = None) -> None:
        self.catalog = catalog
        self.settings = catalog.settings
        self.models = models or ModelManager(catalog.settings, catalog)
        self.steps: list[tuple[int, int]] = []
        self.previews: list[Any] = []
        self.messages: list[str] = []
        self.files: dict[str, list[str]] = {}
        self.cancel_at = cancel_at

    def progress(self, step: int, steps: int, preview: Any = None, message: str = "") -> None:
        if self.cancel_at is not None and step >= self.cancel_at:
            raise Cancelled
        self.steps.append((step, steps))
        if preview is not None:
            self.previews.append(preview)
        if message:
            self.messages.append(message)

    def wildcard(self, name: str) -> list[str]:
        return self.files.get(name, [])
