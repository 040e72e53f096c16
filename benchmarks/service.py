"""The server: how soon the page answers, what a submission costs while the model is busy; against the usual demo."""

from __future__ import annotations

import sys
import time
from typing import Any

import httpx

from benchmarks.harness import Row, Server, alternate, cpu_seconds, percentile, serving

OURS = (sys.executable, "app.py")
NAIVE = (sys.executable, "-m", "benchmarks.naive_app")
PROMPT = "a red apple on a blue background"
MANY = {"STUDIO_MAX_QUEUED_JOBS": "100000"}


def start_up(rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds until the page answers 200; CPU seconds and megabytes of the process that serves it at that moment."""
    spent: dict[str, tuple[list[float], list[float]]] = {"cpu": ([], []), "memory": ([], [])}

    def run(command: tuple[str, ...], side: int) -> float:
        with serving(command) as server:
            spent["cpu"][side].append(cpu_seconds(server.process))
            spent["memory"][side].append(server.process.memory_info().rss / 1e6)
            return server.seconds

    wall = alternate(lambda: run(OURS, 0), lambda: run(NAIVE, 1), rounds)
    return {"wall": wall} | {name: (ours[1:], other[1:]) for name, (ours, other) in spent.items()}


def _keep_busy_ours(client: httpx.Client) -> None:
    answer = client.post(
        "/api/v1/text-to-image", json={"prompt": PROMPT, "steps": 150, "count": 16, "model": "starter", "seed": 1}
    )
    answer.raise_for_status()
    job = f"/api/v1/jobs/{answer.json()['id']}"
    deadline = time.monotonic() + 120
    while client.get(job).json()["step"] < 1:
        if time.monotonic() > deadline:
            raise RuntimeError("the worker did not start to draw")
        time.sleep(0.2)


def _submit_ours(client: httpx.Client, seed: int) -> None:
    answer = client.post("/api/v1/text-to-image", json={"prompt": PROMPT, "model": "starter", "seed": seed})
    assert answer.status_code == 202, answer.text


def _keep_busy_naive(client: httpx.Client) -> None:
    for seed in range(16):
        client.post("/gradio_api/call/draw", json={"data": [PROMPT, seed, 150]}).raise_for_status()
    time.sleep(3)


def _submit_naive(client: httpx.Client, seed: int) -> None:
    answer = client.post("/gradio_api/call/draw", json={"data": [PROMPT, seed, 16]})
    assert answer.status_code == 200 and answer.json()["event_id"], answer.text


def _window(
    client: httpx.Client, server: Server, submit: Any, count: int, rate: float, seed: int
) -> tuple[list[float], float]:
    """``count`` submissions, open loop at ``rate`` a second. Latencies in ms; CPU ms of the serving process."""
    latencies, cpu, begin = [], cpu_seconds(server.process), time.perf_counter()
    for index in range(count):
        due = begin + index / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        if submit is not None:
            submit(client, seed + index)
            latencies.append((time.perf_counter() - due) * 1e3)  # since due: a stall counts for all behind
    time.sleep(max(0.0, begin + count / rate - time.perf_counter()))
    return latencies, (cpu_seconds(server.process) - cpu) * 1e3


def submissions(count: int, windows: int, rate: float = 10.0) -> dict[str, tuple[list[float], list[float]]]:
    """Both servers busy, in turn; from each window's CPU that of an equal window without submissions is taken off."""
    result: dict[str, tuple[list[float], list[float]]] = {"latency": ([], []), "p99": ([], []), "cpu": ([], [])}
    sides = ((OURS, _keep_busy_ours, _submit_ours), (NAIVE, _keep_busy_naive, _submit_naive))
    for window in range(windows):
        for side, (command, keep_busy, submit) in enumerate(sides):
            with serving(command, environment=MANY) as server, httpx.Client(base_url=server.url, timeout=120) as client:
                keep_busy(client)
                _window(client, server, submit, 10, rate, 10_000)
                _, idle = _window(client, server, None, count, rate, 0)
                latencies, busy = _window(client, server, submit, count, rate, window * count)
                result["latency"][side].extend(latencies)
                result["p99"][side].append(percentile(latencies, 99))
                result["cpu"][side].append((busy - idle) / count)
    return result


def rows(quick: bool) -> list[Row]:
    start = start_up(1 if quick else 5)
    rate = 10.0
    sent = submissions(20 if quick else 150, 1 if quick else 2, rate)
    demo = "a Gradio demo that imports torch and loads the model in its UI process"
    return [
        Row("start until the page answers", "s", *start["wall"], demo),
        Row("CPU of the serving process until then", "CPU s", *start["cpu"], demo),
        Row("resident memory of the serving process then", "MB", *start["memory"], demo),
        Row(f"a submission while the model is busy, {rate:.0f} a second: median", "ms", *sent["latency"], demo),
        Row("the same: 99th percentile of each window", "ms", *sent["p99"], demo),
        Row(
            "the same: CPU of the serving process for each",
            "CPU ms",
            sent["cpu"][0],
            [],
            "",
            "durable: the row is on the disk before the answer; the demo's model runs in its own serving process",
        ),
    ]
