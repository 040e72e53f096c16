"""Drawing into a mask: what the pipeline is given, and how what it drew goes back into the picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from studio.capability import Context, Output
from studio.drawing.masks import Box, Mask, composed, feathered, filled, matched, seam, whole_cells
from studio.drawing.plan import Finished, Inputs, Picture, Plan
from studio.drawing.sizes import size_like
from studio.errors import StudioError
from studio.models.families import SMALLEST


def draw_into(
    blend: Blend,
    capability: str,
    request: Any,
    context: Context,
    *,
    more: Mapping[str, Any],
    notes: tuple[str, ...] = (),
) -> Iterator[Output]:
    """The pictures of a prepared ``request`` with a `picture` and a `strength`, drawn where ``blend`` says."""
    check_large_enough(blend.picture)
    if request.strength == 0:
        yield unchanged(capability, request, blend.picture)
        return
    family = context.catalog.require(request.model)
    width, height = size_like(family, *blend.box.size)
    yield from Plan(
        capability,
        "inpaint",
        request,
        context,
        family,
        width,
        height,
        strength=request.strength,
        inputs=blend.inputs(width // family.pixel_scale, height // family.pixel_scale),
        finish=blend.finish,
        more={"strength": request.strength, **more},
        parents=(request.picture,),
        notes=notes,
    ).run()


def check_large_enough(picture: Image.Image) -> None:
    """Raise `StudioError` for a picture smaller than a finished one may be."""
    if min(picture.size) < SMALLEST:
        raise StudioError(
            f"This picture has {picture.width} x {picture.height} pixels; "
            f"choose one of at least {SMALLEST} x {SMALLEST}, or upscale it first.",
            field="picture",
        )


def unchanged(capability: str, request: Any, source: Image.Image) -> Output:
    """Strength 0: the picture as it was, and a note that says so."""
    return Output(
        image=source,
        seed=request.seed or 0,
        parameters={
            "capability": capability,
            "prompt": request.prompt,
            "width": source.width,
            "height": source.height,
            "seed": request.seed,
            "strength": 0,
            "model": request.model,
            "requested": request.model_dump(mode="json"),
        },
        notes=("At strength 0 nothing is drawn: this is the picture as it was.",),
        parents=(request.picture,),
    )


class Blend:
    """One picture and the mask in it that is drawn anew."""

    def __init__(
        self,
        source: Image.Image,
        mask: Mask,
        *,
        feather: int,
        box: Box,
        from_around: bool,
        outside: str = "Outside your mask",
    ) -> None:
        self._before = np.asarray(source.convert("RGB"))
        self._mask = mask
        self._share = feathered(mask, feather)
        self._outside = outside
        self.box = box
        """The part that is shown to the model."""
        inside = mask[box.top : box.bottom, box.left : box.right]
        start = self._before[box.top : box.bottom, box.left : box.right]
        self._start = Image.fromarray(filled(start, inside) if from_around else start)
        self._inside = Image.fromarray(inside.astype(np.uint8) * 255)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self._before.shape[1], self._before.shape[0]

    @property
    def picture(self) -> Image.Image:
        """As it was."""
        return Image.fromarray(self._before)

    def inputs(self, width: int, height: int) -> Inputs:
        """What an inpainting pipeline is given, at ``width`` x ``height`` of its pixels."""
        start = self._start.resize((width, height), Image.Resampling.LANCZOS)
        inside = self._inside.resize((width, height), Image.Resampling.BOX)

        def given(pipe: Any, pictures: Sequence[Picture]) -> Mapping[str, Any]:
            return {"image": start, "mask_image": whole_cells(inside, pipe.vae_scale_factor)}

        return given

    def finish(self, picture: Picture, image: Image.Image) -> Finished:
        """``image``, which is the box drawn anew, in its place; with what that did to the picture, measured."""
        before, box = self._before, self.box
        drawn = before.copy()
        part = np.asarray(image.convert("RGB").resize(box.size, Image.Resampling.LANCZOS))
        here = np.s_[box.top : box.bottom, box.left : box.right]
        drawn[here] = matched(part, before[here], self._mask[here])
        after = composed(before, drawn, self._share)
        outside = int((after != before).any(2)[~self._mask].sum())
        edge = seam(after, self._mask)
        said = f"{self._outside} {outside} pixels changed" + ("." if edge is None else f"; seam {edge:.1f} dE.")
        measured = {"outside_changed": outside, "seam": None if edge is None else round(edge, 2)}
        if self._mask.all():
            said = "The mask covers the whole picture, so all of it was drawn anew."
        width, height = self.size
        return Finished(Image.fromarray(after), (said,), {"width": width, "height": height, "blend": measured})
