"""Fixtures that every test may use: settings on a folder of its own, and a studio that runs the probe capability."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio import Studio
from studio.settings import Settings


@pytest.fixture(scope="module", autouse=True)
def old_heap() -> None:
    """Every swap of models collects garbage twice. It need not walk all that the modules before have imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", min_free_disk_mb=0)


@pytest.fixture
def launch(settings: Settings) -> Iterator[Callable[..., Studio]]:
    """Start a studio with settings changed as given; all are stopped after the test."""
    started: list[Studio] = []

    def start(*, capabilities: str = "tests.probe:ALL", preload: bool = False, **changes: Any) -> Studio:
        studio = Studio(settings.model_copy(update=changes), capabilities=capabilities, preload=preload)
        started.append(studio)
        studio.start()
        return studio

    yield start
    for studio in started:
        studio.stop()


@pytest.fixture
def studio(launch: Callable[..., Studio]) -> Studio:
    """A running studio with a worker process that draws gradients."""
    return launch()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # or the end of the process reports what was never collected as leaks
