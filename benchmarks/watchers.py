"""Many watchers: 500 open event streams while a picture is drawn, and 20 clients that ask for other things."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from contextlib import suppress
from itertools import cycle
from urllib.parse import urlsplit

import httpx
from PIL import Image

from benchmarks.harness import Row, Server, percentile, serving

OURS = (sys.executable, "app.py")
STREAMS = 500
CLIENTS = 20
PAUSE = 1.0
"""Seconds between two requests of one client."""
CLOSE = {"Connection": "close"}
"""A connection each: none is reused at the moment at which the server gives it up."""
DRAWING = {"prompt": "a red apple on a blue background", "steps": 150, "count": 16, "model": "starter", "seed": 1}


async def _watch(host: str, port: int, path: str, begun: asyncio.Queue[float], counted: list[int]) -> None:
    """Follow one stream until cancelled; tell the seconds to its first event."""
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    try:
        while b"event: " not in (line := await reader.readline()):
            if not line or line.startswith(b"HTTP/1.1 5"):
                raise RuntimeError(f"a stream did not begin: {line!r}")
        begun.put_nowait(time.perf_counter() - start)
        while data := await reader.read(65_536):
            counted[0] += data.count(b"\nevent: ")
    finally:
        writer.close()


def _requests(job: str) -> list[tuple[str, str, str, dict[str, object] | bytes | None]]:
    """(name, method, path, body) of what clients ask for."""
    buffer = io.BytesIO()
    Image.new("RGB", (256, 256), "teal").save(buffer, "PNG")
    return [
        ("liveness", "GET", "/healthz", None),
        ("the page", "GET", "/", None),
        ("a job", "GET", f"/api/v1/jobs/{job}", None),
        ("list of jobs", "GET", "/api/v1/jobs?limit=20", None),
        ("gallery", "GET", "/api/v1/gallery?limit=60", None),
        ("models", "GET", "/api/v1/models", None),
        ("upload", "POST", "/api/v1/uploads?name=a.png", buffer.getvalue()),
        ("settings of a file", "POST", "/api/v1/parameters", buffer.getvalue()),
        ("boards", "GET", "/api/v1/boards", None),
        ("search by words", "POST", "/api/v1/search", {"text": "a red apple"}),
        ("styles", "GET", "/api/v1/styles", None),
        ("a script of the page", "GET", "/ui/favicon.svg", None),
    ]


async def _ask(client: httpx.AsyncClient, job: str, seconds: float) -> dict[str, list[float]]:
    """Milliseconds by name of request; all clients together."""
    spent: dict[str, list[float]] = {}
    asked = cycle(_requests(job))
    end = time.perf_counter() + seconds

    async def one(place: int) -> None:
        await asyncio.sleep(PAUSE * place / CLIENTS)
        while time.perf_counter() < end:
            name, method, path, body = next(asked)
            start = time.perf_counter()
            sent = json.dumps(body) if isinstance(body, dict) else body
            kind = {"Content-Type": "application/json" if isinstance(body, dict) else "application/octet-stream"}
            answer = await client.request(method, path, content=sent, headers=kind)
            if answer.status_code >= 500 and "retry-after" not in answer.headers:  # busy is an answer too
                raise RuntimeError(f"{name}: {answer.status_code} {answer.text[:200]}")
            spent.setdefault(name, []).append((time.perf_counter() - start) * 1e3)
            await asyncio.sleep(max(0.0, PAUSE - (time.perf_counter() - start)))

    await asyncio.gather(*(one(place) for place in range(CLIENTS)))
    return spent


async def _measure(server: Server, streams: int, seconds: float) -> tuple[list[float], dict[str, list[float]], float]:
    """Seconds until each stream began, milliseconds of the other requests, events told a second."""
    place = urlsplit(server.url)
    assert place.hostname and place.port
    transport = httpx.AsyncHTTPTransport(retries=1)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, transport=transport, headers=CLOSE) as client:
        job = (await client.post("/api/v1/text-to-image", json=DRAWING)).json()["id"]
        while (await client.get(f"/api/v1/jobs/{job}")).json()["step"] < 1:
            await asyncio.sleep(0.2)
        await _ask(client, job, 3)  # warm
        begun, counted = asyncio.Queue(), [0]
        paths = ("/api/v1/events", f"/api/v1/jobs/{job}/events")
        tasks = [
            asyncio.create_task(_watch(place.hostname, place.port, paths[each % 2], begun, counted))
            for each in range(streams)
        ]
        waits = [await asyncio.wait_for(begun.get(), 120) for _ in tasks]
        counted[0] = 0
        spent = await _ask(client, job, seconds)
        told = counted[0] / seconds
        for task in tasks:
            if task.done():
                task.result()
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        await client.delete(f"/api/v1/jobs/{job}")
    return waits, spent, told


def rows(quick: bool) -> list[Row]:
    seconds = 10.0 if quick else 40.0
    with serving(OURS) as server:
        _, alone, _ = asyncio.run(_measure(server, 0, seconds))
    with serving(OURS) as server:
        waits, watched, told = asyncio.run(_measure(server, STREAMS, seconds))
    every = [value for values in watched.values() for value in values]
    before = [value for values in alone.values() for value in values]
    asking = f"{CLIENTS} clients, one request a second each, while a picture is drawn"
    return [
        Row(f"{STREAMS} event streams opened at once: until each has its first event", "s", waits, [], ""),
        Row("events told to them", "a second", [told], [], "", "each hears of mere progress about every two seconds"),
        Row(f"every other request ({asking})", "ms", every, before, "no stream is open"),
        Row("the same: 99th percentile", "ms", [percentile(every, 99)], [percentile(before, 99)], "no stream is open"),
        *(
            Row(f"the same: {name}, 99th percentile", "ms", [percentile(values, 99)], [percentile(alone[name], 99)], "")
            for name, values in watched.items()
        ),
    ]
