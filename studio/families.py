"""Base-model families: one data row each, and the catalogue that adds what a user brings from disk. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field


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
    """Of: text-to-image, image-to-image, inpaint, controlnet, lora, negative-prompt, guidance, samplers, prompt-weights."""
    size_multiple: int = 8
    """Width and height must be multiples of this (in pixels of the finished picture)."""
    min_size: int = 256
    max_size: int = 2048
    pixel_scale: int = 1
    """Finished pixels per pipeline pixel: the starter draws at 64 px and leaves through a Lanczos upscale of 4."""
    path: str = ""
    """Folder or .safetensors file on disk, for local families."""
    summary: str = ""

    def supports(self, feature: str) -> bool:
        return feature in self.features
