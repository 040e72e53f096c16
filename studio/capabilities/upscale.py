"""Upscale: a picture two or four times as wide and high, with the detail that a network draws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from studio import retouching
from studio.capability import Capability, Context, Output, Request
from studio.models.catalog import Catalog
from studio.models.spec import TOOL, PipelineSpec
from studio.references import PictureId


def _spelled(value: Any) -> Any:
    """A number as the command line gives it."""
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 4 else value


class UpscaleRequest(Request):
    """Which picture to enlarge, how much and with what."""

    picture: PictureId = Field(description="Id of a gallery picture or upload.")
    scale: Annotated[Literal[2, 4], BeforeValidator(_spelled)] = Field(
        default=2, description="How many times as wide and high: 2 or 4."
    )
    upscaler: str = Field(
        default="",
        max_length=1000,
        description="Tool id, or a .safetensors file of an upscaler that spandrel knows: its full path, or its name in "
        "the models folder; empty is the first that is here.",
    )

    @property
    def model(self) -> str:
        """What the job and the picture are listed under: the tool's id, or the file's name."""
        return PurePath(self.upscaler).stem[:64]


class Upscale(Capability):
    """See `UpscaleRequest`."""

    name = "upscale"
    title = "Upscale"
    summary = "Make a picture two or four times as wide and high."
    request = UpscaleRequest
    makes = "pictures"

    def prepare(self, request: UpscaleRequest, catalog: Catalog) -> UpscaleRequest:
        return request.model_copy(update={"upscaler": catalog.upscaler(request.upscaler).id})

    def work(self, request: UpscaleRequest) -> float:
        return float(request.scale**2)

    def run(self, request: UpscaleRequest, context: Context) -> Iterator[Output]:
        context.progress(0, 1)
        image = retouching.opened(context, request.picture, request.scale)
        made = context.models.run(
            PipelineSpec(request.upscaler, TOOL),
            lambda tool: tool.upscale(image, request.scale, context.progress),
        )
        yield Output(
            image=made,
            seed=0,
            parameters=retouching.finished(
                self.name,
                request,
                context,
                request.upscaler,
                made,
                scale=request.scale,
                upscaler=context.catalog.get(request.upscaler).name,
            ),
            notes=retouching.notes(context, request.upscaler),
            parents=(request.picture,),
        )
