# transformers, diffusers and Pillow type these calls wider than they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOperatorIssue=false
"""The starter networks, all standard classes of diffusers and transformers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DPMSolverMultistepScheduler, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from studio.starter.presets import Preset

START, END = "<|startoftext|>", "<|endoftext|>"


def vae(p: Preset) -> AutoencoderTiny:
    levels = len(p.vae_encoder_blocks)
    return AutoencoderTiny(
        encoder_block_out_channels=(p.vae_width,) * levels, decoder_block_out_channels=(p.vae_width,) * levels,
        num_encoder_blocks=p.vae_encoder_blocks, num_decoder_blocks=p.vae_decoder_blocks,
        latent_channels=p.latent_channels,
    )  # fmt: skip


def unet(p: Preset) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=p.size // 2 ** (len(p.vae_encoder_blocks) - 1),
        in_channels=p.latent_channels, out_channels=p.latent_channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=p.unet_channels, layers_per_block=p.unet_layers, cross_attention_dim=p.text_width,
        attention_head_dim=4, norm_num_groups=8,
    )  # fmt: skip


def clip(p: Preset, tokenizer: CLIPTokenizer) -> CLIPModel:
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
           "pad_token_id": tokenizer.pad_token_id}  # fmt: skip
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=p.text_width, intermediate_size=4 * p.text_width, projection_dim=128,
        num_hidden_layers=p.text_layers, num_attention_heads=4, max_position_embeddings=p.max_tokens,
        hidden_act="gelu", **ids,
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=p.vision_width, intermediate_size=4 * p.vision_width, num_hidden_layers=p.vision_layers,
        num_attention_heads=4, image_size=p.size, patch_size=p.patch, projection_dim=128, hidden_act="gelu",
    )  # fmt: skip
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=128))


def scheduler() -> DPMSolverMultistepScheduler:
    """Cosine noise levels that end at alpha-bar 1e-3: practically pure noise, yet gentle enough for every sampler.

    Lower ends (1e-4) let Heun's first step, from sigma 100, wash the background out.
    """
    floor, steps = 1e-3, 1000

    def alpha_bar(t: float) -> float:
        return (1 - floor) * math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(
            0.008 / 1.008 * math.pi / 2
        ) ** 2 + floor

    betas = [1 - alpha_bar((i + 1) / steps) / alpha_bar(i / steps) for i in range(steps)]
    made = DPMSolverMultistepScheduler(
        num_train_timesteps=steps, trained_betas=betas, prediction_type="v_prediction", timestep_spacing="trailing",
        algorithm_type="dpmsolver++", solver_order=2,
    )  # fmt: skip
    # Read by DDIM and DDPM, which are made from this configuration and would otherwise cut latents off at one.
    made.register_to_config(clip_sample=False)
    return made


def train_tokenizer(captions: list[str], folder: Path, max_tokens: int, merges: int = 1000) -> CLIPTokenizer:
    """Learn a byte-level BPE from captions and save it in CLIP's own layout (vocab.json, merges.txt)."""
    like = CLIPTokenizer().backend_tokenizer
    bpe = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>"))
    bpe.normalizer, bpe.pre_tokenizer = like.normalizer, like.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) * 2 + merges, initial_alphabet=alphabet, end_of_word_suffix="</w>",
        show_progress=False, min_frequency=3,
    )  # fmt: skip
    bpe.train_from_iterator(captions, trainer)
    learned = [tuple(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]
    words = alphabet + [a + "</w>" for a in alphabet] + ["".join(pair) for pair in learned] + [START, END]
    vocab = {word: i for i, word in enumerate(dict.fromkeys(words))}
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = CLIPTokenizer(vocab=vocab, merges=learned, model_max_length=max_tokens)  # type: ignore[arg-type]
    tokenizer.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in learned)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return CLIPTokenizer.from_pretrained(folder)


def count(model: torch.nn.Module) -> float:
    """Millions of parameters."""
    return sum(p.numel() for p in model.parameters()) / 1e6
