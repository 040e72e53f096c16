"""Says what a picture shows: a small classifier trained on the sprites alone, apart from painter and CLIP.

verdict = Judge.load(Path("assets/starter/judge")).look(picture)
verdict.objects[0]     # ("apple", 0.98)
verdict.background     # "blue", or None when no named colour is near
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from studio.starter.colour import delta_e, rgb_to_lab

NEAR = 15.0  # CIEDE2000: what counts as "the same colour" to a glance


@dataclass(frozen=True)
class Verdict:
    """Classes with probabilities, best first; `background_delta_e` is the distance to the nearest named colour."""

    objects: list[tuple[str, float]]
    style: str
    background: str | None
    background_delta_e: float


def _block(a: int, b: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    conv = nn.Conv2d(a, b, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(b), nn.ReLU(inplace=True))


class JudgeNet(nn.Module):
    """RGB [n, 3, S, S] in -1..1 (S = 64 natively) to logits of every sprite, [n, objects, styles]."""

    def __init__(self, objects: int, styles: int, width: int = 32) -> None:
        super().__init__()
        w = width
        self.body = nn.Sequential(
            _block(3, w, 2, 5),
            _block(w, 2 * w, 2),
            _block(2 * w, 3 * w),
            _block(3 * w, 4 * w, 2),
            _block(4 * w, 5 * w),
            _block(5 * w, 8 * w, 2),
        )
        self.head = nn.Linear(16 * w, objects * styles)
        self.shape = (objects, styles)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.body(x)
        return self.head(torch.cat([h.mean((2, 3)), h.amax((2, 3))], 1)).unflatten(1, self.shape)


class Judge:
    """The trained classifier and the colour rule."""

    def __init__(self, net: JudgeNet, config: dict[str, Any]) -> None:
        self.net = net.eval()
        self.names: list[str] = config["objects"]
        self.styles: list[str] = config["styles"]
        self.size: int = config["size"]
        self.colours: dict[str, tuple[int, int, int]] = {k: tuple(v) for k, v in config["colours"].items()}
        self.config = config

    @classmethod
    def load(cls, path: Path) -> Judge:
        config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
        net = JudgeNet(len(config["objects"]), len(config["styles"]), config["width"])
        net.load_state_dict({k: v.float() if v.is_floating_point() else v
                             for k, v in load_file(Path(path) / "model.safetensors").items()})  # fmt: skip
        return cls(net, config)

    def save(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        half = {k: v.half() if v.is_floating_point() else v for k, v in self.net.state_dict().items()}
        save_file({k: v.contiguous() for k, v in half.items()}, path / "model.safetensors")
        (path / "config.json").write_text(json.dumps(self.config, indent=1) + "\n", encoding="utf-8")

    def look(self, image: Image.Image) -> Verdict:
        """What one picture of any size shows."""
        objects, styles = self.scores([image])
        order = objects[0].argsort(descending=True)[:10].tolist()
        name, distance = self.background(image)
        return Verdict(
            [(self.names[i], float(objects[0, i])) for i in order], self.styles[int(styles[0].argmax())], name, distance
        )

    @torch.no_grad()
    def scores(self, images: list[Image.Image]) -> tuple[torch.Tensor, torch.Tensor]:
        """Probabilities [n, objects] and [n, styles]."""
        size = (self.size, self.size)
        arrays = [np.asarray(i.convert("RGB").resize(size, Image.Resampling.BOX)) for i in images]
        x = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1
        sprites = self.net(x).flatten(1).softmax(1).unflatten(1, self.net.shape)
        return sprites.sum(2), sprites.sum(1)

    def background(self, image: Image.Image) -> tuple[str | None, float]:
        """The named colour of the outermost pixels (3 % on each side) and its CIEDE2000 distance.

        The name is None when even the nearest named colour is further than `NEAR`.
        """
        pixels = np.asarray(image.convert("RGB"))
        edge = max(1, round(min(pixels.shape[:2]) * 0.03))
        rim = np.ones(pixels.shape[:2], bool)
        rim[edge:-edge, edge:-edge] = False
        distances = delta_e(rgb_to_lab(np.median(pixels[rim], axis=0)), rgb_to_lab(list(self.colours.values())))
        best = int(distances.argmin())
        return (list(self.colours)[best] if distances[best] <= NEAR else None), float(distances[best])
