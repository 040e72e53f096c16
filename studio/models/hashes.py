"""SHA-256 of weights, remembered by path, size and time in ``data_dir/weights-sha256.json``. No torch here."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from pathlib import Path

from studio.models.catalog import Catalog
from studio.models.weights import weights_in

log = logging.getLogger(__name__)

_LEGACY = (0x100000, 0x10000)
"""Where AUTOMATIC1111's first kind of hash began to read, and how much."""


class WeightHashes:
    """Of the weights that decide: of a painter its denoiser's, of a single file the file. Thread-safe."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._file = catalog.settings.data_dir / "weights-sha256.json"
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._at_work: threading.Thread | None = None

    def of(self, id: str) -> str:
        """64 hex digits; read from the disk (seconds for a large file) unless they are remembered."""
        files = self._files(id)
        key = _key(files)
        with self._lock:
            known = self._known()
            if key not in known:
                digest = hashlib.sha256()
                for file in files:
                    with file.open("rb") as stream:
                        while block := stream.read(1 << 20):
                            digest.update(block)
                known[key] = digest.hexdigest()
                self._file.parent.mkdir(parents=True, exist_ok=True)
                part = self._file.with_suffix(f".{os.getpid()}.part")
                part.write_text(json.dumps(known), encoding="utf-8")
                os.replace(part, self._file)
            return known[key]

    def remembered(self, id: str) -> str:
        """The same without reading weights; "" when it is not known yet."""
        try:
            return self._known().get(_key(self._files(id)), "")
        except OSError:
            return ""

    def find(self, said: str, ids: list[str], patience: float = 3.0) -> str:
        """The one of ``ids`` whose weights have the hash ``said``: whole, its first 10 digits, or AUTOMATIC1111's
        first kind of 8; "" when there is none.

        Weights that nobody looked at yet are read in a thread, on which one caller waits for at most ``patience``
        seconds; a later call knows them.
        """
        said = said.strip().lower().removeprefix("0x")
        if not 8 <= len(said) <= 64 or not set(said) <= set("0123456789abcdef"):
            return ""
        if len(said) == 8 and (old := next((id for id in ids if self._legacy(id) == said), "")):
            return old
        with self._starting:
            fresh = [id for id in ids if not self.remembered(id)]
            started = bool(fresh) and (self._at_work is None or not self._at_work.is_alive())
            if started:
                self._at_work = threading.Thread(target=self._read, args=(fresh,), name="weight-hashes", daemon=True)
                self._at_work.start()
        if started and self._at_work is not None:
            self._at_work.join(patience)
        return next((id for id in ids if self.remembered(id).startswith(said)), "")

    def _read(self, ids: list[str]) -> None:
        for id in ids:
            try:
                self.of(id)
            except Exception:  # a model removed meanwhile, or a disk that went away
                log.warning("the weights of %s cannot be read", id, exc_info=True)

    def _legacy(self, id: str) -> str:
        """Eight digits from 64 KiB in the middle of a single file; "" for folders."""
        try:
            (file,) = self._files(id)
            with file.open("rb") as stream:
                stream.seek(_LEGACY[0])
                return hashlib.sha256(stream.read(_LEGACY[1])).hexdigest()[:8]
        except (OSError, ValueError):
            return ""

    def _files(self, id: str) -> list[Path]:
        place = self._catalog.location(id)
        return [place] if place.is_file() else weights_in(place / self._catalog.get(id).denoiser)

    def _known(self) -> dict[str, str]:
        try:
            known = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return {key: str(each) for key, each in known.items()} if isinstance(known, dict) else {}


def _key(files: list[Path]) -> str:
    stamps = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(stamps).encode()).hexdigest()
