"""Single-file checkpoints in the original layout: what they are, decided from all signs that matter. No torch here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.errors import StudioError
from studio.models.families import Prediction
from studio.models.weights import Header, read_header

_UNET = "model.diffusion_model."
_TEXT = {
    "sd1": {"text_encoder": "cond_stage_model."},
    "sd2": {"text_encoder": "cond_stage_model."},
    "sdxl": {"text_encoder": "conditioner.embedders.0.", "text_encoder_2": "conditioner.embedders.1."},
}
"""Base -> component -> what its tensors' names begin with."""

_STEPS_V, _STEPS_EPSILON = {110000}, {875000}
"""Training steps written into the published SD 2 files: 2.1 at 768 px; 2.0 base."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds."""

    base: str
    prediction: Prediction
    zero_snr: bool
    missing: tuple[str, ...]
    """Components to be borrowed: it has no autoencoder, or no text encoder."""


def inspect_checkpoint(file: Path, told: Prediction = "") -> Checkpoint:
    """What ``file`` is, from its tensors' names and shapes, its metadata and its name. ``told``: what its owner says
    it predicts. Raises `StudioError` for what the studio cannot draw with, and when signs contradict each other."""
    header = read_header(file)
    shapes = header.shapes
    # Width of the text the cross-attention reads: 768 CLIP-L, 1024 OpenCLIP-H, 2048 both of SDXL.
    first = _UNET + "input_blocks.{}.1.transformer_blocks.0.attn2.to_k.weight"
    width = next((shapes[key][-1] for key in (first.format(1), first.format(4)) if shapes.get(key)), None)
    base = {768: "sd1", 1024: "sd2", 2048: "sdxl"}.get(width or 0)
    ends = [shapes.get(_UNET + name) for name in ("input_blocks.0.0.weight", "middle_block.0.in_layers.2.weight")]
    if base is None or not all(ends) or _UNET + "out.2.weight" not in shapes:
        raise StudioError(
            f"{file.name} is no full SD 1.x, SD 2.x or SDXL checkpoint; bring other models as a diffusers folder.",
            field="path",
        )
    channels = (ends[0] or (0, 0))[1]
    if channels != 4:
        kind = {9: "an inpainting model", 8: "a model that edits by instruction"}.get(channels, "another kind of model")
        raise StudioError(
            f"{file.name} is {kind} ({channels} input channels), which the studio cannot draw with yet; "
            "bring the plain model.",
            field="path",
        )
    if any(key.startswith("edm_") for key in shapes):
        raise StudioError(
            f"{file.name} was trained with another kind of noise (EDM), which a single file cannot be drawn with; "
            "bring it as a diffusers folder.",
            field="path",
        )
    wanted = {"vae": "first_stage_model.", **_TEXT[base]}
    missing = tuple(name for name, start in wanted.items() if not any(key.startswith(start) for key in shapes))
    if any(name != "vae" for name in missing):
        # One of SDXL's two text encoders alone is not read from a file.
        missing = tuple(name for name in wanted if name != "vae" or name in missing)
    zero_snr = "ztsnr" in shapes
    return Checkpoint(base, _prediction(file, header, base, told, zero_snr), zero_snr, missing)


def _prediction(file: Path, header: Header, base: str, told: Prediction, zero_snr: bool) -> Prediction:
    """All that speaks for one or the other: keys, metadata, training steps, name; then the usual of the base."""
    signs: dict[str, Prediction] = {}
    if "v_pred" in header.shapes or zero_snr:
        signs["a tensor named v_pred or ztsnr"] = "v_prediction"
    metadata = {key.lower(): value.lower() for key, value in header.metadata.items()}
    said = metadata.get("modelspec.prediction_type", "")
    if said.startswith("v"):
        signs["its metadata"] = "v_prediction"
    elif said.startswith("eps"):
        signs["its metadata"] = "epsilon"
    elif base == "sd2" and _architecture(metadata):
        signs["its metadata"] = _architecture(metadata)
    if base == "sd2" and "global_step" in header.shapes:
        steps = _scalar(file, "global_step")
        if steps in _STEPS_V | _STEPS_EPSILON:
            signs["its training steps"] = "v_prediction" if steps in _STEPS_V else "epsilon"
    name = file.stem.lower()
    if re.search(r"v[-_ ]?pred(?!.*eps)|768-?v\b|v2-1_768|768-v", name):
        signs["its name"] = "v_prediction"
    elif re.search(r"(?<![a-z])eps(ilon)?(?![a-z])|512-base|v2-1_512", name):
        signs["its name"] = "epsilon"
    if told:
        return told
    strong: set[Prediction] = {value for sign, value in signs.items() if sign != "its name"}
    if len(strong) > 1:
        raise StudioError(
            f"{file.name} contradicts itself about what it predicts ({', '.join(f'{a}: {b}' for a, b in signs.items())}"
            "); add it again and say which: epsilon or v_prediction.",
            field="prediction",
        )
    if strong:
        return strong.pop()
    if signs:
        return signs["its name"]
    if base == "sd2":
        raise StudioError(
            f"{file.name} does not say what it predicts, and a wrong guess draws noise; add it again and say which: "
            "v_prediction (usual at 768 px) or epsilon (usual at 512 px).",
            field="prediction",
        )
    return "epsilon"


def _architecture(metadata: Mapping[str, str]) -> Prediction:
    """What `modelspec.architecture` says of an SD 2 file."""
    named = metadata.get("modelspec.architecture", "")
    if "v2-768-v" in named:
        return "v_prediction"
    if "v2-512" in named:
        return "epsilon"
    return ""


def _scalar(file: Path, key: str) -> int | None:
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as tensors:
        value = tensors.get_tensor(key)
    return int(value.reshape(-1)[0]) if value.size == 1 else None
