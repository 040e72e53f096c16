"""Nearest pictures: the vectors of one owner under one model, compared one by one or through a graph on disk.

The table of embeddings is the truth. Up to `EXACT_LIMIT` vectors a query is one matrix product with all of them in
memory. Beyond that a usearch graph (HNSW) of float16 vectors is built in the background and memory-mapped, and what was
added since is compared exactly beside it. While there is no sound graph, a query reads the table: slower, never wrong.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, func, select, tuple_
from usearch.index import Index

from studio.errors import StudioError
from studio.store.database import Database, EmbeddingRow
from studio.store.files import write_durably

log = logging.getLogger(__name__)

EXACT_LIMIT = 50_000
CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 16, 64, 96
"""Edges of a node, and how many candidates are held while adding and while searching: more is slower and finds more."""
BATCH = 500
DEPTHS = (256, 1024, 4096)
"""How many neighbours the graph is asked for while the reader of `Neighbours.ranked` wants more."""
BLOCK = 4096
"""Rows read from the table at a time."""
ADDED_AT_ONCE = 512
"""Vectors between two looks at whether a build should stop."""
OVERLAP = timedelta(minutes=1)
"""A row is dated before its transaction ends, so the last minute is looked at again."""
FORMAT = 1

_ROW = np.dtype([("id", "V16"), ("time", "<f8"), ("moment", "<i8")])

Neighbour = tuple[str, float, float]
"""Picture or clip id, seconds into the clip, cosine."""


@dataclass(frozen=True)
class _Block:
    rows: NDArray[Any]
    """`_ROW` [n], in order of their moments."""
    vectors: NDArray[np.float32]
    """[n, d]"""


class Neighbours:
    """All methods may be called from any thread. Nothing is read before the first one is called."""

    def __init__(
        self, database: Database, folder: Path, owner: str, model: str, *, exact_limit: int = EXACT_LIMIT
    ) -> None:
        self.owner, self.model, self.exact_limit = owner, model, exact_limit
        self._database = database
        self._folder = folder / hashlib.sha256(json.dumps([owner, model]).encode()).hexdigest()[:24]
        self._lock = threading.RLock()
        self._opened = False
        self._note = ""
        self._dims = 0
        self._graph: Index | None = None
        self._graph_rows = np.empty(0, _ROW)
        self._behind = False
        """More vectors than fit in memory have no graph: queries read the table until `build` is over."""
        self._empty_tail()

    @property
    def kind(self) -> Literal["exact", "approximate"]:
        """How a query is answered now."""
        with self._lock:
            self._open_once()
            return "approximate" if self._graph is not None else "exact"

    @property
    def bytes(self) -> int:
        """Memory held, without what the system maps from the graph's file."""
        return self._matrix.nbytes + self._rows.nbytes

    @property
    def wants_build(self) -> bool:
        with self._lock:
            return self._behind or self._count > self.exact_limit

    def take_note(self) -> str:
        """Why an index had to be built again, told once; "" when there is nothing to tell."""
        with self._lock:
            note, self._note = self._note, ""
            return note

    def ranked(self, query: NDArray[np.float32], among: Select[Any] | None = None) -> Iterator[list[Neighbour]]:
        """Hits for a unit vector [d], best first, in lists of at most a few thousand, down to the very last one.

        ``among`` selects the ids that count; without a graph it may be passed over. Deleted pictures may be among the
        hits. Raises `StudioError` 409 for a query of another size.
        """
        self.refresh()
        with self._lock:
            graph, graph_rows = self._graph, self._graph_rows
            rows, matrix = self._rows[: self._count], self._matrix[: self._count]
            behind = self._behind or (graph is not None and among is not None)
            if self._dims and len(query) != self._dims:
                raise StudioError(
                    f"The files of {self.model} have changed: restart the studio, which looks at all pictures again.",
                    status=409,
                )
        if behind:
            yield from self._from_table(query, among)
        elif graph is None:
            if len(rows):
                yield from _sorted(rows, matrix @ query)
        else:
            given: set[tuple[str, float]] = set()
            scores = matrix @ query if len(rows) else np.empty(0, np.float32)
            for hits in self._through_graph(query, graph, graph_rows, rows, scores):
                given.update((id, time) for id, time, _ in hits)
                yield hits
            for hits in self._from_table(query, None):
                yield [hit for hit in hits if hit[:2] not in given]

    def refresh(self) -> None:
        """Take in what was embedded since the last call."""
        with self._lock:
            self._open_once()
            if self._behind:
                return
            for block in self._read(self._since - OVERLAP if self._since else None):
                self._append(block)
                if self._count > 2 * self.exact_limit:  # an import, faster than graphs are built
                    self._fall_behind()
                    return

    def build(self, stop: threading.Event) -> None:
        """Add what the graph lacks, or make it from the table, and write it. Ends early, changing nothing, on ``stop``.

        Takes minutes to hours; queries go on meanwhile. One thread at a time may call this.
        """
        with self._lock:
            graph, rows = self._graph, self._graph_rows
        known = _recent(rows)
        since = _moment(rows[-1]["moment"]) - OVERLAP if len(rows) else None
        parts, count, index = [np.array(rows)], len(rows), None
        if graph is not None:
            index = _new_graph(graph.ndim)
            index.load(self._path(self._token, "usearch"))
        for block in self._read(since):
            new = _unknown(block.rows, known)
            fresh, vectors = block.rows[new], block.vectors[new].astype(np.float16)
            if index is None:
                index = _new_graph(vectors.shape[1])
            for start in range(0, len(fresh), ADDED_AT_ONCE):
                if stop.is_set():
                    return
                some = vectors[start : start + ADDED_AT_ONCE]
                keys = np.arange(count, count + len(some), dtype=np.uint64)
                index.add(keys, some, threads=max(1, (os.cpu_count() or 2) // 2))
                count += len(some)
            parts.append(fresh)
        if index is not None:
            self._write(index, np.concatenate(parts))

    # -- inside --------------------------------------------------------------------------------------------------

    def _empty_tail(self) -> None:
        self._rows, self._matrix, self._count = np.empty(0, _ROW), np.empty((0, 0), np.float32), 0
        self._since = _moment(self._graph_rows[-1]["moment"]) if len(self._graph_rows) else None
        self._known = _recent(self._graph_rows)

    def _fall_behind(self) -> None:
        self._graph, self._graph_rows, self._behind = None, np.empty(0, _ROW), True
        self._empty_tail()

    def _append(self, block: _Block) -> None:
        new = _unknown(block.rows, self._known)
        rows, vectors = block.rows[new], block.vectors[new]
        if len(rows):
            self._dims = vectors.shape[1]
            end = self._count + len(rows)
            if end > len(self._rows):  # a reader may hold the old arrays: they stay as they are
                size = max(end, 2 * len(self._rows), 256)
                grown = np.empty(size, _ROW), np.empty((size, self._dims), np.float32)
                grown[0][: self._count] = self._rows[: self._count]
                if self._count:
                    grown[1][: self._count] = self._matrix[: self._count]
                self._rows, self._matrix = grown
            self._rows[self._count : end], self._matrix[self._count : end] = rows, vectors
            self._count = end
        self._since = _moment(block.rows[-1]["moment"])
        self._known |= _recent(block.rows)
        if len(self._known) > 2 * BLOCK:
            oldest = _ticks(self._since - OVERLAP)
            self._known = {key for key in self._known if key[2] >= oldest}

    def _through_graph(
        self,
        query: NDArray[np.float32],
        graph: Index,
        graph_rows: NDArray[Any],
        rows: NDArray[Any],
        scores: NDArray[np.float32],
    ) -> Iterator[list[Neighbour]]:
        """The graph's neighbours, deeper and deeper, with the ``rows`` that it does not hold sorted in between."""
        given = np.empty(0, np.int64)
        for depth in DEPTHS:
            with self._lock:  # usearch lets only as many threads search as there are cores
                found = graph.search(query, min(depth, len(graph)), threads=1)
            inside, cosines = found.keys.astype(np.int64), 1 - found.distances
            beside = np.flatnonzero(scores >= cosines.min())
            places = np.concatenate([inside, beside + len(graph_rows)])
            hits = np.concatenate([graph_rows[inside], rows[beside]])
            cosines = np.concatenate([cosines, scores[beside]])
            new = np.flatnonzero(~np.isin(places, given))
            order = new[np.argsort(-cosines[new], kind="stable")]
            given = np.concatenate([given, places[order]])
            yield _hits(hits[order], cosines[order])
            if depth >= len(graph):
                return

    def _from_table(self, query: NDArray[np.float32], among: Select[Any] | None) -> Iterator[list[Neighbour]]:
        blocks = [(block.rows, block.vectors @ query) for block in self._read(None, among)]
        if blocks:
            rows, scores = zip(*blocks, strict=True)
            yield from _sorted(np.concatenate(rows), np.concatenate(scores))

    def _read(self, since: datetime | None, among: Select[Any] | None = None) -> Iterator[_Block]:
        """Rows in order of their dates, each block in its own transaction: a long one keeps the WAL from shrinking."""
        order = EmbeddingRow.created_at, EmbeddingRow.picture_id, EmbeddingRow.time
        page = (
            select(*order, EmbeddingRow.vector)
            .where(EmbeddingRow.owner == self.owner, EmbeddingRow.model == self.model)
            .order_by(*order)
            .limit(BLOCK)
        )
        if among is not None:
            page = page.where(EmbeddingRow.picture_id.in_(among))
        if since:
            page = page.where(EmbeddingRow.created_at >= since)
        after = None
        while True:
            with self._database.read() as session:
                found = session.execute(page.where(tuple_(*order) > after) if after else page).all()
            if not found:
                return
            width = self._dims * 2 or len(found[0].vector)
            if sound := [row for row in found if len(row[3]) == width]:
                moments, ids, times, vectors = zip(*sound, strict=True)
                rows = np.empty(len(sound), _ROW)
                rows["id"] = np.frombuffer(bytes.fromhex("".join(ids)), "V16")
                rows["time"] = times
                rows["moment"] = [_ticks(moment) for moment in moments]
                packed = np.frombuffer(b"".join(vectors), "<f2").reshape(len(sound), width // 2)
                yield _Block(rows, packed.astype(np.float32))
            if len(found) < BLOCK:
                return
            after = tuple(found[-1][:3])

    # -- the graph's files: graph and rows under one token, named by manifest.json, which is written last -----------

    def _path(self, token: str, suffix: str) -> Path:
        return self._folder / f"{token}.{suffix}"

    def _open_once(self) -> None:
        if self._opened:
            return
        mine = EmbeddingRow.owner == self.owner, EmbeddingRow.model == self.model
        with self._database.read() as session:
            stored = session.scalar(select(func.count()).select_from(EmbeddingRow).where(*mine)) or 0
            first = session.scalar(select(EmbeddingRow.vector).where(*mine).limit(1))
        self._opened, self._dims = True, len(first) // 2 if first else 0
        if stored <= self.exact_limit:
            return
        why = self._load(stored)
        if why:
            log.warning("search index of %s: %s", self.model, why)
            self._note = (
                f"The search index {why}: it is being built again from the stored vectors; until then a search "
                "reads all of them and takes longer."
            )
            self._fall_behind()

    def _load(self, stored: int) -> str:
        """Map the graph into memory. Returns why that cannot be, "" when it is done."""
        try:
            manifest = json.loads((self._folder / "manifest.json").read_text("utf-8"))
        except FileNotFoundError:
            return "was not there"
        except (OSError, ValueError):
            return "was damaged"
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            return "was of another version"
        if manifest.get("model") != self.model or manifest.get("dims") != self._dims:
            return "belonged to another model"
        token = str(manifest.get("token"))
        graph_file, rows_file = self._path(token, "usearch"), self._path(token, "npy")
        if not (graph_file.is_file() and rows_file.is_file()):
            return "was not there"
        # The library trusts what it reads, and damage can end the process: only what was written here is opened.
        if manifest.get("digests") != [_digest(graph_file), _digest(rows_file)]:
            return "was damaged"
        try:
            rows = np.load(rows_file, mmap_mode="r")
            graph = _new_graph(self._dims)
            graph.view(graph_file)
        except (OSError, ValueError, RuntimeError) as error:
            return f"could not be opened ({str(error)[:100]})"
        if len(rows) != len(graph) or rows.dtype != _ROW:
            return "was damaged"
        if stored < 0.75 * len(rows):
            return "held many pictures that are gone"
        self._take(graph, rows, token)
        return ""

    def _write(self, index: Index, rows: NDArray[Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        token = secrets.token_hex(4)
        graph_file, rows_file = self._path(token, "usearch"), self._path(token, "npy")
        index.save(graph_file)
        np.save(rows_file, rows)
        manifest = {
            "format": FORMAT,
            "owner": self.owner,
            "model": self.model,
            "dims": index.ndim,
            "count": len(rows),
            "token": token,
            "digests": [_digest(graph_file), _digest(rows_file)],
        }
        write_durably(self._folder / "manifest.json", json.dumps(manifest, indent=1).encode())
        graph = _new_graph(index.ndim)
        graph.view(graph_file)
        with self._lock:
            self._take(graph, np.load(rows_file, mmap_mode="r"), token)
        for path in self._folder.iterdir():
            if path.stem not in (token, "manifest"):
                with suppress(OSError):  # Windows keeps what a running query still maps; the next build removes it
                    path.unlink()

    def _take(self, graph: Index, rows: NDArray[Any], token: str) -> None:
        self._graph, self._graph_rows, self._token, self._behind = graph, rows, token, False
        self._dims = graph.ndim
        self._empty_tail()


def _new_graph(dims: int) -> Index:
    return Index(
        ndim=dims,
        metric="ip",
        dtype="f16",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION_SEARCH,
        enable_key_lookups=False,
    )


def groups(vectors: NDArray[np.float32], threshold: float) -> list[list[int]]:
    """Rows of unit vectors [n, d] that cosines of at least ``threshold`` connect, two or more in a group."""
    count = len(vectors)
    label = np.arange(count)
    members: dict[int, list[int]] = {}
    for start in range(0, count, 1024):
        near = vectors[start : start + 1024] @ vectors[start:].T >= threshold
        for offset in range(len(near)):
            at = start + offset
            beside = np.flatnonzero(near[offset, offset + 1 :]) + at + 1
            for other in np.unique(label[beside]) if len(beside) else ():
                mine, other = int(label[at]), int(other)
                if mine == other:
                    continue
                small, large = sorted((mine, other), key=lambda each: len(members.get(each, (each,))))
                moved = members.pop(small, [small])
                members.setdefault(large, [large]).extend(moved)
                label[moved] = large
    return [sorted(each) for each in members.values()]


def plane(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The two directions in which vectors [n, d] differ most (principal components), as [n, 2] from -1 to 1."""
    flat = np.zeros((len(vectors), 2), np.float32)
    if len(vectors) < 2:
        return flat
    centred = vectors - vectors.mean(0)
    _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = directions[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])  # else the sign is chance
    flat[:, : axes.shape[1]] = centred @ axes
    return flat / max(float(np.abs(flat).max()), 1e-9)


def _sorted(rows: NDArray[Any], scores: NDArray[np.float32]) -> Iterator[list[Neighbour]]:
    if len(scores) > 4 * BATCH:  # few readers want more than the best
        best = np.argpartition(-scores, BATCH)[:BATCH]
        best = best[np.argsort(-scores[best], kind="stable")]
        yield _hits(rows[best], scores[best])
        others = np.delete(np.arange(len(scores)), best)
        rows, scores = rows[others], scores[others]
    order = np.argsort(-scores, kind="stable")
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        yield _hits(rows[some], scores[some])


def _hits(rows: NDArray[Any], scores: NDArray[np.float32]) -> list[Neighbour]:
    ids = rows["id"].tobytes().hex()
    return [
        (ids[32 * place : 32 * place + 32], float(time), float(score))
        for place, (time, score) in enumerate(zip(rows["time"], scores, strict=True))
    ]


def _key(row: Any) -> tuple[bytes, float, int]:
    return row["id"].tobytes(), float(row["time"]), int(row["moment"])


def _recent(rows: NDArray[Any]) -> set[tuple[bytes, float, int]]:
    """Keys of those of the last minute: what another look at that minute need not take again."""
    if not len(rows):
        return set()
    oldest = int(rows[-1]["moment"]) - _ticks_of(OVERLAP)
    return {_key(row) for row in rows[int(np.searchsorted(rows["moment"], oldest)) :]}


def _unknown(rows: NDArray[Any], known: set[tuple[bytes, float, int]]) -> NDArray[np.bool_]:
    """Which of ``rows`` are not ``known``."""
    new = np.ones(len(rows), bool)
    if known:
        newest = max(moment for _, _, moment in known)
        for at in np.flatnonzero(rows["moment"] <= newest):
            new[at] = _key(rows[at]) not in known
    return new


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _ticks_of(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _ticks(moment: datetime) -> int:
    return _ticks_of(moment - _EPOCH)


def _moment(ticks: int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(ticks))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
