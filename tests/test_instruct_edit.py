"""Edit by instruction, on the two kinds of families that do it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.capabilities import BY_NAME
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from tests import tiny

EDIT: Any = BY_NAME["instruct-edit"]
SOURCE = "a" * 32
ABLE = ["instruct-pix2pix", "flux2-klein-4b"]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny.catalog(tmp_path_factory.mktemp("instruct"), *ABLE)


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    return ModelManager(catalog.settings, catalog)


def run(catalog: Catalog, models: ModelManager, **fields: Any) -> Any:
    context = tiny.Context(catalog, models)
    noise = np.random.default_rng(fields.pop("scene", 1)).integers(0, 256, (32, 40, 3), np.uint8)
    context.pictures[SOURCE] = Image.fromarray(noise).resize((320, 256))
    asked = {"instruction": "make it green", "picture": SOURCE, "seed": 7, "steps": 2, **fields}
    return list(EDIT.run(EDIT.prepare(EDIT.request(**asked), catalog), context))


@pytest.mark.parametrize("family", ABLE)
def test_instruction_and_picture_both_count(family: str, catalog: Catalog, models: ModelManager) -> None:
    first, again, words, scene = (
        run(catalog, models, model=family, **more)[0]
        for more in ({}, {}, {"instruction": "turn the cat into a dog, with a hat"}, {"scene": 2})
    )
    assert first.image.tobytes() == again.image.tobytes()
    assert first.image.tobytes() != words.image.tobytes(), "the instruction made no difference"
    assert first.image.tobytes() != scene.image.tobytes(), "the picture made no difference"
    assert first.parameters["instruction"] == first.parameters["prompt"] == "make it green"
    assert first.parents == (SOURCE,)


def test_image_guidance_counts_where_it_is_taken_and_is_said_where_not(catalog: Catalog, models: ModelManager) -> None:
    low, high = (run(catalog, models, model=ABLE[0], image_guidance_scale=scale)[0] for scale in (1.2, 3))
    assert low.image.tobytes() != high.image.tobytes()
    assert low.parameters["image_guidance_scale"] == 1.2
    (output,) = run(catalog, models, model=ABLE[1], image_guidance_scale=2)
    assert any("image guidance was left out" in note for note in output.notes)


@pytest.mark.parametrize(
    ("fields", "sentence", "field"),
    [
        ({"model": "starter"}, "cannot do instruct", "model"),
        ({"prompt": "something else"}, "leave the prompt empty", "prompt"),
        ({"height": 512}, "keeps its shape", "height"),
    ],
)
def test_what_cannot_be_done_is_said(
    fields: dict[str, Any], sentence: str, field: str, catalog: Catalog, models: ModelManager
) -> None:
    with pytest.raises(StudioError, match=sentence) as caught:
        run(catalog, models, **fields)
    assert caught.value.field == field


def test_without_such_a_model_the_way_to_one_is_named(tmp_path: Any) -> None:
    alone = tiny.catalog(tmp_path, "starter")
    with pytest.raises(StudioError, match="Models tab") as caught:
        EDIT.prepare(EDIT.request(instruction="make it green", picture=SOURCE), alone)
    assert caught.value.field == "model"
