"""Networks that ncnn stores, read as the arrays that spandrel knows: Real-ESRGAN's two kinds. No torch here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HALVES = 0x01306B47
"""ncnn's mark before weights in half precision; 0 stands before single ones."""

Layer = dict[str, NDArray[np.floating]]


def weights(param: str, packed: bytes) -> dict[str, NDArray[np.float16]]:
    """What the network ``param`` keeps in ``packed``, in half precision, by the names that its authors gave it: an
    `SRVGGNetCompact` (with PReLU) or an `RRDBNet`. Raises `ValueError` where the two do not fit each other."""
    found = layers(param, packed)
    compact = any("bias" not in layer for layer in found)
    names = [f"body.{i}" for i in range(len(found))] if compact else _rrdb(len(found))
    return {
        f"{name}.{key}": np.array(value, np.float16)
        for name, layer in zip(names, found, strict=True)
        for key, value in layer.items()
    }


def layers(param: str, packed: bytes) -> list[Layer]:
    """What ncnn stores for each layer that has weights, in order.

    A convolution has `weight` [out, in, k, k] (half or single precision) and `bias` [out], a PReLU its slopes.
    """
    at, found = 0, []

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
                raise ValueError(f"the weights are packed in a way that is not read here ({mark:#x})")
            weight = take(np.float16 if mark else np.float32, count).reshape(out, -1, k, k)
            found.append({"weight": weight, "bias": take(np.float32, out)})
        elif kind == "PReLU":
            found.append({"weight": take(np.float32, int(stated["0"]))})
    if at != len(packed):
        raise ValueError("the weights do not fit the network that stands beside them")
    return found


def _rrdb(count: int) -> list[str]:
    """Names of an RRDBNet's ``count`` convolutions in the order in which they run: 15 a block and 6 around them."""
    dense = [f"body.{i}.rdb{j}.conv{k}" for i in range((count - 6) // 15) for j in (1, 2, 3) for k in range(1, 6)]
    return ["conv_first", *dense, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
