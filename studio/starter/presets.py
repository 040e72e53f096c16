"""How big the starter models are and how long each is trained: one row per kind of machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from studio.starter.vocabulary import OBJECTS, PROMISED, PROMISED_STYLES, STYLES


@dataclass(frozen=True)
class Preset:
    """Sizes in pixels of the native picture, minutes per step of the recipe."""

    name: str
    size: int
    scenes: int
    minutes: dict[str, float]
    vae_width: int
    vae_encoder_blocks: tuple[int, ...]
    vae_decoder_blocks: tuple[int, ...]
    latent_channels: int
    vae_batch: int
    text_width: int
    text_layers: int
    vision_width: int
    vision_layers: int
    clip_batch: int
    unet_channels: tuple[int, ...]
    unet_layers: int
    painter_batch: int
    painter_rate: float
    judge_width: int
    judge_batch: int
    device: str
    unet_bf16: bool
    patch: int = 8
    objects: tuple[str, ...] = tuple(OBJECTS)  # what the scenes are made of
    styles: tuple[str, ...] = STYLES
    blip_layers: int = 2
    blip_batch: int = 32
    max_tokens: int = 40
    ema: float = 0.998
    rates: dict[str, float] = field(default_factory=lambda: {"vae": 2e-3, "clip": 1e-3, "judge": 2e-3, "blip": 8e-4})


PRESETS: dict[str, Preset] = {
    "cpu": Preset(
        name="cpu", size=128, scenes=60_000, objects=PROMISED, styles=PROMISED_STYLES,
        minutes={"vae": 30, "clip": 40, "judge": 12, "painter": 720, "blip": 60},
        vae_width=48, vae_encoder_blocks=(0, 1, 2, 3), vae_decoder_blocks=(4, 3, 2, 0), latent_channels=4, vae_batch=24,
        text_width=192, text_layers=3, vision_width=160, vision_layers=3, clip_batch=128,
        unet_channels=(64, 128, 192), unet_layers=1, painter_batch=32, painter_rate=6e-4,
        judge_width=32, judge_batch=64, device="cpu", unet_bf16=True, patch=16, ema=0.9993,
    ),
    "gpu": Preset(
        name="gpu", size=128, scenes=120_000,
        minutes={"vae": 5, "clip": 3, "judge": 2, "painter": 11, "blip": 3},
        vae_width=64, vae_encoder_blocks=(0, 1, 2, 3), vae_decoder_blocks=(4, 3, 3, 1), latent_channels=4, vae_batch=64,
        text_width=256, text_layers=4, vision_width=256, vision_layers=4, clip_batch=512,
        unet_channels=(128, 256, 384), unet_layers=2, painter_batch=256, painter_rate=5e-4,
        judge_width=48, judge_batch=256, device="cuda", unet_bf16=True, patch=16, ema=0.999,
        blip_layers=3, blip_batch=128,
    ),
}  # fmt: skip
