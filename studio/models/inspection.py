"""What a model from disk is, told from its files alone. Nothing in them is run."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.errors import StudioError
from studio.models.families import SMALLEST, Family
from studio.models.rows import MODEL_CLASSES, PIPELINES, ROWS, UNDERSTANDING

_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5", ".onnx"}
_LIBRARIES = {"diffusers", "transformers"}
_MAX_JSON = 8_000_000


def read_json(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MAX_JSON:
            raise ValueError
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        raise StudioError(f"{file.name} in {file.parent} is not JSON; fetch the model again.", field="path") from None
    if not isinstance(value, dict):
        raise StudioError(f"{file.name} in {file.parent} is not a JSON object; fetch the model again.", field="path")
    return value


def template(pipeline: str, base: str = "") -> Family:
    return next(row for row in ROWS[1:] if row.pipeline == pipeline and (not base or row.base == base))


def shaped(row: Family, folder: Path) -> Family:
    """``row`` with the sizes that the UNet and VAE in ``folder`` were made for.

    Families drawn smaller than 256 px leave through an upscale, because the watermark needs that many pixels.
    """
    unet, vae = folder / "unet" / "config.json", folder / "vae" / "config.json"
    if not (unet.is_file() and vae.is_file()):
        return row
    unet_config, vae_config = read_json(unet), read_json(vae)
    channels = vae_config.get("block_out_channels") or vae_config.get("decoder_block_out_channels") or [0] * 4
    factor = 2 ** (len(channels) - 1)
    sample = unet_config.get("sample_size")
    if not isinstance(sample, int) or not 4 <= sample <= 512:
        return row
    native = sample * factor
    scale = max(1, math.ceil(SMALLEST / native))
    # The UNet halves the latents once per level but the last; the pipelines themselves want multiples of 8.
    levels = len(unet_config.get("block_out_channels") or [0] * 4)
    multiple = math.lcm(8, factor * 2 ** (levels - 1)) if native < SMALLEST else 8
    return replace(
        row,
        native_size=native * scale,
        pixel_scale=scale,
        size_multiple=multiple * scale,
        max_size=native * scale * 2,
    )


def check_local(family: Family) -> None:
    """Check a local family's files again, as they may have changed since it was added. Raises `StudioError`."""
    place = Path(family.path)
    found = inspect_folder(place) if place.is_dir() else inspect_file(place)
    if (found.pipeline, found.base) != (family.pipeline, family.base):
        raise StudioError(
            f"The files of {family.name} are another model now; remove it and add it again.", field="model"
        )


def inspect_folder(folder: Path) -> Family:
    """Row for a diffusers or transformers folder. Nothing in it is executed: only JSON and safetensors headers are
    read."""
    index = folder / "model_index.json"
    if not index.is_file() and not (folder / "config.json").is_file():
        raise StudioError(
            f"{folder} has no model_index.json and no config.json; choose a model's top folder.", field="path"
        )
    for file in folder.rglob("*"):
        suffix = file.suffix.lower()
        if suffix in _PICKLES:
            raise StudioError(
                f"{file.name} can hold a pickle, which can run code; bring this model as .safetensors.", field="path"
            )
        if suffix == ".py":
            raise StudioError(f"{file.name} is program code; only models without code are loaded.", field="path")
        if suffix == ".json" and file.name.endswith("config.json") and "auto_map" in read_json(file):
            raise StudioError(
                f"{file.parent.name}/{file.name} asks to load code (auto_map); it is refused.", field="path"
            )
    if not index.is_file():
        return _inspect_reader(folder)
    described = read_json(index)
    pipeline = described.get("_class_name")
    if not isinstance(pipeline, str) or pipeline not in PIPELINES:
        raise StudioError(
            f"model_index.json names no pipeline the studio knows ({', '.join(sorted(PIPELINES))}).", field="path"
        )
    for component, source in described.items():
        if component.startswith("_") or not isinstance(source, list):
            continue
        library = source[0] if len(source) == 2 else "?"
        if library not in _LIBRARIES and component != "safety_checker" and source != [None, None]:
            raise StudioError(f"Component '{component}' comes from '{library}'; it is refused.", field="path")
    base = ""
    if pipeline == "StableDiffusionPipeline":
        width = read_json(folder / "unet" / "config.json").get("cross_attention_dim")
        base = "sd2" if width == 1024 else "sd1"
    row = template(pipeline, base)
    weights = sorted((folder / row.denoiser).glob("*.safetensors"))
    if not weights:
        raise StudioError(f"{folder / row.denoiser} has no .safetensors weights; fetch the model again.", field="path")
    for file in folder.rglob("*.safetensors"):
        read_header(file)
    size = sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / 1e9
    return shaped(_own(row, size), folder)


def _inspect_reader(folder: Path) -> Family:
    """Row for a transformers folder of one of `MODEL_CLASSES`, whose files were looked through already."""
    config = read_json(folder / "config.json")
    classes = config.get("architectures")
    name = classes[0] if isinstance(classes, list) and len(classes) == 1 else None
    if not isinstance(name, str) or name not in MODEL_CLASSES:
        raise StudioError(
            f"config.json names no model the studio can ask ({', '.join(sorted(MODEL_CLASSES))}).", field="path"
        )
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise StudioError(f"{folder} has no .safetensors weights; fetch the model again.", field="path")
    for file in weights:
        read_header(file)
    row = next(row for row in UNDERSTANDING if row.repo and row.pipeline == name)
    vision = config.get("vision_config")
    side = (vision if isinstance(vision, dict) else config).get("image_size")
    gb = sum(file.stat().st_size for file in weights) / 1e9
    return replace(
        _own(row, gb),
        native_size=side if isinstance(side, int) and 8 <= side <= 4096 else row.native_size,
        memory_gb=max(0.1, round(gb * 1.2, 1)),
    )


def inspect_file(file: Path) -> Family:
    """Row for a single ``.safetensors`` checkpoint in the original (LDM) layout."""
    if file.suffix.lower() != ".safetensors":
        raise StudioError(
            f"{file.name} is not a .safetensors file; pickles can run code and are refused.", field="path"
        )
    shapes = read_header(file)
    # Width of the text the cross-attention reads: 768 CLIP-L, 1024 OpenCLIP-H, 2048 both of SDXL.
    first = "model.diffusion_model.input_blocks.{}.1.transformer_blocks.0.attn2.to_k.weight"
    width = next((shapes[key][-1] for key in (first.format(1), first.format(4)) if shapes.get(key)), None)
    bases = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
    if width not in bases:
        raise StudioError(
            f"{file.name} is no full SD 1.x, SD 2.x or SDXL checkpoint; bring other models as a diffusers folder.",
            field="path",
        )
    row = next(row for row in ROWS[1:] if row.base == bases[width])
    return _own(row, file.stat().st_size / 1e9)


def _own(row: Family, size_gb: float) -> Family:
    return replace(
        row,
        repo="",
        revision="",
        licence="as given by whoever made it; check before commercial use",
        commercial=False,
        download_gb=round(size_gb, 2),
        quality=0,
        summary="Added from this computer.",
    )


def read_header(file: Path) -> dict[str, list[int]]:
    """Tensor shapes of a safetensors file. Raises `StudioError` when the header is damaged or hostile."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            return {key: list(tensors.get_slice(key).get_shape()) for key in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:120]
        raise StudioError(
            f"{file.name} is not a sound safetensors file ({reason}); fetch it again.", field="path"
        ) from None
