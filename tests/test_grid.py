"""Grids: the same request with settings varied, as pictures and as one labelled sheet."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio import Studio
from studio.capabilities import ALL, BY_NAME
from studio.capability import Source
from studio.drawing import plan
from studio.drawing.sheets import cell_side, sheet, small, unwritten
from studio.errors import Cancelled, StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.references import pictures_of
from tests import tiny
from tests.test_image_to_image import png, stripes

GRID: Any = BY_NAME["grid"]
T2I: Any = BY_NAME["text-to-image"]
SOURCE = "a" * 32


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny.catalog(tmp_path_factory.mktemp("grid"), "starter")


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    return ModelManager(catalog.settings, catalog)


def ask(x: Any, y: Any = None, **fields: Any) -> Any:
    request = {"capability": "text-to-image", "prompt": "a red ball", "model": "starter", "steps": 2, **fields}
    return GRID.request.model_validate({"request": request, "x": x, **({"y": y} if y else {})})


def prepared(request: Any, context: tiny.Context) -> Any:
    return GRID.prepare(GRID.adopt(request, context.source, context.catalog), context.catalog)


def run(catalog: Catalog, models: ModelManager, request: Any, cancel_at: int | None = None) -> tuple[Any, Any]:
    context = tiny.Context(catalog, models, cancel_at=cancel_at)
    context.pictures[SOURCE] = stripes()
    return list(GRID.run(prepared(request, context), context)), context


def test_each_cell_is_a_picture_and_all_are_on_the_sheet(catalog: Catalog, models: ModelManager) -> None:
    request = ask({"field": "steps", "values": [1, 2, 3]}, {"field": "prompt-words", "values": ["red", "blue"]}, seed=4)
    (*cells, last), context = run(catalog, models, request)
    assert [(each.parameters["steps"], each.parameters["prompt"]) for each in cells] == [
        (steps, prompt) for prompt in ("a red ball", "a blue ball") for steps in (1, 2, 3)
    ]
    assert {each.seed for each in cells} == {4}
    asked = T2I.request(prompt="a blue ball", model="starter", steps=3, seed=4)
    alone = next(T2I.run(T2I.prepare(asked, catalog), tiny.Context(catalog, models)))
    assert cells[-1].image.tobytes() == alone.image.tobytes(), "a cell is what its request alone draws"
    assert cells[-1].parameters["requested"] == alone.parameters["requested"]
    assert last.parameters["columns"] == ["steps 1", "steps 2", "steps 3"]
    assert last.parameters["rows"] == ["red", "blue"]
    assert last.image.width > 3 * 256 and last.image.height > 2 * 256
    assert context.steps[-1] == (12, 12)
    assert [step for step, _ in context.steps] == sorted(step for step, _ in context.steps)


def test_without_a_seed_all_cells_share_one(catalog: Catalog, models: ModelManager) -> None:
    (*cells, last), _ = run(catalog, models, ask("guidance_scale=1,5"))
    assert len({each.seed for each in cells}) == 1
    again, _ = run(catalog, models, GRID.request.model_validate(last.parameters["requested"]))
    assert again[-1].image.tobytes() == last.image.tobytes()
    (*cells, _), _ = run(catalog, models, ask("seed=7,8"))
    assert [each.seed for each in cells] == [7, 8]


def test_a_bad_cell_leaves_the_others(catalog: Catalog, models: ModelManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is refused, and one that goes wrong while it is drawn."""
    request = ask("strength=0.2,0.9", capability="image-to-image", picture=SOURCE)
    (good, last), _ = run(catalog, models, request)
    assert good.parameters["strength"] == 0.9
    assert len(last.parameters["missing"]) == 1
    assert "strength 0.2: At strength 0.2 only 0 of 2 steps run" in last.parameters["missing"][0]
    assert last.parents == (SOURCE,)
    assert any("One cell could not be drawn" in note for note in last.notes)

    request = ask({"field": "prompt", "values": ["a ball", "a __gone__ ball", "a broken ball"]})
    context = tiny.Context(catalog, models)
    with monkeypatch.context() as patch:
        patch.setattr(plan, "draw", breaking(plan.draw))
        (_, last) = GRID.run(prepared(request, context), context)
    gone, broken = last.parameters["missing"]
    assert "no wildcard file 'gone'" in gone and "Something went wrong inside the studio (RuntimeError)" in broken


def breaking(draw: Any) -> Any:
    """The third picture falls over."""
    calls = itertools.count()

    def broken(*arguments: Any, **named: Any) -> Any:
        if next(calls) == 1:  # the second that is drawn: what has no wildcard file never is
            raise RuntimeError("the device fell over")
        return draw(*arguments, **named)

    return broken


def test_a_cancelled_grid_keeps_what_it_has_and_stops(catalog: Catalog, models: ModelManager) -> None:
    context = tiny.Context(catalog, models, cancel_at=3)
    outputs = GRID.run(GRID.prepare(ask("steps=2,4"), catalog), context)
    next(outputs)
    with pytest.raises(Cancelled):
        next(outputs)


@pytest.mark.parametrize(
    ("fields", "sentence", "field"),
    [
        ({"x": "steps=4,0"}, "'steps' must be at least 1; you gave '0'", "x.values"),
        ({"x": "steps=4", "y": "guidance_scale=99"}, "'guidance_scale' must be at most 30", "y.values"),
        ({"x": "step=4"}, "no field 'step' to vary; choose one of: prompt-words, guidance_scale", "x.field"),
        ({"x": "styles.3=a"}, "leads nowhere", "x.field"),
        ({"x": "count=1,2"}, "a cell is one picture", "x.field"),
        ({"x": "prompt-words=frog,cat"}, "no 'frog' to replace", "x.values"),
        ({"x": "steps=4", "y": "steps=5"}, "Both axes vary 'steps'", "y.field"),
        ({"x": "steps=1,2,3,4,5,6,7,8,9", "y": "seed=1,2,3,4,5,6,7,8"}, "72 cells", "y"),
        ({"x": "steps=4", "count": 3}, "leave 'count' out", "request.count"),
        ({"x": "sampler=nothing"}, "no sampler called 'nothing'", "x"),
        ({"x": "steps=150", "y": "seed=1,2", "width": 999}, "use 960 instead of 999|use 512 instead of 999", "x"),
        ({"x": f"picture={SOURCE}", "capability": "image-to-image", "picture": SOURCE}, "Pictures do not", "x.field"),
        (
            {"x": "kind=subtle,seed-neighbour", "capability": "variations", "picture": SOURCE, "steps": None},
            "cannot vary within a grid",
            "x.field",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_submit(
    fields: dict[str, Any], sentence: str, field: str, catalog: Catalog, models: ModelManager
) -> None:
    context = tiny.Context(catalog, models)
    if fields.get("capability") == "variations":
        made = next(T2I.run(T2I.prepare(T2I.request(prompt="a red ball", steps=1), catalog), context))
        context.sources[SOURCE] = Source(SOURCE, "x", "a red ball", parameters=made.parameters)
    with pytest.raises(StudioError, match=sentence) as caught:
        prepared(ask(**fields), context)
    assert caught.value.field == field


def test_variations_are_cells_like_others(catalog: Catalog, models: ModelManager) -> None:
    request = GRID.request.model_validate(
        {"request": {"capability": "variations", "picture": SOURCE, "steps": 4}, "x": "kind=subtle,strong"}
    )
    (*cells, _), _ = run(catalog, models, request)
    assert [each.parameters["kind"] for each in cells] == ["subtle", "strong"]


def test_whole_words_are_replaced_first(catalog: Catalog, models: ModelManager) -> None:
    request = ask("prompt-words=cat,dog", prompt="a cat in a category", steps=1)
    (*cells, _), _ = run(catalog, models, request)
    assert [each.parameters["prompt"] for each in cells] == ["a cat in a category", "a dog in a category"]
    request = ask("prompt-words=猫,犬", prompt="一只猫", steps=1)
    (*cells, last), _ = run(catalog, models, request)
    assert cells[1].parameters["prompt"] == "一只犬"
    assert any("font lacks" in note for note in last.notes)


def test_every_capability_that_makes_pictures_can_be_repeated() -> None:
    names = {each.name for each in ALL if each.makes == "pictures"} - {"grid"}
    schema = GRID.request.model_json_schema()
    assert set(schema["properties"]["request"]["discriminator"]["mapping"]) == names
    named = GRID.request.model_validate(
        {"request": {"capability": "image-to-image", "picture": SOURCE, "prompt": "x"}, "x": "steps=4"}
    )
    assert [(each.id, each.field) for each in pictures_of(named)] == [(SOURCE, "request.picture")]


def test_a_sheet_is_bounded_and_shows_its_cells() -> None:
    assert cell_side(2, 2) == 512 and cell_side(64, 1) == 64
    red, blue = (small(Image.new("RGB", (1000, 500), colour), 512) for colour in ("red", "blue"))
    made = sheet({(0, 0): red, (1, 0): blue, (0, 1): "It went wrong " * 40}, ["one", "two " * 99], ["a", "b"], 512)
    pixels = np.asarray(made).reshape(-1, 3)
    for colour in ((255, 0, 0), (0, 0, 255)):
        assert (pixels == colour).all(1).sum() >= 512 * 256
    assert made.width < 2 * 512 + 512 and made.height < 2 * 256 + 256
    half = small(Image.new("RGBA", (100, 100), (255, 0, 0, 0)), 50)
    assert half.size == (50, 50) and half.getpixel((5, 5)) == (255, 255, 255)
    assert unwritten("猫") and not unwritten("Grüße, what?")


def test_through_the_studio_a_grid_is_kept_with_its_owner_checked(launch: Callable[..., Studio]) -> None:
    studio = launch(capabilities="studio.capabilities:ALL", executor="inprocess")
    foreign = studio.library.add(png(stripes()), "theirs.png", user="eve")
    request = {"capability": "image-to-image", "prompt": "a frog", "picture": foreign.id}
    with pytest.raises(StudioError, match="no picture") as caught:
        studio.jobs.submit("grid", {"request": request, "x": "steps=4,6"}, user="local")
    assert (caught.value.status, caught.value.field) == (404, "request.picture")
    request = {"capability": "text-to-image", "prompt": "a frog", "steps": 3}
    job = studio.jobs.submit("grid", {"request": request, "x": "seed=1,2"}, user="local")
    job = studio.jobs.wait(job.id, user="local", timeout=120)
    assert job.status == "done", job.error
    assets = [studio.gallery.get(id, user="local") for id in job.asset_ids]
    assert [each.capability for each in assets] == ["grid"] * 3
    assert {each.family for each in assets} == {"starter"}
    assert [each.parameters["capability"] for each in assets] == ["text-to-image", "text-to-image", "grid"]
