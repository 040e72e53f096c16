"""``python -m benchmarks [--quick] [--only drawing memory ...]``: measure, print, write JSON and the table."""

from __future__ import annotations

import argparse
import sys

from benchmarks import drawing, memory, pictures, service
from benchmarks.harness import ROOT, Row, as_json, machine, measure_in_child, table

JSON = ROOT / "benchmarks" / "results.json"
DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- results -->", "<!-- /results -->"


def draw(quick: bool) -> list[Row]:
    rounds = 3 if quick else 12
    return drawing.rows(
        measure_in_child("drawing:capability", rounds=rounds), measure_in_child("drawing:whole_studio", rounds=rounds)
    )


PARTS = {"drawing": draw, "memory": memory.rows, "service": service.rows, "pictures": pictures.rows}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios measured side by side.")
    parser.add_argument("--quick", action="store_true", help="few rounds; writes nothing")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="which parts to run; writes nothing"
    )
    chosen = parser.parse_args()
    about, rows = machine(), []
    for name in chosen.only:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        rows += PARTS[name](chosen.quick)
    about["load_after"] = machine()["load_before"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    named = (
        f"{about['cpu']}, {about['cores']} cores, {about['memory_gb']} GB, {about['system']}, "
        f"Python {about['python']}, {versions}. "
        f"Load average {about['load_before']} before and {about['load_after']} after the run."
    )
    print(f"{named}\n\n{table(rows)}")
    if not chosen.quick and set(chosen.only) == set(PARTS):
        JSON.write_text(as_json(rows, about), "utf-8")
        text = DOCUMENT.read_text("utf-8")
        before, rest = text.split(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{named}\n\n{table(rows)}\n{END}{rest.split(END)[1]}", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
