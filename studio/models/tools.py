"""Small networks that do one thing to a picture: what each can be asked. The manager loads them like all others."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from PIL.Image import Image

from studio.models import faces, matting, restyling, sessions, upscaling
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
        """From the folder or file ``place``, on the CPU."""

    def view(self, spec: PipelineSpec) -> Self:
        other = copy.copy(self)
        other.components = dict(self.components)
        return other


class Upscaler(Tool):
    """Enlarges a picture."""

    def __init__(self, family: Family, components: dict[str, Any]) -> None:
        super().__init__(family, components)
        self.tile = upscaling.TILE
        """Pixels of the squares that a picture is worked on in."""

    @classmethod
    def load(cls, family: Family, place: Path, dtype: torch.dtype) -> Self:
        [file] = weight_files(place, "")
        network = upscaling.load(file)
        if dtype == torch.float16 and network.supports_half:
            network.half()
        return cls(family, {"model": network.model, "network": network})

    def upscale(self, image: Image, scale: int, told: Callable[[int, int], None] = lambda done, total: None) -> Image:
        """See `upscaling.upscale`."""
        return upscaling.upscale(self.components["network"], image, scale, self.tile, told)

    def relieve(self, view: Upscaler, rung: int, device: str) -> None:
        view.tile = 64


class OnnxTool(Tool):
    """One or more ONNX models on the processor, by the names of their files."""

    reliefs = (*Tool.reliefs[:2], *Tool.reliefs[1:2] * 2)

    @classmethod
    def load(cls, family: Family, place: Path, dtype: torch.dtype) -> Self:
        files = weight_files(place, "")
        return cls(family, {file.stem: sessions.session(file, torch.get_num_threads()) for file in files} | {"": files})

    def bytes(self) -> int:
        return disk_bytes(self.components[""])

    def relieve(self, view: OnnxTool, rung: int, device: str) -> None:
        """It is as small as it can be."""


class Matting(OnnxTool):
    """Tells how much of each pixel belongs to what a picture is of."""

    matte_of: ClassVar[matting.Matte]

    def matte(self, image: Image) -> Image:
        """Mode "L", as large as ``image``: 255 is the subject, 0 what is behind it."""
        [file] = self.components[""]
        return type(self).matte_of(self.components[file.stem], image)


class U2Net(Matting):
    matte_of = staticmethod(matting.u2net)


class MODNet(Matting):
    matte_of = staticmethod(matting.modnet)


class Stylist(OnnxTool):
    """Paints a picture over."""

    def painted(self, image: Image, style: int) -> Image:
        """RGB in one of `restyling.STYLES` styles, counted from 1; at most `restyling.SIDE` pixels a side."""
        return restyling.painted(self.components["multistyle26"], image, style)

    def painted_like(self, image: Image, example: Image) -> Image:
        """RGB in the style of ``example``, `restyling.LIKE_SIDE` pixels on its longer side."""
        predict, transform = self.components["arbitrary_predict"], self.components["arbitrary_transform"]
        return restyling.painted_like(predict, transform, image, example)


class CenterFace(OnnxTool):
    """Finds faces."""

    @classmethod
    def load(cls, family: Family, place: Path, dtype: torch.dtype) -> Self:
        [file] = weight_files(place, "")
        return cls(family, {"network": faces.load(file), "": [file]})

    def faces(self, image: Image) -> list[faces.Face]:
        """All faces of ``image``, the surest first."""
        return faces.find(self.components["network"], image)


TOOLS: dict[str, type[Tool]] = {each.__name__: each for each in (Upscaler, U2Net, MODNet, Stylist, CenterFace)}
"""`Family.pipeline` -> how it is loaded and asked."""


def load(family: Family, place: Path, dtype: torch.dtype, catalog: Catalog, progress: Progress | None = None) -> Tool:
    """The tool for ``family`` with the weights at ``place``, on the CPU."""
    total = disk_bytes(weight_files(place, ""))
    if progress:
        progress(0, total, f"Loading {family.name}")
    tool = TOOLS[family.pipeline].load(family, place, dtype)
    if progress:
        progress(total, total, f"Loading {family.name}")
    return tool


def weight_files(place: Path, dtype: str) -> list[Path]:
    """The files of weights at ``place``, a file or a folder: safetensors or ONNX."""
    return [place] if place.is_file() else weights_in(place)
