"""Small networks that do one thing to a picture: what each can be asked. The manager loads them like all others."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from PIL.Image import Image

from studio.models import matting, upscaling
from studio.models.catalog import Catalog
from studio.models.families import Family
from studio.models.loaded import Loaded
from studio.models.spec import PipelineSpec, Progress
from studio.models.weights import disk_bytes, weights_in


class Tool(Loaded, ABC):
    """A small network in memory."""

    reliefs = (
        "",
        "Other models were put away to free memory.",
        "Memory is short, so the picture was worked on in small parts.",
        "Memory is short, so the picture was worked on by the processor; this is slower.",
    )
    field = "picture"
    remedy = "use a smaller picture"

    @classmethod
    @abstractmethod
    def load(cls, family: Family, place: Path, dtype: torch.dtype) -> Self:
        """From the folder ``place``, on the CPU."""

    def view(self, spec: PipelineSpec) -> Self:
        other = copy.copy(self)
        other.components = dict(self.components)
        return other


class Upscaler(Tool):
    """Enlarges a picture by a whole number."""

    def __init__(self, family: Family, components: dict[str, Any]) -> None:
        super().__init__(family, components)
        self.tile = upscaling.TILE
        """Pixels of the squares that a picture is worked on in."""

    @classmethod
    def load(cls, family: Family, place: Path, dtype: torch.dtype) -> Self:
        return cls(family, {"model": upscaling.load(place).to(dtype)})

    @property
    def scale(self) -> int:
        return self.components["model"].scale

    def upscale(self, image: Image) -> Image:
        """RGB, `scale` times as wide and high."""
        return upscaling.upscale(self.components["model"], image, self.tile)

    def relieve(self, view: Upscaler, rung: int, device: str) -> None:
        view.tile = 64


class Matting(Tool):
    """Tells how much of each pixel belongs to what a picture is of. An ONNX model on the processor."""

    reliefs = (*Tool.reliefs[:2], *Tool.reliefs[1:2] * 2)
    matte_of: ClassVar[matting.Matte]

    @classmethod
    def load(cls, family: Family, place: Path, dtype: torch.dtype) -> Self:
        [file] = weight_files(place, "")
        return cls(family, {"session": matting.session(file, torch.get_num_threads()), "file": file})

    def matte(self, image: Image) -> Image:
        """Mode "L", as large as ``image``: 255 is the subject, 0 what is behind it."""
        return type(self).matte_of(self.components["session"], image)

    def bytes(self) -> int:
        return disk_bytes([self.components["file"]])

    def relieve(self, view: Matting, rung: int, device: str) -> None:
        """It is as small as it can be."""


class U2Net(Matting):
    matte_of = staticmethod(matting.u2net)


class MODNet(Matting):
    matte_of = staticmethod(matting.modnet)


TOOLS: dict[str, type[Tool]] = {each.__name__: each for each in (Upscaler, U2Net, MODNet)}
"""`Family.pipeline` -> how it is loaded and asked."""


def load(family: Family, place: Path, dtype: torch.dtype, catalog: Catalog, progress: Progress | None = None) -> Tool:
    """The tool for ``family`` with the weights in folder ``place``, on the CPU."""
    total = disk_bytes(weight_files(place, ""))
    if progress:
        progress(0, total, f"Loading {family.name}")
    tool = TOOLS[family.pipeline].load(family, place, dtype)
    if progress:
        progress(total, total, f"Loading {family.name}")
    return tool


def weight_files(place: Path, dtype: str) -> list[Path]:
    """The one file of weights in the folder ``place``: safetensors or ONNX."""
    return weights_in(place)
