"""Search: one matrix product against the usearch graph, through the code and the table that serve real queries.

The vectors are made up: clusters in 48 dimensions, carried into more by a random map, with a little noise in all of
them. Queries are new members of the clusters. Real pictures may be easier or harder to tell apart.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.harness import measure_in_child, median_and_spread

SIZES = ((1_000, 512), (50_000, 512), (1_000_000, 128))
"""How many vectors of how many dimensions. The million has the 128 of the starter CLIP: it fits a small machine."""
QUICK = ((1_000, 512), (5_000, 128))
QUERIES = 200
HITS = 10
LATENT = 48
MEMBERS = 100
"""Neighbours of a cluster."""


@dataclass(frozen=True)
class Line:
    """One way of answering at one size."""

    vectors: int
    dims: int
    way: str
    used: bool
    """That the studio answers in this way at this size."""
    recall: float
    """Share of the `HITS` nearest that it finds."""
    query_ms: list[float]
    query_cpu_ms: list[float]
    """Without what other programs took of the core meanwhile."""
    open_seconds: float
    """First query of a new process: the vectors are read, or the graph is checked and mapped."""
    build_cpu_seconds: float
    file_mb: float
    memory_mb: float
    """What the process grew by; of the graph these are pages of its file, which the system can take back."""


def rows(quick: bool) -> list[Line]:
    from studio.search.vectors import EXACT_LIMIT

    lines = []
    for count, dims in QUICK if quick else SIZES:
        print(f"  {count:,} vectors of {dims} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            size = {"folder": folder, "count": count, "dims": dims}
            measure_in_child("search:fill", **size)
            exact = measure_in_child("search:ask", **size, limit=count)
            built = measure_in_child("search:build", **size)
            graph = measure_in_child("search:ask", **size, limit=1)
        pairs = zip(exact["found"], graph["found"], strict=True)
        recall = statistics.fmean(len(set(wanted) & set(found)) / HITS for wanted, found in pairs)
        small = count <= EXACT_LIMIT
        for way, used, answer, more in (
            ("one matrix product", small, exact, (1.0, 0.0, 0.0)),
            ("usearch graph", not small, graph, (recall, built["seconds"], built["file_mb"])),
        ):
            share, seconds, megabytes = more
            lines.append(
                Line(
                    count,
                    dims,
                    way,
                    used,
                    share,
                    answer["query_ms"],
                    answer["query_cpu_ms"],
                    answer["open_seconds"],
                    seconds,
                    megabytes,
                    answer["memory_mb"],
                )
            )
    return lines


def table(lines: Sequence[Line]) -> str:
    text = [
        "| vectors | dimensions | answered by | recall@10 | query [ms] | of it CPU [ms] | first query [s] "
        "| build [CPU s] | file [MB] | memory [MB] |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for line in lines:
        graph = line.build_cpu_seconds > 0
        cells = (
            f"{line.vectors:,}",
            str(line.dims),
            f"**{line.way}**" if line.used else line.way,
            f"{line.recall:.3f}" if graph else "1",
            median_and_spread(line.query_ms),
            median_and_spread(line.query_cpu_ms),
            f"{line.open_seconds:.2f}",
            f"{line.build_cpu_seconds:.1f}" if graph else "",
            f"{line.file_mb:.0f}" if graph else "",
            f"{line.memory_mb:.0f}",
        )
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text)


def as_json(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [asdict(line) for line in lines]


# -- in child processes ------------------------------------------------------------------------------------------------


def _members(count: int, dims: int, seed: int, clusters: int) -> Any:
    """Unit vectors [count, dims] of the clusters that ``clusters`` names, which do not depend on ``seed``."""
    import numpy as np

    fixed, dice = np.random.default_rng(0), np.random.default_rng(seed)
    carry = fixed.standard_normal((LATENT, dims), np.float32)
    centres = fixed.standard_normal((clusters, LATENT), np.float32)
    latent = centres[dice.integers(0, clusters, count)] + 0.9 * dice.standard_normal((count, LATENT), np.float32)
    vectors = latent @ carry + 0.7 * dice.standard_normal((count, dims), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _open(folder: str) -> Any:
    from studio.settings import Settings
    from studio.store.database import Database

    database = Database(Settings(data_dir=Path(folder)))
    database.open()
    return database


def _vectors(database: Any, folder: str, limit: int) -> Any:
    from studio.search.vectors import Neighbours

    return Neighbours(database, Path(folder) / "index", "local", "model", exact_limit=limit)


def fill(folder: str, count: int, dims: int) -> None:
    """The table of embeddings as it is after ``count`` pictures in a year."""
    from sqlalchemy import insert

    from studio.store.database import EmbeddingRow, now

    database = _open(folder)
    newest, block = now(), 20_000
    for start in range(0, count, block):
        size = min(block, count - start)
        vectors = _members(size, dims, start + 1, max(count // MEMBERS, 1)).astype("<f2")
        rows = [
            {
                "picture_id": f"{(start + at) * 0x9E3779B97F4A7C15 % 2**64:016x}{start + at:016x}",
                "model": "model",
                "time": 0.0,
                "owner": "local",
                "vector": vector.tobytes(),
                "created_at": newest - timedelta(days=365) * (1 - (start + at) / count) - timedelta(days=1),
            }
            for at, vector in enumerate(vectors)
        ]
        with database.write() as session:
            session.execute(insert(EmbeddingRow), rows)
    database.close()


def build(folder: str, count: int, dims: int) -> dict[str, float]:
    database = _open(folder)
    vectors = _vectors(database, folder, 1)
    vectors.refresh()
    started = time.process_time()
    vectors.build(threading.Event())
    seconds = time.process_time() - started
    size = sum(path.stat().st_size for path in (Path(folder) / "index").rglob("*") if path.is_file())
    database.close()
    return {"seconds": seconds, "file_mb": size / 1e6}


def ask(folder: str, count: int, dims: int, limit: int) -> dict[str, Any]:
    import psutil

    database = _open(folder)
    queries = _members(QUERIES, dims, 2**40, max(count // MEMBERS, 1))
    vectors = _vectors(database, folder, limit)
    process = psutil.Process()
    before = process.memory_info().rss
    started = time.perf_counter()
    next(vectors.ranked(queries[0]))
    first = time.perf_counter() - started
    found, times, cpu = [], [], []
    for query in queries:
        started, spent = time.perf_counter(), time.process_time()
        hits = next(vectors.ranked(query))
        times.append((time.perf_counter() - started) * 1e3)
        cpu.append((time.process_time() - spent) * 1e3)
        found.append([id for id, _, _ in hits[:HITS]])
    grown = (process.memory_info().rss - before) / 1e6
    database.close()
    return {"open_seconds": first, "query_ms": times, "query_cpu_ms": cpu, "found": found, "memory_mb": grown}
