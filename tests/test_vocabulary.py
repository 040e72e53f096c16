"""Words that a model of a small world does not know, against the starter's own vocabulary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from studio import Studio
from studio.api import create_api
from studio.drawing.words import unknown_words, vocabulary, words_note
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.settings import ROOT, Settings
from studio.starter.art import Art
from studio.starter.world import World

PACK = ROOT / "assets" / "starter"


@pytest.fixture
def catalog(settings: Settings) -> Catalog:
    return Catalog(settings)


def words(prompt: str, catalog: Catalog) -> list[str]:
    return [each.word for each in unknown_words(prompt, "starter", catalog)]


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("a spaceship above a red castle", {"spaceship": "rocket", "castle": "house"}),
        ("an aple and two tigers, 3d", {"aple": "apple", "tigers": "cat"}),
        ("Portrait of a woman, portrait", {"portrait": "", "woman": ""}),
        ("(a dragon:1.3) to the left of [a {cat|dog}] __places__", {"dragon": "frog"}),
    ],
)
def test_unknown_words_are_marked_with_what_comes_nearest(
    catalog: Catalog, prompt: str, unknown: dict[str, str]
) -> None:
    found = unknown_words(prompt, "starter", catalog)
    assert {each.word: (*each.nearest, "")[0] for each in found} == unknown


def test_nothing_of_its_own_world_is_marked(catalog: Catalog) -> None:
    published = json.loads((PACK / "vocabulary.json").read_text("utf-8"))
    world = World(Art.load(Path(__file__).parent / "starter" / "sprites"), tuple(published["objects"]), free=False)
    captions = [world.caption(world.scene(seed)) for seed in range(600)]
    for prompt in (*published["prompt_examples"], *captions):
        assert words(prompt, catalog) == [], prompt
    for prompt in ("two kittens", "a fire engine and three cacti", "strawberries in the top left corner", "A T-Rex!"):
        assert words(prompt, catalog) == [], prompt


def test_a_model_of_the_real_world_draws_anything(catalog: Catalog, tmp_path: Path) -> None:
    assert unknown_words("a spaceship", "sd15", catalog) == []
    assert vocabulary(tmp_path / "model") is None
    with pytest.raises(StudioError, match="nothing"):
        unknown_words("a spaceship", "nothing", catalog)


def test_the_note_says_what_it_knows_and_what_helps(catalog: Catalog) -> None:
    assert words_note("a red apple", "", catalog) == ""
    note = words_note("a spaceship", "", catalog)
    assert note == "Starter does not know 'spaceship'; it knows rocket. A real model draws it: see the Models tab."


def test_rest_checks_a_prompt(settings: Settings) -> None:
    with TestClient(create_api(Studio(settings), user="local"), base_url="http://127.0.0.1") as client:
        found = client.get("/api/v1/prompts/check", params={"prompt": "a spaceship"})
        assert found.json()["unknown"] == [{"word": "spaceship", "nearest": ["rocket"]}]
        assert "does not know 'spaceship'" in found.json()["note"]
        assert client.get("/api/v1/prompts/check", params={"prompt": "a cat"}).json() == {"unknown": [], "note": ""}
        refused = client.get("/api/v1/prompts/check", params={"prompt": "a cat", "model": "nothing"})
        assert refused.status_code in (404, 422)
        assert refused.json()["error"]
