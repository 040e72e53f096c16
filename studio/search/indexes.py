"""The neighbours of every owner that was asked for, as many as fit in memory, and the graphs of the large ones."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from studio.store.database import Database

if TYPE_CHECKING:
    from studio.search.vectors import Neighbours

log = logging.getLogger(__name__)

MEMORY = 1_000_000_000
"""Bytes of vectors kept between queries, of all owners together."""
REST_AFTER_FAILURE = 600.0
"""Seconds."""


class Indexes:
    def __init__(self, database: Database, folder: Path, exact_limit: int | None = None) -> None:
        self._database = database
        self._folder = folder
        self._exact_limit = exact_limit
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Neighbours] = OrderedDict()
        self._builder: threading.Thread | None = None
        self._build_after = 0.0
        self._stop = threading.Event()

    def of(self, user: str, model: str) -> Neighbours:
        from studio.search.vectors import EXACT_LIMIT, Neighbours

        with self._lock:
            known = self._known.get((user, model))
            if known is None:
                limit = EXACT_LIMIT if self._exact_limit is None else self._exact_limit
                known = Neighbours(self._database, self._folder, user, model, exact_limit=limit)
                self._known[user, model] = known
            self._known.move_to_end((user, model))
            while len(self._known) > 1 and sum(each.bytes for each in self._known.values()) > MEMORY:
                self._known.popitem(last=False)
        return known

    def forget(self, model: str) -> None:
        with self._lock:
            for key in [key for key in self._known if key[1] == model]:
                del self._known[key]

    def build_next(self) -> None:
        """Build a graph that is wanted, in a thread, one at a time."""
        if (self._builder and self._builder.is_alive()) or time.monotonic() < self._build_after:
            return
        with self._lock:
            wanted = next((each for each in self._known.values() if each.wants_build), None)
        if wanted:
            self._stop.clear()
            self._builder = threading.Thread(target=self._build, args=(wanted,), name="search-index", daemon=True)
            self._builder.start()

    def stop(self) -> None:
        """End a build that is going on; it changes nothing."""
        self._stop.set()
        if self._builder:
            self._builder.join()

    def _build(self, neighbours: Neighbours) -> None:
        try:
            neighbours.build(self._stop)
        except Exception:  # a full disk, most likely; until then queries read the table
            log.exception("the search index could not be built")
            self._build_after = time.monotonic() + REST_AFTER_FAILURE
