"""``python -m benchmarks [--quick] [--only drawing memory ...]``: measure, print, write JSON and the tables."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from benchmarks import (
    canvas,
    command,
    drawing,
    editing,
    enlarging,
    memory,
    pictures,
    search,
    service,
    waiting,
    watchers,
    watermark,
)
from benchmarks.harness import ROOT, Row, as_json, machine, measure_in_child, table

JSON = ROOT / "benchmarks" / "results.json"
DOCUMENT = ROOT / "docs" / "performance.md"


def draw(quick: bool) -> list[Row]:
    rounds = 3 if quick else 12
    return drawing.rows(
        measure_in_child("drawing:capability", rounds=rounds), measure_in_child("drawing:whole_studio", rounds=rounds)
    )


PARTS = {
    "drawing": draw,
    "command": command.rows,
    "memory": memory.rows,
    "service": service.rows,
    "pictures": pictures.rows,
    "watchers": watchers.rows,
}


OWN_TABLES: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "canvas": (canvas, ("playwright", "gradio"), "rows"),
    "editing": (editing, ("torch", "diffusers"), "rows"),
    "enlarging": (enlarging, ("torch", "spandrel", "pillow", "scikit-image"), "ways"),
    "search": (search, ("numpy", "usearch", "sqlalchemy"), "rows"),
    "waiting": (waiting, ("torch", "transformers"), "rows"),
    "watermark": (watermark, ("numpy", "pillow", "opencv-python-headless", "scikit-image"), "pictures"),
}
"""The parts whose rows are of another kind: module, packages they depend on, the name of their rows in the JSON."""


def named(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return (
        f"{about['cpu']}, {about['cores']} {'core' if about['cores'] == 1 else 'cores'}, {about['memory_gb']} GB, "
        f"{about['system']}, Python {about['python']}, {versions}. "
        f"Load average {about['load_before']} before and {about['load_after']} after the run."
    )


def keep(section: str, measured: dict[str, Any], text: str) -> None:
    """Replace a section of the document and what the JSON has of it; the others stay."""
    document = DOCUMENT.read_text("utf-8")
    begin, end = f"<!-- {section} -->", f"<!-- /{section} -->"
    before, rest = document.split(begin)
    DOCUMENT.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}", "utf-8")
    known = json.loads(JSON.read_text("utf-8")) if JSON.exists() else {}
    JSON.write_text(json.dumps(known | measured, indent=1) + "\n", "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios measured side by side.")
    parser.add_argument("--quick", action="store_true", help="few rounds; writes nothing")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*PARTS, *OWN_TABLES],
        default=[*PARTS, *OWN_TABLES],
        help="which parts to run; of the main table nothing is written then",
    )
    chosen = parser.parse_args()
    about, rows = machine(), []
    for name in [name for name in chosen.only if name in PARTS]:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        rows += PARTS[name](chosen.quick)
    if rows:
        about["load_after"] = machine()["load_before"]
        text = f"{named(about)}\n\n{table(rows)}"
        print(text)
        if not chosen.quick and set(PARTS) <= set(chosen.only):
            keep("results", as_json(rows, about), text)
    for name in [name for name in chosen.only if name in OWN_TABLES]:
        module, packages, key = OWN_TABLES[name]
        about = machine(*packages)
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        found = module.rows(chosen.quick)
        about["load_after"] = machine()["load_before"]
        text = f"{named(about)}\n\n{module.table(found)}"
        print(f"\n{text}")
        if not chosen.quick:
            keep(name, {name: {"machine": about, key: module.as_json(found)}}, text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
