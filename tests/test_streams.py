"""Event streams over a real server: what they tell, how many may be open, and who is dropped."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest

from studio import Studio, server
from studio.api import create_api
from studio.api.streams import Streams
from studio.jobs import JobEvent, WorkerEvent
from studio.jobs.live import Subscription
from studio.server import web_server

USER = "local"
PATIENCE = 120


@pytest.fixture
def served(launch: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Studio, str]]:
    """A studio with the probe capability, and the address of its API on a port."""
    monkeypatch.setattr(server, "STALL_SECONDS", 0.5)
    studio = launch(executor="inprocess")
    web = web_server(studio, create_api(studio, user=USER))
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]})
        thread.start()
        yield studio, f"http://127.0.0.1:{listener.getsockname()[1]}"
        web.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Stream:
    """Events of one stream, read as they come."""

    def __init__(self, stack: ExitStack, client: httpx.Client, path: str) -> None:
        self._answer = stack.enter_context(client.stream("GET", path))
        assert self._answer.status_code == 200
        self._lines = self._answer.iter_lines()

    def next(self) -> tuple[str, dict[str, Any]]:
        name = ""
        for line in self._lines:
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                return name, json.loads(line[6:])
        raise EOFError

    def until(self, done: Callable[[str, dict[str, Any]], bool]) -> list[tuple[str, dict[str, Any]]]:
        seen = [self.next()]
        while not done(*seen[-1]):
            seen.append(self.next())
        return seen


def ended(name: str, data: dict[str, Any]) -> bool:
    return name == "job" and data["job"]["status"] == "done"


def test_one_stream_tells_of_the_worker_and_of_every_job(served: tuple[Studio, str]) -> None:
    _, url = served
    with httpx.Client(base_url=url, timeout=PATIENCE) as client, ExitStack() as stack:
        stream = Stream(stack, client, "/api/v1/events")
        name, worker = stream.next()
        assert (name, set(worker)) == ("worker", {"status", "device", "message", "residents"})
        ids = [client.post("/api/v1/gradient", json={"steps": 4, "step_seconds": 0.1}).json()["id"] for _ in range(2)]
        seen = stream.until(lambda name, data: ended(name, data) and data["id"] == ids[1])
        jobs = [data for name, data in seen if name == "job"]
        assert {each["id"] for each in jobs} == set(ids)
        assert all(each["id"] == each["job"]["id"] for each in jobs)
        mine = [each for each in jobs if each["id"] == ids[0]]
        assert mine[0]["job"]["request"]["steps"] == 4
        assert all(each["job"]["request"] == {} for each in mine[1:])
        assert {"state", "progress"} <= {each["kind"] for each in mine}
        assert any(each["preview"] for each in mine)
        running = client.post("/api/v1/gradient", json={"steps": 1000, "step_seconds": 0.05}).json()["id"]
        again = Stream(stack, client, "/api/v1/events")
        snapshot = again.until(lambda name, data: name == "job")
        assert snapshot[-1][1]["id"] == running
        client.delete(f"/api/v1/jobs/{running}")
        assert client.get(f"/api/v1/jobs/{running}?wait=60").json()["status"] == "cancelled"


def test_a_stream_begins_with_the_worker_though_its_news_came_after_a_job(launch: Callable[..., Studio]) -> None:
    studio = launch(executor="inprocess")
    job = studio.jobs.submit("gradient", {"steps": 1, "step_seconds": 0.01}, user=USER)
    state = studio.executor.state()
    subscription = Subscription(lambda: None, lasting=True)
    for event in (WorkerEvent(state), JobEvent(job, "state"), WorkerEvent(replace(state, message="newer"))):
        subscription.push(event)
    worker, told = subscription.take()
    assert isinstance(worker, WorkerEvent) and worker.state.message == "newer"
    assert isinstance(told, JobEvent) and told.job.id == job.id
    studio.jobs.wait(job.id, user=USER, timeout=PATIENCE)


def test_two_hundred_streams_begin_and_leave_room_for_everybody(served: tuple[Studio, str]) -> None:
    _, url = served
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    with httpx.Client(base_url=url, timeout=PATIENCE, limits=limits) as client, ExitStack() as stack:
        id = client.post("/api/v1/gradient", json={"steps": 1000, "step_seconds": 0.1}).json()["id"]
        paths = ("/api/v1/events", f"/api/v1/jobs/{id}/events")
        streams = [Stream(stack, client, paths[place % 2]) for place in range(200)]
        for stream in streams:
            assert stream.next()[0] in ("worker", "state")
        for path in ("/healthz", "/readyz", "/api/v1/jobs", "/api/v1/gallery", "/api/v1/search/map"):
            assert client.get(path).status_code == 200, path
        assert client.delete(f"/api/v1/jobs/{id}").status_code == 200
        for stream in streams:
            stream.until(lambda name, data: "job" in data and data["job"]["status"] == "cancelled")


def test_a_stream_that_cannot_begin_is_told_to_come_back(launch: Callable[..., Studio]) -> None:
    from fastapi.testclient import TestClient

    studio = launch(executor="inprocess")
    app = create_api(studio, user=USER)
    app.state.streams = Streams(most=0)
    answer = TestClient(app, base_url="http://localhost").get("/api/v1/events")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "try again" in answer.json()["error"]


def test_who_does_not_read_is_dropped(served: tuple[Studio, str]) -> None:
    studio, url = served
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as reader, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        reader.connect((host, int(port)))
        reader.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        end, told = time.monotonic() + PATIENCE, studio.jobs._watchers
        while not told._by_user:
            assert time.monotonic() < end
        state = replace(studio.executor.state(), message="x" * 200_000)
        while told._by_user:
            assert time.monotonic() < end, "still there"
            told.tell_worker(state)
            time.sleep(0.01)
        assert client.get("/healthz").status_code == 200
