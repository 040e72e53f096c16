"""One labelled picture of many: the sheet of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from studio.settings import ROOT

LONGEST = 4096
"""Pixels of a sheet's longer side, without its labels."""
CELL = 512
"""Pixels that a cell's longer side may have."""
GAP = 8
INK, PAPER, FAINT = (24, 24, 27), (255, 255, 255), (228, 228, 231)
_SIZE = 20
_UNKNOWN = "?"


def cell_side(columns: int, rows: int) -> int:
    """Longest side of one picture on a sheet."""
    return min(CELL, LONGEST // max(columns, rows))


def small(image: Image.Image, side: int) -> Image.Image:
    """A copy of at most ``side`` pixels a side, on white where it is transparent."""
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, PAPER)
        image = Image.alpha_composite(ground, image).convert("RGB")
    return image


def sheet(
    cells: Mapping[tuple[int, int], Image.Image | str], columns: Sequence[str], rows: Sequence[str], side: int
) -> Image.Image:
    """The ``cells`` by (column, row), under the labels of their columns and beside those of their rows.

    ``rows`` is (""), without room for labels, where there is one axis. In place of a picture a sentence is written.
    """
    images = [each for each in cells.values() if isinstance(each, Image.Image)]
    width = max((each.width for each in images), default=side)
    height = max((each.height for each in images), default=side)
    left = max((_width(line) for label in rows for line in _lines(label, side)), default=0)
    left += 2 * GAP if left else 0
    top = max(_height(_lines(label, width)) for label in columns) + 2 * GAP
    size = left + len(columns) * (width + GAP) + GAP, top + len(rows) * (height + GAP) + GAP
    made = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(made)
    for column, label in enumerate(columns):
        middle = left + GAP + column * (width + GAP) + width // 2
        _write(pen, _lines(label, width), middle, top // 2)
    for row, label in enumerate(rows):
        _write(pen, _lines(label, side), left // 2, top + row * (height + GAP) + height // 2)
    for (column, row), cell in cells.items():
        x, y = left + GAP + column * (width + GAP), top + row * (height + GAP)
        if isinstance(cell, str):
            pen.rectangle((x, y, x + width - 1, y + height - 1), fill=FAINT)
            _write(pen, _lines(cell, width - 2 * GAP), x + width // 2, y + height // 2)
        else:
            made.paste(cell, (x + (width - cell.width) // 2, y + (height - cell.height) // 2))
    return made


def unwritten(text: str) -> bool:
    """Whether ``text`` has letters that the font of labels lacks."""
    return _known(text).count(_UNKNOWN) > text.count(_UNKNOWN)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.truetype(ROOT / "assets" / "ui" / "inter-latin.woff2", _SIZE)
    except OSError:  # FreeType without WOFF2, in some builds of Pillow: its own font knows ASCII only
        return ImageFont.load_default(_SIZE)


@cache
def _missing() -> bytes:
    """How the font draws what it lacks."""
    return _drawn("\U0010fffe")


def _drawn(letter: str) -> bytes:
    tile = Image.new("L", (2 * _SIZE, 2 * _SIZE))
    ImageDraw.Draw(tile).text((0, 0), letter, fill=255, font=_font())
    return tile.tobytes()


def _known(text: str) -> str:
    return "".join(
        letter if letter == " " or _drawn(letter) != _missing() else _UNKNOWN for letter in " ".join(text.split())
    )


def _lines(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` pixels, at most six of them."""
    lines: list[str] = []
    for word in _known(text).split(" "):
        while word:
            joined = f"{lines[-1]} {word}" if lines and lines[-1] else word
            if lines and _width(joined) <= width:
                lines[-1], word = joined, ""
                continue
            fits = next((end for end in range(len(word), 1, -1) if _width(word[:end]) <= width), 1)
            lines.append(word[:fits])
            word = word[fits:]
    return [*lines[:5], f"{lines[5][:-3]}..."] if len(lines) > 6 else lines


def _width(line: str) -> int:
    return round(_font().getlength(line))


def _height(lines: Sequence[str]) -> int:
    return len(lines) * (_SIZE + 4)


def _write(pen: ImageDraw.ImageDraw, lines: Sequence[str], x: int, y: int) -> None:
    """``lines`` one under the other, their middle at (x, y)."""
    y -= _height(lines) // 2
    for line in lines:
        pen.text((x - _width(line) // 2, y), line, fill=INK, font=_font())
        y += _SIZE + 4
