"""The network of the drawing upscaler: a small convolutional network that makes a picture four times as wide.

It was trained on drawn films: outlines and flat areas come out clean where interpolation leaves a blur. It knows
nothing of photographs.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from studio.errors import StudioError

TILE = 256
"""Pixels of the squares that a large picture is worked on in."""


class Compact(nn.Module):
    """RGB in 0..1 [n, 3, h, w] to the same, `scale` times as high and wide.

    The `SRVGGNetCompact` of Real-ESRGAN: a chain of convolutions at the input's size whose last one says what to add to
    each enlarged pixel. The weights' names are that network's.
    """

    def __init__(self, channels: int = 64, convolutions: int = 16, scale: int = 4) -> None:
        super().__init__()
        self.scale, self.reach = scale, convolutions + 2
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1), nn.PReLU(channels)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.PReLU(channels)]
        self.body = nn.Sequential(*layers, nn.Conv2d(channels, 3 * scale * scale, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pixel_shuffle(self.body(x), self.scale) + F.interpolate(x, scale_factor=self.scale, mode="nearest")


def load(folder: Path) -> Compact:
    """The upscaler that lies in `folder` (config.json, model.safetensors), in single precision, ready to be used."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = load_file(folder / "model.safetensors")
    except FileNotFoundError as error:
        raise StudioError(f"The upscaler is not complete: {error.filename} is missing. Run `make tools`.") from None
    module = Compact(config["channels"], config["convolutions"], config["scale"])
    module.load_state_dict({name: value.float() for name, value in weights.items()})
    return module.eval().requires_grad_(False)


@torch.inference_mode()
def upscale(module: Compact, image: Image.Image, tile: int = TILE) -> Image.Image:
    """The RGB picture, `module.scale` times as wide and high.

    Large pictures go through in tiles, ``tile`` pixels a side, that see as far beyond their edges as the network does:
    no seams, and the memory needed does not grow with the picture.
    """
    where = next(module.parameters())
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]
    height, width = pixels.shape[-2:]
    made = np.empty((height * module.scale, width * module.scale, 3), np.uint8)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            y, x = max(0, top - module.reach), max(0, left - module.reach)
            seen = pixels[..., y : bottom + module.reach, x : right + module.reach]
            large = module(seen.to(where.device, where.dtype) / 255)
            s = module.scale
            part = large[0, :, (top - y) * s : (bottom - y) * s, (left - x) * s : (right - x) * s]
            part = part.float().clamp(0, 1).mul(255).round().byte()
            made[top * s : bottom * s, left * s : right * s] = part.permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(made)
