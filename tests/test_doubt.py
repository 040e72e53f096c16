"""A picture that is not of the starter's world is noticed, and every answer about it says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.watermark import photographs
from studio.capabilities import BY_NAME
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.reading.doubt import doubt_of, warning
from studio.settings import ROOT
from studio.starter import doubt
from studio.starter.steps import FIRST_TEST_SEED
from studio.starter.vocabulary import PROMISED, PROMISED_STYLES
from studio.starter.world import World
from tests.viewing import Viewer, run, scene, starter_catalog, world

PACK = ROOT / "assets" / "starter"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return starter_catalog(tmp_path_factory.mktemp("doubt"))


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    return ModelManager(catalog.settings, catalog)


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    return next(iter(photographs(1)))


def share(pictures: list[Image.Image]) -> float:
    known = doubt_of(PACK / "clip")
    assert known
    return float(known.outside(doubt.seen(doubt.reader_of(PACK), pictures)).mean())


def test_photographs_are_noticed_and_scenes_are_not() -> None:
    promised = World(world().art, PROMISED, PROMISED_STYLES, free=False)
    scenes = [promised.picture(promised.scene(FIRST_TEST_SEED + seed, split="held_out"), 256) for seed in range(200)]
    assert share(scenes) <= 0.02
    assert share(list(photographs(80))) >= 0.95


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("zero-shot", {"labels": ["apple", "cat"]}),
        ("caption", {}),
        ("checklist", {"questions": ["is there a cat?"]}),
        ("score", {}),
    ],
)
def test_each_answer_about_a_photograph_says_so(
    catalog: Catalog, models: ModelManager, photograph: Image.Image, name: str, fields: dict[str, Any]
) -> None:
    viewer = Viewer(catalog, models, {"photo.jpg": photograph, "apple.png": scene("apple")})
    strange, known = run(BY_NAME[name], viewer, **fields)
    assert strange.data["outside_world"] is True
    assert "knows only its toy world" in strange.data["doubt"]
    assert "Models tab" in strange.data["doubt"]
    assert known.data["outside_world"] is False
    assert "doubt" not in known.data
    assert strange.data.get("lane", "look") == "look"  # a guess decides nothing


def test_an_answer_about_several_pictures_says_so(
    catalog: Catalog, models: ModelManager, photograph: Image.Image
) -> None:
    both = Viewer(catalog, models, {"photo.jpg": photograph, "apple.png": scene("apple")})
    (answer,) = run(BY_NAME["ask"], both, question="what is it?")
    assert answer.data["outside_world"] is True
    sets = {f"{place}.jpg": picture for place, picture in enumerate(photographs(4))}
    viewer = Viewer(catalog, models, sets)
    (compared,) = run(BY_NAME["compare"], viewer, pictures=viewer.ids[:2], others=viewer.ids[2:])
    assert compared.data["outside_world"] is True


def test_the_warning_names_a_real_model_of_the_same_use(catalog: Catalog) -> None:
    for row, real in (("starter-clip", "CLIP ViT-L/14"), ("starter-vqa", "BLIP VQA"), ("starter-caption", "BLIP capt")):
        assert real in warning(catalog.get(row), catalog)
    assert not [row.id for row in catalog.all() if row.world and not row.folder]


def test_the_recipe_learns_the_difference_from_made_pictures_alone() -> None:
    reader = doubt.reader_of(PACK)
    known = doubt.seen(reader, [scene("apple", background=ground) for ground in ("red", "blue", "white", "green")])
    others = doubt.seen(reader, [doubt.unlike(seed) for seed in range(4)])
    rule = doubt.learn(known, others)
    scores = [(each - rule.centre) @ rule.weight for each in (known, others)]
    assert scores[0].max() < scores[1].min()
    assert np.array_equal(np.asarray(doubt.unlike(1)), np.asarray(doubt.unlike(1)))
