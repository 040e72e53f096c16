"""An invisible 32-bit key in every picture, written and read with the invisible-watermark package (method dwtDctSvd).

It is a label, not a proof: whoever knows the method can strip or forge it. Any dwtDctSvd decoder can read it.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.errors import StudioError

Phases = NDArray[np.complex128]

METHOD = "dwtDctSvd"  # the package's default, dwtDct, keeps 50-58 % of its bits through JPEG 90: chance
BITS = 32
NEEDED = 30
MIN_PIXELS = 256 * 256
"""Below this the package has too few blocks and refuses."""

_SCALES = (30, 36, 0)
"""Quantisation steps for Y, U, V. U at 36 is the package's own setting, so that its decoder reads the key from the PNG;
but chroma is what JPEG throws away: alone it came through JPEG 75 on 75 % of 59 flat-coloured scenes of 256 px. Luma at
30 (+-1 grey level on a flat area, not visible) beside it: 100 %, and 65 % at JPEG 50."""

_COHERENCE = 0.2
"""Mean length of the summed block phases of a bit. Unmarked photographs: 0.1 at 256 px, less above; marked: 0.3-1."""

_LADDER = ((1.0, 0.0, 0.0), (1.0, 0.0, 1.0), (0.97, 4.0, 1.0), (0.94, 8.0, 1.0), (0.90, 13.0, 2.0))
"""(gain, offset, sigma of the dither in grey levels). Pure white, black and saturated colours have no room for the
key's +-7 levels of blue, so contrast is squeezed as far as needed; nearly all pictures stay on the first rung."""


@dataclass(frozen=True)
class Marked:
    image: Image.Image
    bits_right: int
    """Of 32, decoded again from ``image``."""
    contrast: float
    """1.0 = untouched; less where a flat picture had to be squeezed to hold the key."""


def make_key(digest: bytes) -> str:
    """8 hex digits drawn from ``digest``: 20 bits of it and 12 check bits that let `read` tell a key from chance."""
    while True:
        digest = hashlib.sha256(digest).digest()
        body = int.from_bytes(digest[:3], "big") >> 4
        key = f"{body:05x}{_check(body):03x}"
        if _lively(_bits(key)):
            return key


def embed(image: Image.Image, key: str) -> Marked:
    """``image`` ("RGB" or "RGBA", alpha kept) carrying ``key``; deterministic.

    Climbs `_LADDER` until the key also survives JPEG 75, else keeps the first rung that reads back as PNG.
    Raises `StudioError` when the picture is under 256 x 256 pixels or no rung gives back 30 of 32 bits.
    """
    if image.width * image.height < MIN_PIXELS:
        raise StudioError(
            f"A picture of {image.width} x {image.height} is too small for the invisible watermark; "
            "ask for at least 256 x 256.",
            field="width",
        )
    bits, rgb = _bits(key), np.asarray(image.convert("RGB"))
    best: Marked | None = None
    most = 0
    for gain, offset, sigma in _LADDER:
        pixels = rgb
        if sigma:
            noise = np.random.default_rng(int(key, 16)).normal(0, sigma, rgb.shape)
            pixels = np.clip(rgb * gain + offset + noise, 0, 255).round().astype(np.uint8)
        marked = Image.fromarray(_encode(pixels, bits))
        decoded, phases = _phases(marked)
        right = int((decoded == bits).sum())
        most = max(most, right)
        if right < NEEDED or _key(*phases) != key:
            continue
        robust = read(_jpeg(marked, 75)) == key
        if robust or best is None:
            best = Marked(marked, right, gain)
        if robust:
            break
    if best is None:
        raise StudioError(
            f"The invisible watermark could not be written (only {most} of {BITS} bits read back), "
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
    return _key(*_phases(image)[1])


def _key(luma: Phases, chroma: Phases) -> str | None:
    """The key in the mean block phases of the 32 bits, when its check bits are right."""
    for phase in (luma + chroma, luma, chroma):  # a JPEG leaves mostly luma, a change of brightness mostly chroma
        bits = phase.imag < 0
        key = np.packbits(bits).tobytes().hex()
        if np.abs(phase.imag).mean() >= _COHERENCE and _lively(bits) and int(key[5:], 16) == _check(int(key[:5], 16)):
            return key
    return None


def _check(body: int) -> int:
    return int.from_bytes(hashlib.sha256(b"studio watermark %d" % body).digest()[:2], "big") >> 4


def _lively(bits: np.ndarray) -> bool:
    """Whether the bits change often, as in 92 % of all keys; those read from a flat unmarked picture do not."""
    return int((bits[1:] != bits[:-1]).sum()) >= 12


def _bits(key: str) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(key), np.uint8)).astype(bool)


def _encode(rgb: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """uint8 RGB in and out."""
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    embed, swap_back = _embedders()
    marked = embed([int(bit) for bit in bits], BITS, scales=_SCALES).encode(bgr)
    return np.ascontiguousarray(swap_back(scales=_SCALES).encode(marked)[:, :, ::-1])


def _phases(image: Image.Image) -> tuple[np.ndarray, list[Phases]]:
    """The 32 bits as the package decodes them (from chroma), and for luma and chroma the mean block phase of each bit.

    A phase is exp(2 pi i s / scale) of a block's first singular value s: near -i for a 1, near +i for a 0.
    """
    decoder = _embedders()[0]([], BITS, scales=_SCALES)
    bits = decoder.decode(np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1]))
    return bits, decoder.phases


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


@cache
def _embedders() -> tuple[type, type]:
    """The package's embedder with its Python loops over 4 x 4 blocks done as one batch (4x faster), and one that embeds
    nothing: the package swaps the two detail bands of each channel, and a second pass swaps them back (+5 dB).

    Both add the half grey level that the package loses by truncating, without which JPEG breaks the key far more often.
    """
    import cv2
    import pywt
    from imwatermark.dwtDctSvd import EmbedDwtDctSvd  # imports torch, so only where pictures are made or verified

    class Clipped(EmbedDwtDctSvd):
        def encode(self, bgr: np.ndarray) -> np.ndarray:
            """As the package does it, but clipped: its uint8 wraps round, which strews black specks over white."""
            rows, columns = bgr.shape[0] // 4 * 4, bgr.shape[1] // 4 * 4
            yuv = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV)
            for channel in range(2):
                if self._scales[channel] > 0:
                    mean, (across, down, both) = pywt.dwt2(yuv[:rows, :columns, channel], "haar")
                    self.encode_frame(mean, self._scales[channel])
                    changed = pywt.idwt2((mean, (down, across, both)), "haar")
                    yuv[:rows, :columns, channel] = np.clip(changed, 0, 255)
            return cv2.cvtColor(yuv, cv2.COLOR_YUV2BGR)

    class BatchEmbedder(Clipped):
        def encode_frame(self, frame: np.ndarray, scale: float) -> None:
            blocks = _blocks(frame)
            u, s, v = np.linalg.svd(blocks.reshape(-1, 4, 4))  # the orthonormal DCT leaves singular values as they are
            bit = np.resize(np.asarray(self._watermarks, float), len(s))
            delta = (s[:, 0] // scale + 0.25 + 0.5 * bit) * scale - s[:, 0]
            blocks += (delta[:, None, None] * (u[:, :, :1] @ v[:, :1, :])).reshape(blocks.shape)
            frame += 1.0  # a Haar coefficient of 1 is half a level in each of its four pixels

        def decode_frame(self, frame: np.ndarray, scale: float, scores: Any) -> list[np.ndarray]:
            s = np.linalg.svd(_blocks(frame).reshape(-1, 4, 4), compute_uv=False)[:, 0]
            phase, one = np.exp(2j * np.pi * s / scale), s % scale > scale * 0.5
            self.phases.append(np.array([phase[start :: self._wmLen].mean() for start in range(self._wmLen)]))
            return [one[start :: self._wmLen] for start in range(self._wmLen)]

        def decode(self, bgr: np.ndarray) -> np.ndarray:
            self.phases: list[Phases] = []
            return super().decode(bgr)

    class SwapBack(Clipped):
        def encode_frame(self, frame: np.ndarray, scale: float) -> None:
            frame += 1.0

    return BatchEmbedder, SwapBack


def _blocks(frame: np.ndarray) -> np.ndarray:
    """A writable (rows, columns, 4, 4) view of the whole 4 x 4 blocks of ``frame``."""
    rows, columns = frame.shape[0] // 4, frame.shape[1] // 4
    return frame[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).transpose(0, 2, 1, 3)
