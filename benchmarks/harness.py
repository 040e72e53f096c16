"""What the measurements share: alternating runs, medians with their spread, the machine, child processes, tables."""

from __future__ import annotations

import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
DRAWING = ("torch", "diffusers", "transformers", "gradio")


@dataclass(frozen=True)
class Row:
    """One line of the table: ``ours`` and ``other`` are raw samples in ``unit``, ``ratio`` is other over ours."""

    measure: str
    unit: str
    ours: list[float]
    other: list[float]
    against: str
    """What ``other`` is; empty when there is nothing to compare with."""
    note: str = ""
    higher_is_better: bool = False
    comparable: bool = True
    """False where a ratio says nothing, such as two slopes near 0."""

    @property
    def ratio(self) -> float | None:
        """Above 1 means that ours is better."""
        if not self.other or not self.comparable:
            return None
        ours, other = statistics.median(self.ours), statistics.median(self.other)
        top, bottom = (ours, other) if self.higher_is_better else (other, ours)
        return top / bottom if bottom else None


def alternate(
    ours: Callable[[], float], other: Callable[[], float], rounds: int, warm_up: int = 1
) -> tuple[list[float], list[float]]:
    """Run A B A B ``rounds`` times after ``warm_up`` unmeasured rounds: a slow minute of the machine hits both."""
    samples: tuple[list[float], list[float]] = ([], [])
    for index in range(warm_up + rounds):
        first, second = ours(), other()
        if index >= warm_up:
            samples[0].append(first)
            samples[1].append(second)
    return samples


def median_and_spread(samples: Sequence[float]) -> str:
    """``median (p10-p90)`` with three significant digits; one sample is printed alone."""
    if not samples:
        return ""
    ordered = sorted(samples)
    middle = _short(statistics.median(ordered))
    if len(ordered) == 1:
        return middle
    return f"{middle} ({_short(percentile(ordered, 10))} to {_short(percentile(ordered, 90))})"


def percentile(samples: Sequence[float], percent: float) -> float:
    """Linear interpolation between the two nearest samples."""
    ordered = sorted(samples)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def slope(values: Sequence[float]) -> float:
    """Least-squares slope per index."""
    return statistics.linear_regression(range(len(values)), values).slope


def _short(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def machine(*packages: str) -> dict[str, Any]:
    """Names what was measured on, with the versions of ``packages`` or else of those that draw. ``load_before`` is the
    run queue of the last minute."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next(
            (line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")),
            model,
        )
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_before": round(psutil.getloadavg()[0], 2),
        "system": platform.platform(aliased=True, terse=True),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages or DRAWING},
    }


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure_in_child(function: str, **arguments: Any) -> Any:
    """Run ``module:function`` of this package in a fresh Python: no run sees another's memory. Returns its JSON."""
    module, _, name = function.partition(":")
    program = (
        f"import json, sys; from benchmarks.{module} import {name} as run; "
        "result = run(**json.loads(sys.argv[1])); print('\\n@@' + json.dumps(result))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{function} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.rsplit("@@", 1)[1])


@dataclass
class Server:
    """A child process that serves HTTP on ``url``."""

    process: psutil.Process
    url: str
    seconds: float
    """From start to the first page that answered 200."""
    data_dir: Path


@contextmanager
def serving(
    command: Sequence[str], *, ready: str = "/", environment: dict[str, str] | None = None, timeout: float = 600
) -> Iterator[Server]:
    """Start ``command`` on a free port and a fresh data folder, yield once ``ready`` answers, stop it at the end."""
    import httpx

    port = free_port()
    with tempfile.TemporaryDirectory(prefix="studio-bench-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "server.log"
        env = (
            os.environ
            | {"STUDIO_PORT": str(port), "STUDIO_DATA_DIR": str(Path(folder) / "data"), "CI": "true"}
            | (environment or {})
        )
        url = f"http://127.0.0.1:{port}"
        with log.open("w") as output:
            started = time.perf_counter()
            child = subprocess.Popen(list(command), cwd=ROOT, env=env, stdout=output, stderr=output)
        process = psutil.Process(child.pid)
        try:
            seconds = None
            while time.perf_counter() - started < timeout:
                if child.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)} stopped:\n{log.read_text()[-3000:]}")
                try:
                    if httpx.get(url + ready, timeout=5).status_code == 200:
                        seconds = time.perf_counter() - started
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.02)
            if seconds is None:
                raise RuntimeError(f"{' '.join(command)} did not answer in {timeout:.0f} s:\n{log.read_text()[-3000:]}")
            yield Server(process, url, seconds, Path(folder) / "data")
        finally:
            family = [*process.children(recursive=True), process] if process.is_running() else []
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(20)
            for left in psutil.wait_procs(family, timeout=5)[1]:
                left.kill()


def table(rows: Sequence[Row]) -> str:
    """Markdown. A ratio above 1 means that ours is better."""
    lines = ["| measure | ours | other | ratio | against |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        ratio = f"**{row.ratio:.2f}x**" if row.ratio is not None else ""
        against = " ".join(filter(None, (row.against, f"({row.note})" if row.note else "")))
        cells = (
            f"{row.measure} [{row.unit}]",
            median_and_spread(row.ours),
            median_and_spread(row.other),
            ratio,
            against,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def as_json(rows: Sequence[Row], about: dict[str, Any]) -> dict[str, Any]:
    return {"machine": about, "rows": [asdict(row) | {"ratio": row.ratio} for row in rows]}
