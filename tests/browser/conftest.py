"""One real studio with the starter models, and one browser, for all tests of the page."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Response, expect, sync_playwright

from studio.settings import ROOT

PATIENCE = 240
"""Seconds until a state must have come: a bound for hangs on a loaded machine, never a measurement."""
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
SCREENSHOTS = ROOT / "docs" / "screenshots"

expect.set_options(timeout=PATIENCE * 1000)


@dataclass
class Server:
    """A running studio, and the little of its API that tests use to set a scene."""

    url: str
    data: Path

    def call(self, path: str, body: Any = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}, method=method or ("POST" if data else "GET")
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def bytes(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
            return answer.read()

    def upload(self, path: Path) -> dict[str, Any]:
        """Hand a file in."""
        request = urllib.request.Request(
            f"{self.url}/api/v1/uploads?name={quote(path.name)}",
            path.read_bytes(),
            {"Content-Type": "application/octet-stream"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def submit(self, **request: Any) -> str:
        return self.call("/api/v1/text-to-image", request)["id"]

    def newest_job(self) -> str:
        jobs = self.call("/api/v1/jobs?limit=1")
        return jobs[0]["id"] if jobs else ""

    def drawn_after(self, job: str) -> str:
        """The first picture of the job that follows ``job``, once it is done."""
        end = time.monotonic() + PATIENCE
        while (newest := self.newest_job()) == job:
            assert time.monotonic() < end
            time.sleep(0.1)
        return self.finish(newest)["asset_ids"][0]

    def finish(self, job: str) -> dict[str, Any]:
        """Wait for a job to be over."""
        end = time.monotonic() + PATIENCE
        while (state := self.call(f"/api/v1/jobs/{job}"))["status"] in ("queued", "running"):
            assert time.monotonic() < end, state
            time.sleep(0.2)
        return state

    def draw(self, prompt: str, **more: Any) -> list[str]:
        """Asset ids of a finished job."""
        job = self.finish(self.submit(prompt=prompt, **more))
        assert job["status"] == "done", job["error"]
        return job["asset_ids"]

    def idle(self) -> None:
        """Cancel what is under way, so that one test's jobs are not the next one's queue."""
        for job in self.call("/api/v1/jobs?active=true"):
            self.call(f"/api/v1/jobs/{job['id']}", method="DELETE")
            self.finish(job["id"])


@contextmanager
def serve(folder: Path, root_path: str = "") -> Iterator[Server]:
    """A studio of its own, its data in ``folder``, its page below ``root_path``, from its start until it has ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {
        **os.environ,
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "STUDIO_PORT": str(port),
        "STUDIO_HOST": "127.0.0.1",
        "STUDIO_DATA_DIR": str(folder / "data"),
        "STUDIO_ROOT_PATH": root_path,
    }
    with open(folder / "log", "w") as log:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
    server = Server(f"http://127.0.0.1:{port}{root_path}", folder / "data")
    end = time.monotonic() + 3 * PATIENCE
    try:
        while True:
            try:
                if server.call("/readyz")["ready"]:
                    break
            except OSError:
                pass
            said = (folder / "log").read_text()
            assert process.poll() is None, f"the studio ended at once:\n{said}"
            assert time.monotonic() < end, f"the studio was not ready in time:\n{said}"
            time.sleep(0.3)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


# Both end with this package: Playwright keeps an event loop running in the main thread, where other tests start theirs.
@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("studio")) as server:
        yield server


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGS)
        yield browser
        browser.close()


@dataclass
class Watch:
    """What went wrong in a page. ``allowed`` are texts that a test expects among the console's errors."""

    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def unexpected(self) -> list[str]:
        return [error for error in self.errors if not any(text in error for text in self.allowed)]


Opener = Callable[..., Page]


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def opened(server: Server, browser: Browser, watch: Watch) -> Iterator[Opener]:
    """Open the page with context options. Every test fails on a request to another host or an error in the console."""
    contexts = []

    def refuse(answer: Response) -> None:
        if not answer.ok:
            watch.refused.append(f"{answer.status} {answer.request.resource_type} {answer.url}")

    def open_page(path: str = "/", **options: Any) -> Page:
        context = browser.new_context(
            **{"viewport": {"width": 1366, "height": 768}, "accept_downloads": True, **options}
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        page.on("console", lambda message: watch.errors.append(message.text) if message.type == "error" else None)
        page.on("response", refuse)
        page.on("pageerror", lambda error: watch.errors.append(str(error)))
        page.on("request", lambda request: watch.outside.append(request.url) if is_outside(request.url) else None)
        page.goto(server.url + path, wait_until="commit")
        page.wait_for_selector("#prompt textarea")
        page.wait_for_selector("#status[data-status]")
        return page

    def is_outside(url: str) -> bool:
        return not url.startswith((server.url + "/", "data:", "blob:"))

    yield open_page
    for context in contexts:
        context.close()
    assert watch.outside == []
    assert watch.unexpected() == [], watch.refused


@pytest.fixture
def page(opened: Opener) -> Page:
    return opened()


@pytest.fixture(autouse=True)
def quiet(server: Server) -> Iterator[None]:
    yield
    server.idle()


def stage(page: Page, status: str) -> None:
    """Wait until the big area shows a job in ``status``."""
    page.wait_for_selector(f'#stage .stage-inner[data-status="{status}"]')


def write(page: Page, prompt: str) -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)


def seeds(page: Page) -> list[str]:
    return [text.removeprefix("seed ") for text in page.locator("#stage .seed").all_inner_texts()]


def open_panel(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def go_to(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab, exact=True).click()


def keep(page: Page, name: str) -> None:
    """A screenshot for the README, with ``STUDIO_SCREENSHOTS=1`` only, so that a test run leaves the tree clean."""
    if os.environ.get("STUDIO_SCREENSHOTS") != "1":
        return
    page.evaluate("document.fonts.ready")
    picture = Image.open(BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size < 300_000, f"{path} is too large for the README"
