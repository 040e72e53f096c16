"""What a command says, and the files that it writes."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.errors import StudioError

if TYPE_CHECKING:
    from studio.jobs import Job


def printable(path: Path | str) -> str:
    """A path as text that can be written anywhere: bytes that are no UTF-8 become a mark."""
    return os.fsencode(path).decode("utf-8", "replace")


def tell(line: str) -> None:
    """Replace the one line of progress on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def follow(job: Job, states: Iterable[Job]) -> Job:
    """The job once it is over; on a terminal its progress is shown in one line of stderr."""
    for state in states:
        job = state
        if not job.terminal:
            place = (
                f"waiting, number {job.position} in line" if job.status == "queued" else f"step {job.step}/{job.steps}"
            )
            left = "" if job.eta_seconds is None else f", {job.eta_seconds:.0f} s left"
            tell(f"{job.message or place}{left}")
    tell("")
    return job


def output_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise StudioError(
            f"Pictures cannot be written to {folder} ({error.strerror}): choose another --out."
        ) from error


def write_whole(path: Path, content: bytes, *, flag: str, kept: str) -> None:
    """All of the file or none of it; ``flag`` chose it, ``kept`` says where its content is in any case."""
    part = path.with_suffix(".part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StudioError(
            f"{path} cannot be written ({error.strerror}): free some space or choose another {flag}; {kept}."
        ) from error


def complain(sentence: str, code: int = 2) -> int:
    print(f"studio: {sentence}", file=sys.stderr)
    return code


def line_of(record: Mapping[str, Any]) -> str:
    """A record as a person reads it: of a list the first three entries."""
    parts = [str(record.get("path") or record.get("name") or record["index"])]
    for name, value in record.items():
        if name in ("index", "picture", "pictures", "clip", "name", "path") or value in (None, "", [], {}):
            continue
        if isinstance(value, list):
            more = ", ..." if len(value) > 3 else ""
            value = ", ".join(_words(each) for each in value[:3]) + more
        parts.append(f"{name}: {_words(value)}")
    return "  ".join(parts)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(_words(each) for each in value.values())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value) if not str(value).startswith("data:image/") else "(picture)"
