"""What a running capability may use."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from studio.capability import Source
from studio.errors import Cancelled
from studio.models.catalog import Catalog
from studio.settings import Settings
from studio.store.database import JobRow
from studio.store.embeddings import Embeddings
from studio.store.library import Library
from studio.store.words import Words
from studio.worker.messages import Progress, Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from studio.models.manager import ModelManager

PREVIEW_SIDE = 384
PREVIEW_EVERY = 0.1
"""Seconds between previews: faster than the eye wants them, they only cost time."""


class Rooms(Protocol):
    """Where a job finds things; `studio.worker.runner.Runner` has them."""

    settings: Settings
    catalog: Catalog
    library: Library
    words: Words
    embeddings: Embeddings

    @property
    def models(self) -> ModelManager: ...


class JobContext:
    """The `studio.capability.Context` of one job; ``models`` is a property, so that torch is imported at its first
    use."""

    def __init__(
        self,
        rooms: Rooms,
        job: JobRow,
        send: Callable[[Report], None],
        cancelled: Callable[[], bool],
        kept: frozenset[int],
    ) -> None:
        self._rooms = rooms
        self._job = job
        self._send = send
        self._cancelled = cancelled
        self._previewed = 0.0
        self.settings = rooms.settings
        self.catalog = rooms.catalog
        self.kept = kept
        self.words = rooms.words.of(job.owner)

    @property
    def models(self) -> ModelManager:
        return self._rooms.models

    def source(self, id: str) -> Source:
        return self._rooms.library.source(id, user=self._job.owner)

    def picture(self, id: str, *, alpha: bool = False) -> Image:
        return self._rooms.library.picture(id, user=self._job.owner, alpha=alpha)

    def unmarked(self, id: str, *, alpha: bool = False) -> Image:
        return self._rooms.library.unmarked(id, user=self._job.owner, alpha=alpha)

    def file(self, id: str) -> Path:
        return self._rooms.library.file(id, user=self._job.owner)

    def keep_vectors(self, model: str, vectors: Mapping[tuple[str, float], NDArray[np.float32]]) -> None:
        self._rooms.embeddings.keep(model, vectors, user=self._job.owner)

    def check(self) -> None:
        if self._cancelled():
            raise Cancelled

    def progress(self, step: int, steps: int, preview: Image | None = None, message: str = "") -> None:
        self.check()
        blob = b""
        if preview is not None and time.monotonic() - self._previewed >= PREVIEW_EVERY:
            self._previewed = time.monotonic()
            blob = _small_webp(preview)
        self._send(Progress(self._job.id, step, steps, message, blob))


def _small_webp(image: Image) -> bytes:
    small = image.convert("RGB")
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=75, method=0)
    return buffer.getvalue()
