"""What a model from disk is, told from its files alone. Nothing in them is run."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from studio.errors import StudioError
from studio.models.checkpoints import inspect_checkpoint
from studio.models.families import SMALLEST, Family, Prediction
from studio.models.rows import MODEL_CLASSES, PIPELINES, ROWS, UNDERSTANDING
from studio.models.weights import component_weights, disk_bytes, read_header, visible

_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5", ".onnx"}
_LIBRARIES = {"diffusers", "transformers"}
_MAX_JSON = 8_000_000
_OPTIONAL = {"safety_checker", "feature_extractor", "image_encoder"}
"""Components that drawing does without."""


def read_json(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MAX_JSON:
            raise ValueError
        value = json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        raise StudioError(f"{file.name} in {file.parent} is not JSON; fetch the model again.", field="path") from None
    if not isinstance(value, dict):
        raise StudioError(f"{file.name} in {file.parent} is not a JSON object; fetch the model again.", field="path")
    return value


def local_place(path: str) -> Path:
    """The folder or file that a user means by ``path``: quoted as file managers copy it, as a file:// address, with ~,
    or the top of a model in a hub cache. Links are kept, because names behind them say nothing.

    Raises `StudioError` when nothing is there.
    """
    told = path.strip()
    for quote in ('"', "'"):
        if len(told) > 2 and told[0] == told[-1] == quote:
            told = told[1:-1].strip()
    if told.lower().startswith("file://"):
        told = unquote(urlsplit(told).path)
    place = Path(told).expanduser()
    if not told or "\0" in told or not place.is_absolute() or not place.exists():
        raise StudioError(
            f"Nothing is at '{path[:200]}'; give the full path of a folder or .safetensors file.", field="path"
        )
    place = Path(os.path.abspath(place))
    if (place / "snapshots").is_dir() and not (place / "model_index.json").exists():
        kept = sorted((place / "snapshots").iterdir(), key=lambda each: each.stat().st_mtime)
        main = place / "refs" / "main"
        named = place / "snapshots" / main.read_text("utf-8").strip() if main.is_file() else None
        place = named if named is not None and named.is_dir() else kept[-1] if kept else place
    return place


def template(pipeline: str, base: str = "") -> Family:
    """The hub row that a model from disk of this class takes after."""
    return next(row for row in ROWS if row.repo and row.pipeline == pipeline and (not base or row.base == base))


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
    found = inspect_folder(place) if place.is_dir() else inspect_file(place, family.prediction)
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
    files = list(visible(folder))
    for file in files:
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
        if suffix == ".safetensors":
            read_header(file)
    return _inspect_pipeline(folder, read_json(index)) if index.is_file() else _inspect_reader(folder)


def _inspect_pipeline(folder: Path, index: dict[str, Any]) -> Family:
    """Row for a diffusers folder, whose files were looked through already."""
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str) or pipeline not in PIPELINES:
        raise StudioError(
            f"model_index.json names no pipeline the studio knows ({', '.join(sorted(PIPELINES))}).", field="path"
        )
    for component, source in index.items():
        if component.startswith("_") or not isinstance(source, list):
            continue
        library = source[0] if len(source) == 2 else "?"
        if library not in _LIBRARIES and component != "safety_checker" and source != [None, None]:
            raise StudioError(f"Component '{component}' comes from '{library}'; it is refused.", field="path")
    denoiser = next(row.denoiser for row in ROWS if row.pipeline == pipeline)
    if not component_weights(folder / denoiser)[1]:
        raise StudioError(
            f"{folder / denoiser} has no .safetensors weights under a usual name; fetch the model again.", field="path"
        )
    config = read_json(folder / denoiser / "config.json")
    base = ("sd2" if config.get("cross_attention_dim") == 1024 else "sd1") if pipeline == _BY_WIDTH else ""
    row = template(pipeline, base)
    _check_channels(folder, config, row)
    needed = {name for name, source in index.items() if isinstance(source, list) and source != [None, None]}
    needed |= {"vae", "text_encoder", "tokenizer", "scheduler"}
    borrowed = tuple(sorted(name for name in needed - _OPTIONAL - {denoiser} if not _complete(folder / name)))
    chosen = [component_weights(folder / name, row.dtype)[1] for name in sorted(needed)]
    size = disk_bytes(file for files in chosen for file in files)
    return replace(shaped(own(row, size / 1e9), folder), borrowed=borrowed)


_BY_WIDTH = "StableDiffusionPipeline"
"""The one class of two architectures: SD 1 and SD 2 differ in the width of their text."""


def _check_channels(folder: Path, denoiser: Mapping[str, Any], row: Family) -> None:
    """Raise `StudioError` for a UNet that wants more than what the pipeline of ``row`` gives it: latents of this
    folder's autoencoder, with a mask and a masked picture for inpainting, with a picture for editing."""
    vae = folder / "vae" / "config.json"
    if (folder / "unet").is_dir() and vae.is_file():
        latents, wanted = read_json(vae).get("latent_channels", 4), denoiser.get("in_channels", 4)
        if not row.supports("text-to-image"):
            latents = 2 * latents + row.supports("inpaint")
        if wanted != latents:
            raise StudioError(
                f"This model takes {wanted} channels where {row.pipeline} gives {latents}: a model made for inpainting "
                "or editing needs a model_index.json that says so; fetch the whole model, or bring the plain one.",
                field="path",
            )


def _complete(component: Path) -> bool:
    """Whether a folder of a pipeline holds what its loader wants."""
    if component.name.startswith("tokenizer"):
        return any(component.glob("[!.]*"))
    if component.name == "scheduler":
        return (component / "scheduler_config.json").is_file()
    return (component / "config.json").is_file() and bool(component_weights(component)[1])


def check_donor(place: Path, denoiser: str, donor: Path) -> bool:
    """Whether what the folder at ``place`` lacks can be lent by the folder ``donor``: both denoisers read the same."""
    mine, its = (read_json(each / denoiser / "config.json") for each in (place, donor))
    return all(
        mine.get(key) == its.get(key)
        for key in ("in_channels", "cross_attention_dim", "joint_attention_dim", "cap_feat_dim")
    )


def _inspect_reader(folder: Path) -> Family:
    """Row for a transformers folder of one of `MODEL_CLASSES`, whose files were looked through already."""
    config = read_json(folder / "config.json")
    classes = config.get("architectures")
    name = classes[0] if isinstance(classes, list) and len(classes) == 1 else None
    if not isinstance(name, str) or name not in MODEL_CLASSES:
        raise StudioError(
            f"config.json names no model the studio can ask ({', '.join(sorted(MODEL_CLASSES))}).", field="path"
        )
    weights = component_weights(folder)[1]
    if not weights:
        raise StudioError(
            f"{folder} has no .safetensors weights under a usual name; fetch the model again.", field="path"
        )
    row = next(row for row in UNDERSTANDING if row.repo and row.pipeline == name)
    vision = config.get("vision_config")
    side = (vision if isinstance(vision, dict) else config).get("image_size")
    gb = disk_bytes(weights) / 1e9
    return replace(
        own(row, gb),
        native_size=side if isinstance(side, int) and 8 <= side <= 4096 else row.native_size,
        memory_gb=max(0.1, round(gb * 1.2, 1)),
    )


def inspect_file(file: Path, prediction: Prediction = "") -> Family:
    """Row for a single ``.safetensors`` checkpoint in the original (LDM) layout. ``prediction``: what its owner says
    it predicts, for those that do not tell."""
    if file.suffix.lower() != ".safetensors":
        raise StudioError(
            f"{file.name} is not a .safetensors file; pickles can run code and are refused.", field="path"
        )
    found = inspect_checkpoint(file, prediction)
    row = next(row for row in ROWS if row.repo and row.base == found.base)
    size = 512 if found.base == "sd2" and found.prediction == "epsilon" else row.native_size
    return replace(
        own(row, file.stat().st_size / 1e9),
        native_size=size,
        sampler="euler" if found.zero_snr else row.sampler,
        prediction=found.prediction,
        zero_snr=found.zero_snr,
        borrowed=found.missing,
    )


def own(row: Family, size_gb: float) -> Family:
    """``row`` as one that a user brought."""
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
