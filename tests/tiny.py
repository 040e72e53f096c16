"""Tiny pipelines and readers with random weights, of each family's true classes, saved in the family's folder layout.

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

import numpy as np
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
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from safetensors.torch import save_file
from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact
from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet
from transformers import (
    BartConfig,
    BartTokenizer,
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForQuestionAnswering,
    BlipImageProcessor,
    BlipProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    LlamaConfig,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipProcessor,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VideoMAEImageProcessor,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from studio.capability import Source
from studio.errors import Cancelled
from studio.models.catalog import Catalog
from studio.models.families import COMPLETE
from studio.models.manager import ModelManager
from studio.models.rows import TOOLS, UNDERSTANDING
from studio.settings import ROOT, Settings

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


def sd15_inpainting() -> StableDiffusionInpaintPipeline:
    parts = _sd(DDIMScheduler(**SD_BETAS, **SD_STEPS), in_channels=9).components
    return StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False)


def pix2pix() -> StableDiffusionInstructPix2PixPipeline:
    parts = _sd(EulerAncestralDiscreteScheduler(**SD_BETAS), in_channels=8).components
    return StableDiffusionInstructPix2PixPipeline(**parts, requires_safety_checker=False)


def sd21() -> StableDiffusionPipeline:
    return _sd(DDIMScheduler(**SD_BETAS, **SD_STEPS, prediction_type="v_prediction"), use_linear_projection=True)


def _sdxl(scheduler: Any, **more: Any) -> StableDiffusionXLPipeline:
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
            **more,
        ),
        scheduler=scheduler,
    )


def sdxl_inpainting() -> StableDiffusionXLInpaintPipeline:
    return StableDiffusionXLInpaintPipeline(**_sdxl(DDIMScheduler(**SD_BETAS, **SD_STEPS), in_channels=9).components)


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
            axes_lens=[600, 128, 128],
        ),
    )


# -- models that read pictures: (model, processor) --

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def clip() -> tuple[Any, Any]:
    torch.manual_seed(8)
    text = {**SMALL, "vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    size = {"height": 32, "width": 32}
    pixels = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size)
    return CLIPModel(config), CLIPProcessor(pixels, clip_tokenizer())


def siglip() -> tuple[Any, Any]:
    torch.manual_seed(9)
    tokenizer = byte_tokenizer("<pad>", "<eos>")
    text = {**SMALL, "vocab_size": len(tokenizer), "max_position_embeddings": 64, "pad_token_id": 256}
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    return model, SiglipProcessor(SiglipImageProcessor(size={"height": 32, "width": 32}), tokenizer)


def byte_tokenizer(*special: str) -> Qwen2Tokenizer:
    """Every byte is a token; ``special`` come after them, the first pads and the last ends."""
    vocab = {token: index for index, token in enumerate([*byte_alphabet(), *special])}
    return Qwen2Tokenizer(
        vocab, [], pad_token=special[0], eos_token=special[-1], additional_special_tokens=list(special)
    )


def words() -> BertTokenizer:
    """Letters and a few words, with BLIP's own mark for the start of an answer."""
    letters = [chr(code) for code in range(97, 123)]
    known = ["yes", "no", "a", "picture", "of", "red", "blue", "fox", "cat", "where", "is", "it", "the", "?"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", *known, *letters, *(f"##{x}" for x in letters)]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return BertTokenizer(vocab=vocab, bos_token="[DEC]", model_max_length=64)


def blip(cls: type) -> tuple[Any, Any]:
    torch.manual_seed(10)
    tokenizer = words()
    marks = {"bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    text = {
        **SMALL,
        **marks,
        "vocab_size": len(tokenizer),
        "encoder_hidden_size": 16,
        "max_position_embeddings": 64,
        "projection_dim": 16,
    }
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=16, image_text_hidden_size=16)
    return cls(config), BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer)


def chat_template(image: str) -> str:
    return (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}" + image + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def smolvlm() -> tuple[Any, Any]:
    torch.manual_seed(11)
    tokenizer = byte_tokenizer(
        "<|pad|>", "<image>", "<fake_token_around_image>", "<global-img>", "<video>", "<|im_start|>", "<|im_end|>"
    )
    text = LlamaConfig(**SMALL, num_key_value_heads=2, vocab_size=len(tokenizer), pad_token_id=256, eos_token_id=262)
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    config = SmolVLMConfig(text_config=text, vision_config=vision, image_token_id=257, scale_factor=2)
    sizes: dict[str, Any] = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}}
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(**sizes),
        tokenizer,
        SmolVLMVideoProcessor(**sizes),
        image_seq_len=4,
        chat_template=chat_template("<image>"),
    )
    model = SmolVLMForConditionalGeneration(config)
    model.generation_config.eos_token_id = 262
    return model, processor


def qwen_vl() -> tuple[Any, Any]:
    torch.manual_seed(12)
    marks = ("<|endoftext|>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|im_start|>")
    tokenizer = byte_tokenizer(*marks, "<|im_end|>")
    config = Qwen3VLConfig(
        text_config={
            **SMALL,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "vocab_size": len(tokenizer),
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_heads": 2,
            "out_hidden_size": 16,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=257,
        video_token_id=258,
        vision_start_token_id=259,
        vision_end_token_id=260,
    )
    sizes: dict[str, Any] = {
        "patch_size": 16,
        "merge_size": 2,
        "size": {"shortest_edge": 32 * 32, "longest_edge": 96 * 96},
    }
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(**sizes),
        tokenizer,
        Qwen3VLVideoProcessor(**sizes),
        chat_template=chat_template("<|vision_start|><|image_pad|><|vision_end|>"),
    )
    model = Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = 262
    return model, processor


def florence() -> tuple[Any, Any]:
    torch.manual_seed(13)
    letters = byte_alphabet()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<image>"]
    vocab = {token: index for index, token in enumerate([*special, *letters])}
    tokenizer = BartTokenizer(vocab, [], extra_special_tokens={"image_token": "<image>"})
    text = BartConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_position_embeddings=600,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=2,
    )
    vision = {
        "depths": (1, 1),
        "patch_size": (7, 3),
        "patch_stride": (4, 2),
        "patch_padding": (3, 1),
        "patch_prenorm": (False, True),
        "embed_dim": (8, 16),
        "num_heads": (2, 2),
        "num_groups": (2, 2),
        "window_size": 4,
        "projection_dim": 16,
    }
    config = Florence2Config(text_config=text, vision_config=vision, image_token_id=5)
    pixels = CLIPImageProcessor(size={"height": 64, "width": 64}, do_center_crop=False)
    pixels.image_seq_length = 65  # type: ignore[attr-defined]
    return Florence2ForConditionalGeneration(config), Florence2Processor(pixels, tokenizer)


def classifier() -> tuple[Any, Any]:
    torch.manual_seed(14)
    config = ViTConfig(**SMALL, image_size=32, patch_size=8, id2label={0: "normal", 1: "nsfw"})
    return ViTForImageClassification(config), ViTImageProcessor(size={"height": 32, "width": 32})


def videomae() -> tuple[Any, Any]:
    torch.manual_seed(15)
    names = {0: "juggling", 1: "swimming", 2: "yoga"}
    config = VideoMAEConfig(**SMALL, image_size=32, patch_size=8, num_frames=4, tubelet_size=2, id2label=names)
    size = {"height": 32, "width": 32}
    return VideoMAEForVideoClassification(config), VideoMAEImageProcessor(size={"shortest_edge": 32}, crop_size=size)


class Upscaler:
    """A small network of one of the classes that spandrel knows."""

    def __init__(self, scale: int = 4, channels: int = 3, *, dense: bool = False) -> None:
        torch.manual_seed(0)
        self.network: torch.nn.Module
        if dense:
            self.network = RRDBNet(in_nc=channels, out_nc=channels, num_filters=4, num_blocks=1, scale=scale)
        else:
            self.network = SRVGGNetCompact(
                num_in_ch=channels, num_out_ch=channels, num_feat=4, num_conv=1, upscale=scale
            )

    def save_pretrained(self, root: Path, name: str = "model.safetensors") -> None:
        save_file(self.network.state_dict(), root / name)


class Shipped:
    """A tool that is small enough to be tested as it is."""

    def __init__(self, folder: str) -> None:
        self.folder = ROOT / "assets" / "tools" / folder

    def save_pretrained(self, root: Path) -> None:
        shutil.copytree(self.folder, root, dirs_exist_ok=True)


class Reddest:
    """An ONNX model: a convolution of one pixel and a sigmoid, which finds how much redder than green a pixel is."""

    def __init__(self, name: str, shape: tuple[int | str, int | str]) -> None:
        """``name`` of the file. ``shape``: height and width, names where any will do."""
        self.name, self.shape = name, shape

    def save_pretrained(self, root: Path) -> None:
        (root / self.name).write_bytes(self.encoded())

    def encoded(self) -> bytes:
        """By hand, in the protocol buffers of onnx.proto: (field, what) after (field, what)."""
        weight = np.array([4, -4, 0], np.float32).tobytes()
        dims = (1, 3, 1, 1)
        filter_ = message(*((1, dim) for dim in dims), (2, 1), (8, "w"), (9, weight))
        nodes = (
            message((1, "x"), (1, "w"), (2, "y"), (4, "Conv")),
            message((1, "y"), (2, "z"), (4, "Sigmoid")),
        )
        graph = message(
            *((1, node) for node in nodes),
            (2, "reddest"),
            (5, filter_),
            (11, self._value("x", 3)),
            (12, self._value("z", 1)),
        )
        return message((1, 8), (7, graph), (8, message((2, 17))))

    def _value(self, name: str, channels: int) -> bytes:
        """A tensor of single precision [1, channels, *shape]."""
        sizes = [message((1 if isinstance(size, int) else 2, size)) for size in (1, channels, *self.shape)]
        tensor = message((1, 1), (2, message(*((1, size) for size in sizes))))
        return message((1, name), (2, message((1, tensor))))


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """A protocol buffer: whole numbers, texts and what was encoded before."""
    body = b""
    for number, value in fields:
        if isinstance(value, int):
            body += _varint(number << 3) + _varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            body += _varint(number << 3 | 2) + _varint(len(value)) + value
    return body


def _varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])


TOOL_BUILDERS: dict[str, Callable[[], Any]] = {
    "drawing-upscaler": Upscaler,
    "crisp-upscaler": lambda: Upscaler(dense=True),
    "photo-upscaler": lambda: Upscaler(dense=True),
    "u2netp": lambda: Reddest("u2netp.onnx", (320, 320)),
    "modnet": lambda: Reddest("modnet.onnx", ("height", "width")),
    "style-transfer": lambda: Shipped("style-transfer"),
}

BUILDERS: dict[str, Callable[[], Any]] = {
    "starter": starter,
    "sd15": sd15,
    "sd15-inpainting": sd15_inpainting,
    "sdxl-inpainting": sdxl_inpainting,
    "instruct-pix2pix": pix2pix,
    "sd21": sd21,
    "sdxl": sdxl,
    "sdxl-turbo": sdxl_turbo,
    "lcm-dreamshaper": lcm,
    "flux2-klein-4b": klein,
    "z-image-turbo": z_image,
    "starter-clip": clip,
    "starter-vqa": lambda: blip(BlipForQuestionAnswering),
    "starter-caption": lambda: blip(BlipForConditionalGeneration),
    "clip-vit-l14": clip,
    "siglip2": siglip,
    "blip-vqa": lambda: blip(BlipForQuestionAnswering),
    "blip-caption": lambda: blip(BlipForConditionalGeneration),
    "florence-2": florence,
    "smolvlm2-500m": smolvlm,
    "smolvlm2-2b": smolvlm,
    "qwen3-vl-2b": qwen_vl,
    "qwen3-vl-4b": qwen_vl,
    "nsfw": classifier,
    "videomae": videomae,
}
"""One row per family: a new family gets its tiny pipeline here."""


@functools.cache
def folder(id: str) -> Path:
    """The saved pipeline of family ``id``; shared, so never write into it."""
    root = Path(tempfile.mkdtemp(prefix=f"tiny-{id}-"))
    if id in TOOL_BUILDERS:
        TOOL_BUILDERS[id]().save_pretrained(root)
        return root
    pipe = BUILDERS[id]()
    if isinstance(pipe, tuple):
        for part in pipe:
            part.save_pretrained(root)
    else:
        pipe.save_pretrained(root, safe_serialization=True)
    return root


def settings(root: Path, **more: Any) -> Settings:
    """Settings of a studio that lives under ``root`` and runs on the CPU."""
    places = {f"{name}_dir": root / name for name in ("data", "starter", "tools")}
    values: dict[str, Any] = {**places, "device": "cpu", **more}
    return Settings(**values)


def place(id: str, at: Settings) -> Path:
    """Put family ``id`` where the catalogue looks for it. Files are hard links: replace them, never edit them."""
    shipped = {"starter": at.starter_dir / "painter"}
    shipped |= {row.id: at.starter_dir / row.folder for row in UNDERSTANDING if row.folder}
    shipped |= {row.id: at.tools_dir / row.folder for row in TOOLS if row.folder}
    target = shipped.get(id, at.models_dir / id)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(folder(id), target, copy_function=os.link)
    except shutil.Error:
        shutil.rmtree(target)
        shutil.copytree(folder(id), target)
    if id not in shipped:
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
        self.styles: dict[str, tuple[str, str]] = {}
        self.pictures: dict[str, Any] = {}
        self.sources: dict[str, Source] = {}
        self.words = self
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

    def style(self, name: str) -> tuple[str, str] | None:
        return self.styles.get(name)

    def picture(self, id: str, *, alpha: bool = False) -> Any:
        return self.pictures[id] if alpha else self.pictures[id].convert("RGB")

    unmarked = picture

    def source(self, id: str) -> Source:
        return self.sources.get(id) or Source(id, "mine.png")
