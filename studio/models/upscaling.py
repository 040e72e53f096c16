"""Enlarging pictures with networks for single-image super resolution: any that spandrel knows, as safetensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image, Resampling, fromarray
from safetensors.torch import load_file

from studio.errors import StudioError

TILE = 192
"""Pixels of the squares that a picture is worked on in."""
MARGIN = 32
"""Pixels that the network sees beyond a square's edges, so that squares meet without a seam."""
SCALES = (2, 3, 4, 8)
"""How many times as wide a network may make a picture."""

Pixels = NDArray[np.uint8]


def load(file: Path) -> Any:
    """The network in ``file`` as a `spandrel.ImageModelDescriptor`, in single precision, on the CPU.

    Raises `StudioError` for one that spandrel does not know, and for what does not enlarge colour pictures.
    """
    import spandrel

    try:
        found = spandrel.ModelLoader(device="cpu").load_from_state_dict(load_file(file))
    except Exception as error:  # spandrel reads sizes off the weights: hostile ones break anywhere
        raise _strange(file, "its weights are of no network for upscaling that spandrel knows") from error
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.purpose != "SR":
        raise _strange(file, f"it is of the kind {found.architecture.name}, which does something else")
    if found.scale not in SCALES or (found.input_channels, found.output_channels) != (3, 3):
        raise _strange(
            file,
            f"it makes {found.input_channels} channels into {found.output_channels}, {found.scale} times as wide",
        )
    found.float().eval()
    found.model.requires_grad_(False)
    return found


def _strange(file: Path, why: str) -> StudioError:
    return StudioError(
        f"{file.name} cannot enlarge pictures here: {why}; choose a network such as ESRGAN that makes colour pictures "
        f"{', '.join(map(str, SCALES[:-1]))} or {SCALES[-1]} times as wide.",
        field="upscaler",
    )


def upscale(
    network: Any,
    image: Image,
    scale: int,
    tile: int = TILE,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Image:
    """The picture, ``scale`` (2 or 4) times as wide and high; "RGBA" where it is, else "RGB".

    ``network`` is what `load` gives. It is run twice where its own scale is smaller, and its result brought down where
    that is larger. Large pictures go through in tiles, ``tile`` pixels a side, that see `MARGIN` pixels beyond their
    edges: the memory needed does not grow with the picture. ``told`` is called with the tiles done and all of them
    before each and after the last; what it raises ends the work.
    """
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    pixels = np.asarray(image.convert("RGB"))
    planes = [pixels]
    if alpha is not None and alpha.getextrema() != (255, 255):
        shares = np.asarray(alpha)
        planes = [_spread(pixels, shares), np.repeat(shares[..., None], 3, axis=2)]
    places = [(top, left) for top in range(0, pixels.shape[0], tile) for left in range(0, pixels.shape[1], tile)]
    made = [np.empty((scale * each.shape[0], scale * each.shape[1], 3), np.uint8) for each in planes]
    total = len(planes) * len(places)
    for place, (plane, large) in enumerate(zip(planes, made, strict=True)):
        for number, (top, left) in enumerate(places):
            told(place * len(places) + number, total)
            _tile(network, plane, large, scale, (top, left), tile)
    told(total, total)
    result = fromarray(made[0])
    if alpha is not None:
        result.putalpha(_edge(alpha.resize(result.size, Resampling.LANCZOS), made[1:]))
    return result


@torch.inference_mode()
def _tile(network: Any, pixels: Pixels, large: Pixels, scale: int, corner: tuple[int, int], tile: int) -> None:
    """Write one tile of ``pixels`` [h, w, 3] into ``large``."""
    (top, left), (height, width) = corner, pixels.shape[:2]
    bottom, right = min(top + tile, height), min(left + tile, width)
    y, x = max(0, top - MARGIN), max(0, left - MARGIN)
    seen = np.array(pixels[y : bottom + MARGIN, x : right + MARGIN])
    part = torch.from_numpy(seen).permute(2, 0, 1)[None].to(network.device, network.dtype) / 255
    part, reached = network(part), network.scale
    while reached < scale:
        part, reached = network(part), reached * network.scale
    found = fromarray(part[0].float().mul(255).round().byte().permute(1, 2, 0).cpu().numpy())
    if reached != scale:
        found = found.resize((scale * seen.shape[1], scale * seen.shape[0]), Resampling.LANCZOS)
    inside = np.asarray(found)[scale * (top - y) : scale * (bottom - y), scale * (left - x) : scale * (right - x)]
    large[scale * top : scale * bottom, scale * left : scale * right] = inside


def _spread(pixels: Pixels, shares: Pixels) -> Pixels:
    """Colours of what is fully transparent replaced by the nearest that can be seen, so that none bleeds in."""
    hidden = (shares == 0).astype(np.uint8)
    if not hidden.any() or hidden.all():
        return pixels
    _, labels = cv2.distanceTransformWithLabels(hidden, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    seen = hidden == 0
    colours = np.zeros((int(labels.max()) + 1, 3), np.uint8)
    colours[labels[seen]] = pixels[seen]
    return colours[labels]


def _edge(plain: Image, made: list[Pixels]) -> Image:
    """Alpha: exact where it is all or nothing, drawn by the network between."""
    if not made:
        return plain
    levels = np.asarray(plain)
    drawn = made[0].mean(axis=2).round().astype(np.uint8)
    return fromarray(np.where((levels == 0) | (levels == 255), levels, drawn))
