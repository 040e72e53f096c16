"""Every code block of README and guides runs as a user would type it: a fresh process each, one studio for all.

A block that no test can run says so in its first line, with the reason: three backticks, ``sh no-run needs Docker``.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from PIL import Image
from skimage import data

from studio.settings import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md")))
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = "127.0.0.1:7860"
"""Where the blocks expect the studio."""


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    said: str
    """What stands behind the language: "" or "no-run" and the reason."""
    code: str


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page, line, match[1], match[2].strip(), match[3]))
    return found


RUN = [block for block in blocks() if not block.said]


@dataclass(frozen=True)
class Place:
    """A checkout with a served studio."""

    folder: Path
    address: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("app.py", "assets", "docs", "studio"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "photos").mkdir()
    for name, colour in (("photos/red.png", "red"), ("photos/green.png", "green"), ("photo.jpg", "blue")):
        Image.new("RGB", (288, 288), colour).save(folder / name)
    Image.fromarray(data.astronaut()).save(folder / "portrait.jpg")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STUDIO_")}
    environment = kept | {"PATH": path, "STUDIO_DATA_DIR": str(folder / "data"), "STUDIO_DEVICE": "cpu", "CI": "true"}
    with (folder / "serve.log").open("w+") as log:
        command = [sys.executable, "-m", "studio", "serve", "--port", "0"]
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            yield Place(folder, _address(folder / "serve.log", server), environment)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def _address(log: Path, server: subprocess.Popen[bytes]) -> str:
    for _ in range(1200):
        said = re.search(r"127\.0\.0\.1:\d+", log.read_text())
        try:
            if said and httpx.get(f"http://{said[0]}/readyz", timeout=5).status_code == 200:
                return said[0]
        except httpx.TransportError:
            pass
        assert server.poll() is None, log.read_text()
        time.sleep(0.25)
    raise AssertionError(log.read_text())


@pytest.mark.skipif(os.name == "nt" or not shutil.which("curl"), reason="the blocks are for a shell with curl")
@pytest.mark.parametrize("block", RUN, ids=lambda block: f"{block.page.name}:{block.line}")
def test_block_runs(place: Place, block: Block) -> None:
    code = block.code.replace(PORT, place.address)
    if block.language == "python":
        command = [sys.executable, "-c", code]
    else:
        assert block.language == "sh", f"{block.language} is not run: mark the block 'no-run' with the reason"
        strict = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n'
        command = ["bash", "-c", strict + code]
    done = subprocess.run(
        command, cwd=place.folder, env=place.environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def test_a_block_that_is_not_run_says_why() -> None:
    for block in blocks():
        if block.said:
            assert re.fullmatch(r"no-run \w.{8,}", block.said), f"{block.page.name}:{block.line} says '{block.said}'"


def test_few_are_not_run() -> None:
    assert len(RUN) >= 4
    assert sum(bool(block.said) for block in blocks()) <= 10
