"""Texts that a picture file carries beside its pixels: PNG text chunks, EXIF strings, JPEG comments, the lowest bits.

Whatever a file holds, reading it takes time linear in its size, memory within `MAX_TEXTS`, and raises nothing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

MAX_TEXT = 4_000_000
"""Bytes of one text, unpacked. Longer ones are left out: graphs of thousands of nodes take less."""
MAX_TEXTS = 16_000_000
"""Bytes of all texts of a file together."""
MAX_CHUNKS = 200_000
"""Of a PNG; a picture of 25 megapixels in chunks of 4 kB has a tenth of that."""

PNG_START = b"\x89PNG\r\n\x1a\n"
_PIXELS = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_ANIMATION = {b"acTL", b"fcTL", b"fdAT"}
_TRANSPARENT = {0: (2,), 2: (6,), 3: range(1, 257)}
"""Kind of colour -> lengths that its transparency may have."""
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_EXIF_IFD = 0x8769
_EXIF_TEXTS = {
    (0, 0x010E): "ImageDescription",
    (0, 0x010F): "Make",
    (0, 0x0110): "Model",
    (0, 0x0131): "Software",
    (_EXIF_IFD, 0x927C): "MakerNote",
    (_EXIF_IFD, 0x9286): "UserComment",
}
_STEALTH = {b"stealth_pnginfo": False, b"stealth_pngcomp": True, b"stealth_rgbinfo": False, b"stealth_rgbcomp": True}
"""Mark at the start of the lowest bits -> whether a gzip stream follows."""
_STEALTH_MARK = 15


def sound_png(data: bytes) -> bytes:
    """The PNG ``data`` with nothing but its picture (and rotation): what stands beside cannot make it unreadable.

    A file that breaks off is returned up to there, so that the decoder says so. Raises `ValueError` for too many
    chunks.
    """
    kept = [PNG_START]
    for kind, start, end in _chunks(data):  # the first is IHDR, whose tenth byte is the kind of colour
        sound = kind in (b"eXIf", b"tRNS") and _is_whole(data, kind, start, end)
        if kind == b"tRNS":
            sound = sound and end - start in _TRANSPARENT.get(data[25] if len(data) > 25 else 0, ())
        if kind in _PIXELS or kind in _ANIMATION or sound:
            kept.append(data[start - 8 : end + 4])
    return b"".join(kept)


def png_texts(data: bytes) -> dict[str, str]:
    """Keyword -> text of the tEXt, zTXt and iTXt chunks, wherever they stand; the first of a keyword counts.

    Damaged ones are left out, those longer than `MAX_TEXT` cut off just behind it.
    """
    found: dict[str, str] = {}
    left = MAX_TEXTS
    for kind, start, end in _chunks(data):
        if kind in (b"tEXt", b"zTXt", b"iTXt") and left > 0 and _is_whole(data, kind, start, end):
            keyword, mark, _ = data[start : min(end, start + 80)].partition(b"\0")
            if not mark or not 0 < len(keyword) < 80:
                continue
            body = _text_body(kind, data[start + len(keyword) + 1 : end], min(MAX_TEXT, left))
            if body is not None:
                left -= len(body)
                found.setdefault(keyword.decode("latin-1"), decoded(body))
    return found


def exif_texts(image: Image.Image) -> dict[str, str]:
    """Name of the tag -> text of the EXIF tags in which settings are written, and the comment of a JPEG."""
    found: dict[str, str] = {}
    try:
        exif = image.getexif()
        for (ifd, tag), name in _EXIF_TEXTS.items():
            value = (exif.get_ifd(ifd) if ifd else exif).get(tag)
            text = _exif_text(value, comment=name == "UserComment")
            if text:
                found[name] = text
    except Exception:  # decoders of damaged EXIF raise anything: then there are no such texts
        pass
    comment = image.info.get("comment")
    if isinstance(comment, bytes) and (text := _exif_text(comment)):
        found.setdefault("comment", text)
    return found


def stealth_text(image: Image.Image) -> str:
    """The text in the lowest bits of the alpha channel, or of red, green and blue, column by column; "" for none."""
    if image.mode not in ("RGB", "RGBA"):
        return ""
    pixels = np.asarray(image)
    channels = [pixels[:, :, :3]] if image.mode == "RGB" else [pixels[:, :, 3:], pixels[:, :, :3]]
    for values in channels:
        start = (_STEALTH_MARK + 4) * 8
        head = _bits(values, 0, start)
        mark = head[:_STEALTH_MARK]
        if mark in _STEALTH and len(head) == _STEALTH_MARK + 4:
            length = min(int.from_bytes(head[_STEALTH_MARK:], "big"), MAX_TEXT * 8)
            body = _bits(values, start, start + length // 8 * 8)
            whole = _unpacked(body, MAX_TEXT, zlib.MAX_WBITS | 16) if _STEALTH[mark] else body
            return decoded(whole) if whole else ""
    return ""


def decoded(body: bytes) -> str:
    """Text of unknown coding: as its byte order mark says, else UTF-8, UTF-16 by where its zeros are, or Latin-1."""
    for mark, coding in _BOMS:
        if body.startswith(mark):
            return _clean(body[len(mark) :].decode(coding, "replace"))
    even, odd = body[0:65536:2].count(0), body[1:65536:2].count(0)
    # Letters of Latin and all digits have one zero byte in UTF-16; runs of zeros alone are padding and prove nothing.
    if abs(even - odd) > len(body[:65536]) // 16:
        return _clean(body.decode("utf-16-be" if even > odd else "utf-16-le", "replace"))
    try:
        return _clean(body.decode("utf-8"))
    except UnicodeDecodeError:
        return _clean(body.decode("latin-1"))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start of the content, end of the content) of each chunk of a PNG; the last may break off."""
    place = len(PNG_START)
    for _ in range(MAX_CHUNKS):
        if place + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, place)
        start = place + 8
        yield kind, start, min(start + length, len(data))
        if kind == b"IEND":
            return
        place = start + length + 4
    raise ValueError("too many chunks")


def _is_whole(data: bytes, kind: bytes, start: int, end: int) -> bool:
    return data[end : end + 4] == struct.pack(">I", zlib.crc32(memoryview(data)[start:end], zlib.crc32(kind)))


def _text_body(kind: bytes, rest: bytes, most: int) -> bytes | None:
    """The bytes of the text after its keyword, unpacked, at most one more than ``most``; None for what is damaged."""
    packed = kind == b"zTXt"
    if packed:
        rest = rest[1:]
    elif kind == b"iTXt":
        packed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]  # after the language and the translated keyword
    if packed:
        return _unpacked(rest, most)
    return rest[: most + 1]


def _unpacked(body: bytes, most: int, window: int = zlib.MAX_WBITS) -> bytes | None:
    try:
        return zlib.decompressobj(window).decompress(body, most + 1)
    except zlib.error:
        return None


def _exif_text(value: object, comment: bool = False) -> str:
    """``comment``: eight bytes name the coding, more or less truly."""
    if isinstance(value, str):
        try:
            value = value.encode("latin-1")  # what Pillow decoded may be UTF-8
        except UnicodeEncodeError:
            return _clean(value)
    if not isinstance(value, bytes) or len(value) > MAX_TEXT:
        return ""
    if comment:
        coding, body = value[:8].upper(), value[8:]
        if coding.startswith(b"JIS"):
            for each in ("iso2022_jp", "euc_jp", "shift_jis"):
                try:
                    return _clean(body.decode(each))
                except UnicodeDecodeError:
                    continue
        if coding.rstrip(b" \0") in (b"", b"ASCII", b"UNICODE", b"JIS"):
            value = body
    return decoded(value)


def _bits(values: np.ndarray, start: int, end: int) -> bytes:
    """Bits ``start`` to ``end`` of the lowest bits of ``values`` [height, width, channels], column by column."""
    height, _, count = values.shape
    first, last = start // (height * count), -(-end // (height * count))
    bits = (values[:, first:last].transpose(1, 0, 2) & 1).reshape(-1)
    skip = start - first * height * count
    return np.packbits(bits[skip : skip + end - start]).tobytes()


def _clean(text: str) -> str:
    return text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").strip("\ufeff\ufffe \n\t")
