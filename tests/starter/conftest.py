"""The starter tests run on a small sample of the art, so they need neither network nor npm."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.starter.art import Art
from studio.starter.judge import Judge
from studio.starter.world import World

HERE = Path(__file__).parent
PACK = HERE.parents[1] / "assets/starter"


@pytest.fixture(scope="session")
def world() -> World:
    return World(Art.load(HERE / "sprites"))


@pytest.fixture(scope="session")
def judge() -> Judge:
    return Judge.load(PACK / "judge")
