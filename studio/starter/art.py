# transformers, diffusers and Pillow type these calls wider than they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOperatorIssue=false
"""The sprites that the starter world is made of: fetched from the npm registry at training time, rasterised once.

Four openly licensed emoji sets give every object four looks. Nothing here is needed to run the studio.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from studio.starter import colour
from studio.starter.vocabulary import COLOURS, OBJECTS, STYLES

PACKAGES = (
    "@lobehub/fluent-emoji-3d", "@iconify-json/fluent-emoji-flat", "@iconify-json/noto", "@iconify-json/twemoji",
    "emojibase-data",
)  # fmt: skip
SVG_SETS = {"flat": "fluent-emoji-flat", "cartoon": "noto", "sticker": "twemoji"}
SPRITE_SIZE = 128
_PACK_FORMAT = 1


class ArtError(RuntimeError):
    """The art could not be fetched or read; the message names the fix."""


@dataclass(frozen=True)
class Art:
    """Cut-out sprites of every object in every style.

    `sprites` is uint8 RGBA [objects, styles, S, S, 4], each sprite centred and scaled so that its longer side is S.
    `colours[object][style]` is the named colour that most of the sprite has, or "" when none dominates.
    """

    names: tuple[str, ...]
    styles: tuple[str, ...]
    sprites: NDArray[np.uint8]
    colours: tuple[tuple[str, ...], ...]

    @property
    def size(self) -> int:
        return int(self.sprites.shape[2])

    def sprite(self, name: str, style: str) -> Image.Image:
        """The RGBA cut-out, cropped to its opaque box."""
        picture = Image.fromarray(self.sprites[self.names.index(name), self.styles.index(style)], "RGBA")
        return picture.crop(opaque_box(picture))

    def colour_word(self, name: str, style: str) -> str:
        return self.colours[self.names.index(name)][self.styles.index(style)]

    def subset(self, names: tuple[str, ...], size: int) -> Art:
        """A smaller pack: fewer objects, sprites resized to `size`."""
        picked = [self.names.index(n) for n in names]
        small = np.stack([
            np.stack([
                np.asarray(Image.fromarray(self.sprites[i, j], "RGBA").resize((size, size), Image.Resampling.LANCZOS))
                for j in range(len(self.styles))
            ])
            for i in picked
        ])  # fmt: skip
        return Art(tuple(names), self.styles, small, tuple(self.colours[i] for i in picked))

    def save(self, path: Path) -> None:
        """Write the pack as one lossless WebP sheet with the names in its file's JSON neighbour."""
        n, s, size = len(self.names), len(self.styles), self.size
        sheet = self.sprites.transpose(0, 2, 1, 3, 4).reshape(n * size, s * size, 4)
        columns = -(-n * size // 8192)  # WebP is limited to 16383 pixels a side
        rows = -(-n // columns)
        padded = np.zeros((columns * rows * size, s * size, 4), np.uint8)
        padded[: n * size] = sheet
        wide = np.concatenate(np.split(padded, columns), axis=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(wide, "RGBA").save(path.with_suffix(".webp"), lossless=True, quality=60, method=4, exact=False)
        meta = {"format": _PACK_FORMAT, "names": self.names, "styles": self.styles, "size": size, "rows": rows,
                "columns": columns, "colours": self.colours}  # fmt: skip
        path.with_suffix(".json").write_text(json.dumps(meta), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Art:
        """Read a pack that `save` wrote; `path` is with or without the suffix."""
        meta: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        with Image.open(path.with_suffix(".webp")) as picture:
            wide = np.asarray(picture.convert("RGBA"))
        sheet = np.concatenate(np.split(wide, meta["columns"], axis=1), axis=0)
        n, s, size = len(meta["names"]), len(meta["styles"]), meta["size"]
        sprites = sheet[: n * size].reshape(n, size, s, size, 4).transpose(0, 2, 1, 3, 4)
        colours = tuple(tuple(row) for row in meta["colours"])
        return cls(tuple(meta["names"]), tuple(meta["styles"]), np.ascontiguousarray(sprites), colours)


def opaque_box(picture: Image.Image) -> tuple[int, int, int, int]:
    """The smallest box that holds every pixel that is more than faintly opaque."""
    box = picture.getchannel("A").point(lambda a: 255 if a > 24 else 0).getbbox()
    return box or (0, 0, *picture.size)


def fetch(folder: Path) -> Path:
    """Install the art packages under `folder` with npm, unless they are there; returns `node_modules`."""
    modules = folder / "node_modules"
    missing = [p for p in PACKAGES if not (modules / p / "package.json").exists()]
    if missing:
        npm = shutil.which("npm")
        if npm is None:
            raise ArtError("npm was not found: install Node.js, it fetches the art that the starter models learn from")
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *missing]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise ArtError(
                f"npm could not install the art packages ({reason[0]}): check the network, then run it again"
            )
    return modules


def _codepoints(modules: Path) -> dict[str, str]:
    rows = json.loads((modules / "emojibase-data/en/data.json").read_text(encoding="utf-8"))
    slug = {}
    for row in rows:
        label = "".join(c if c.isalnum() else "-" for c in row["label"].lower())
        slug["-".join(filter(None, label.split("-")))] = row["hexcode"].lower()
    return slug


def _square(picture: Image.Image, size: int) -> Image.Image:
    cut = picture.crop(opaque_box(picture))
    scale = size / max(cut.size)
    w, h = (max(1, round(v * scale)) for v in cut.size)
    out = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    out.paste(cut.resize((w, h), Image.Resampling.LANCZOS), ((size - w) // 2, (size - h) // 2))
    return out


def _die_cut(picture: Image.Image) -> Image.Image:
    """The sprite with a white rim and a soft grey edge, as a die-cut sticker has."""
    size = picture.width
    rim = max(3, round(size * 0.055)) | 1
    canvas = Image.new("RGBA", (size + 4 * rim, size + 4 * rim), (0, 0, 0, 0))
    canvas.paste(picture, (2 * rim, 2 * rim))
    alpha = canvas.getchannel("A")
    for _ in range(2):
        alpha = alpha.filter(ImageFilter.MaxFilter(rim if rim % 2 else rim + 1))
    alpha = alpha.filter(ImageFilter.GaussianBlur(1.2)).point(lambda a: 0 if a < 96 else min(255, (a - 96) * 3))
    edge = alpha.filter(ImageFilter.MaxFilter(5))
    rim_layer = Image.new("RGBA", canvas.size, (150, 150, 156, 0))
    rim_layer.putalpha(edge)
    white = Image.new("RGBA", canvas.size, (255, 255, 255, 0))
    white.putalpha(alpha)
    return Image.alpha_composite(Image.alpha_composite(rim_layer, white), canvas)


def dominant_colour(picture: Image.Image) -> str:
    """The named colour of more than 45 % of the opaque pixels, or "" when there is none."""
    pixels = np.asarray(picture.resize((24, 24), Image.Resampling.BOX)).reshape(-1, 4)
    solid = pixels[pixels[:, 3] > 200][:, :3]
    if len(solid) < 12:
        return ""
    lab = colour.rgb_to_lab(solid)
    named = colour.rgb_to_lab(np.array(list(COLOURS.values()), np.uint8))
    nearest = np.argmin(np.linalg.norm(lab[:, None] - named[None], axis=-1), axis=1)
    votes = np.bincount(nearest, minlength=len(COLOURS))
    best = int(votes.argmax())
    return tuple(COLOURS)[best] if votes[best] > 0.45 * len(solid) else ""


def rasterise(modules: Path, names: tuple[str, ...] = tuple(OBJECTS), size: int = SPRITE_SIZE) -> Art:
    """Draw every object of `names` in every style."""
    import resvg_py

    codes = _codepoints(modules)
    sets = {}
    for style, package in SVG_SETS.items():
        data = json.loads((modules / "@iconify-json" / package / "icons.json").read_text(encoding="utf-8"))
        sets[style] = data
    sprites = np.zeros((len(names), len(STYLES), size, size, 4), np.uint8)
    colours: list[tuple[str, ...]] = []
    for i, name in enumerate(names):
        row = []
        for j, style in enumerate(STYLES):
            if style == "3d":
                picture = _open_3d(modules, codes[OBJECTS[name]])
            else:
                data = sets[style]
                icon = data["icons"][OBJECTS[name]]
                w = icon.get("width", data.get("width", 16))
                h = icon.get("height", data.get("height", 16))
                svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}">{icon["body"]}</svg>'
                png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=2 * size))
                picture = Image.open(io.BytesIO(png)).convert("RGBA")
            row.append(dominant_colour(picture))
            picture = _square(picture, size)
            if style == "sticker":
                picture = _square(_die_cut(picture), size)
            sprites[i, j] = np.asarray(picture)
        colours.append(tuple(row))
    return Art(tuple(names), STYLES, sprites, tuple(colours))


def _open_3d(modules: Path, code: str) -> Image.Image:
    folder = modules / "@lobehub/fluent-emoji-3d/assets"
    for candidate in (code, f"{code}-fe0f", code.replace("-fe0f", "")):
        if (folder / f"{candidate}.webp").exists():
            with Image.open(folder / f"{candidate}.webp") as picture:
                return picture.convert("RGBA")
    raise ArtError(
        f"@lobehub/fluent-emoji-3d has no sprite {code}: remove the object from studio/starter/vocabulary.py"
    )


def load(cache: Path) -> Art:
    """The full art: from the cached pack, else rasterised from fetched packages (about a minute)."""
    pack = cache / "sprites"
    if pack.with_suffix(".json").exists():
        art = Art.load(pack)
        if art.names == tuple(OBJECTS) and art.styles == STYLES:
            return art
    art = rasterise(fetch(cache))
    art.save(pack)
    return art
