"""An invisible 32-bit key in every picture, written and read with the invisible-watermark package (method dwtDctSvd).

It is a label, not a proof: whoever knows the method can strip or forge it. Any dwtDctSvd decoder told "32 bits" reads it.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from studio.capability import StudioError

METHOD = "dwtDctSvd"  # the package's default, dwtDct, keeps 50-58 % of its bits through JPEG 90: chance
BITS = 32
NEEDED = 30
MIN_PIXELS = 256 * 256
"""Below this the package has too few blocks and refuses."""

_AGREEMENT = 0.7
"""Mean agreement of the blocks that vote for one bit. Marked pictures: 0.95-1 as PNG, above 0.8 after JPEG 75."""

_LADDER = ((1.0, 0.0, 0.0), (0.97, 4.0, 2.0), (0.94, 8.0, 2.0), (0.90, 13.0, 3.0), (0.85, 19.0, 4.0))
"""(gain, offset, sigma of the dither in grey levels). Pure white, black and saturated colours have no room for the
key's +-7 levels of blue, so contrast is squeezed as far as needed and no further; most pictures stay on the first rung."""


@dataclass(frozen=True)
class Marked:
    image: Image.Image
    bits_right: int
    """Of 32, decoded again from ``image``."""
    contrast: float
    """1.0 = untouched; less where a flat picture had to be squeezed to hold the key."""


def make_key(digest: bytes) -> str:
    """8 hex digits: 24 bits of ``digest`` and 8 check bits that let `read` tell a key from chance."""
    body = digest[:3]
    return (body + _check(body)).hex()


def embed(image: Image.Image, key: str) -> Marked:
    """``image`` ("RGB" or "RGBA", alpha kept) carrying ``key``; deterministic.

    Climbs `_LADDER` until the key also survives JPEG 75, else keeps the rung that reads best as PNG.
    Raises `StudioError` when the picture is under 256 x 256 pixels or no rung reaches 30 of 32 bits.
    """
    if image.width * image.height < MIN_PIXELS:
        raise StudioError(
            f"A picture of {image.width} x {image.height} is too small for the invisible watermark; "
            "ask for at least 256 x 256.",
            field="width",
        )
    bits = _bits(key)
    rgb = np.asarray(image.convert("RGB"))
    best: Marked | None = None
    for gain, offset, sigma in _LADDER:
        pixels = rgb
        if gain < 1:
            noise = np.random.default_rng(int(key, 16)).normal(0, sigma, rgb.shape)
            pixels = np.clip(rgb * gain + offset + noise, 0, 255).round().astype(np.uint8)
        marked = Image.fromarray(_encode(pixels, bits))
        right = int((_votes(marked)[0] == bits).sum())
        if best is None or right > best.bits_right:
            best = Marked(marked, right, gain)
        if right == BITS and int((_votes(_jpeg(marked, 75))[0] == bits).sum()) >= NEEDED:
            best = Marked(marked, right, gain)
            break
    assert best is not None
    if best.bits_right < NEEDED:
        raise StudioError(
            f"The invisible watermark could not be written (only {best.bits_right} of {BITS} bits read back), "
            "so the picture was not kept; change the seed or the prompt and try again.",
            status=500,
        )
    if image.mode == "RGBA":
        best.image.putalpha(image.getchannel("A"))
    return best


def read(image: Image.Image) -> str | None:
    """The key in ``image``, or None when it carries none that can be read."""
    if image.width * image.height < MIN_PIXELS:
        return None
    bits, agreement = _votes(image)
    if agreement.mean() < _AGREEMENT:
        return None
    for flip in (None, *np.argsort(agreement)[:2]):  # one bit that JPEG turned is among the least agreed
        candidate = bits.copy()
        if flip is not None:
            candidate[flip] = not candidate[flip]
        raw = np.packbits(candidate).tobytes()
        if raw[3:] == _check(raw[:3]):
            return raw.hex()
    return None


def _check(body: bytes) -> bytes:
    return hashlib.sha256(b"studio watermark" + body).digest()[:1]


def _bits(key: str) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(key), np.uint8)).astype(bool)


def _encode(rgb: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """uint8 RGB in and out. Twice, because the package swaps the two chroma detail bands and a second pass swaps them
    back, leaving the key as it is: +5 dB."""
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    embedder = _embedder()([int(bit) for bit in bits], BITS)
    return np.ascontiguousarray(embedder.encode(embedder.encode(bgr))[:, :, ::-1])


def _votes(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """The 32 bits read, and how far the blocks of each agree (0 = evenly split, 1 = all)."""
    decoder = _embedder()([], BITS)
    bits = decoder.decode(np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1]))
    return bits, np.abs(2 * decoder.votes - 1)


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


@cache
def _embedder() -> type:
    """The package's embedder with its two Python loops over 4 x 4 blocks done as one batch: 4x faster, same bits."""
    from imwatermark.dwtDctSvd import EmbedDwtDctSvd  # imports torch, so only where pictures are made or verified

    class BatchEmbedder(EmbedDwtDctSvd):
        votes: np.ndarray

        def encode_frame(self, frame: np.ndarray, scale: float) -> None:
            blocks = _blocks(frame)
            grid = blocks.shape[:2]
            u, s, v = np.linalg.svd(blocks.reshape(-1, 4, 4))  # the orthonormal DCT leaves singular values as they are
            bit = np.resize(np.asarray(self._watermarks, float), len(s))
            delta = (s[:, 0] // scale + 0.25 + 0.5 * bit) * scale - s[:, 0]
            blocks += (delta[:, None, None] * (u[:, :, :1] @ v[:, :1, :])).reshape(*grid, 4, 4)

        def decode_frame(self, frame: np.ndarray, scale: float, scores: Any) -> list[np.ndarray]:
            s = np.linalg.svd(_blocks(frame).reshape(-1, 4, 4), compute_uv=False)[:, 0]
            ones = s % scale > scale * 0.5
            self.votes = np.array([ones[start :: self._wmLen].mean() for start in range(self._wmLen)])
            return [ones[start :: self._wmLen] for start in range(self._wmLen)]

    return BatchEmbedder


def _blocks(frame: np.ndarray) -> np.ndarray:
    """A writable (rows, columns, 4, 4) view of the whole 4 x 4 blocks of ``frame``."""
    rows, columns = frame.shape[0] // 4, frame.shape[1] // 4
    return frame[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).transpose(0, 2, 1, 3)
