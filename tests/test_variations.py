"""Variations: near a picture in what it shows, or in the noise that it came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio import Studio
from studio.capabilities import BY_NAME
from studio.capability import Output, Source
from studio.drawing.neighbours import slerp
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.models.rows import ROWS
from studio.settings import Settings
from tests import tiny
from tests.test_image_to_image import png, stripes

VARIATIONS: Any = BY_NAME["variations"]
T2I: Any = BY_NAME["text-to-image"]
SOURCE = "a" * 32
DRAW = [row.id for row in ROWS if row.supports("text-to-image") and row.id in tiny.BUILDERS]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny.catalog(tmp_path_factory.mktemp("variations"), *DRAW)


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    return ModelManager(catalog.settings, catalog)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return Catalog(Settings(data_dir=tmp_path_factory.mktemp("shipped")))


@pytest.fixture(scope="module")
def painter(shipped: Catalog) -> ModelManager:
    return ModelManager(shipped.settings, shipped)


def draw(catalog: Catalog, models: ModelManager, **fields: Any) -> Output:
    asked = T2I.request(**{"prompt": "a red ball", "seed": 5, "steps": 4, "model": "sd15", **fields})
    return next(T2I.run(T2I.prepare(asked, catalog), tiny.Context(catalog, models)))


def source(made: Output) -> Source:
    return Source(SOURCE, "made", str(made.parameters["prompt"]), parameters=made.parameters)


def vary(catalog: Catalog, models: ModelManager, of: Source | None = None, **fields: Any) -> list[Output]:
    context = tiny.Context(catalog, models)
    context.pictures[SOURCE] = fields.pop("image", stripes())
    if of is not None:
        context.sources[SOURCE] = of
    request = VARIATIONS.request(picture=SOURCE, **{"count": 1, **fields})
    return list(VARIATIONS.run(prepared(request, context), context))


def prepared(request: Any, context: tiny.Context) -> Any:
    return VARIATIONS.prepare(VARIATIONS.adopt(request, context.source, context.catalog), context.catalog)


def apart(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one).astype(int) - np.asarray(other.resize(one.size)).astype(int)).mean())


@pytest.mark.parametrize("family", DRAW)
def test_at_distance_0_a_neighbour_is_the_picture_itself(family: str, catalog: Catalog, models: ModelManager) -> None:
    made = draw(catalog, models, model=family, width=256, height=256)
    same, other = (vary(catalog, models, source(made), kind="seed-neighbour", distance=d, seed=9)[0] for d in (0, 1))
    assert same.image.tobytes() == made.image.tobytes()
    if made.parameters["sampler"] not in ("euler-a", "lcm"):  # these go on with the noise of the picture's own seed
        end = draw(catalog, models, model=family, seed=9, width=256, height=256)
        assert other.image.tobytes() == end.image.tobytes()
    assert same.parameters["noise"] == {"seed": 5, "towards": [[9, 0.0]]}
    assert same.parents == (SOURCE,)


@pytest.mark.parametrize("sampler", ["euler-a", "ddpm", "lcm", "heun"])
def test_samplers_that_add_noise_add_that_of_the_picture(sampler: str, catalog: Catalog, models: ModelManager) -> None:
    made = draw(catalog, models, sampler=sampler, width=256, height=256)
    (same,) = vary(catalog, models, source(made), kind="seed-neighbour", distance=0)
    assert same.image.tobytes() == made.image.tobytes()


def test_neighbours_of_the_starter_move_away_step_by_step(shipped: Catalog, painter: ModelManager) -> None:
    made = draw(shipped, painter, model="starter", prompt="a red apple on a blue background", seed=3, steps=12)
    found = [
        vary(shipped, painter, source(made), kind="seed-neighbour", distance=distance, seed=1)[0].image
        for distance in (0, 0.05, 0.3, 1)
    ]
    assert found[0].tobytes() == made.image.tobytes(), "the same pixels before the mark"
    away = [apart(made.image, each) for each in found]
    assert away == sorted(away) and away[1] > 0


def test_a_neighbour_has_neighbours(catalog: Catalog, models: ModelManager) -> None:
    made = draw(catalog, models, width=256, height=256)
    (first,) = vary(catalog, models, source(made), kind="seed-neighbour", distance=0.5, seed=9)
    same, second = (
        vary(catalog, models, source(first), kind="seed-neighbour", distance=distance, seed=11)[0]
        for distance in (0, 0.4)
    )
    assert same.image.tobytes() == first.image.tobytes() != second.image.tobytes()
    assert second.parameters["noise"] == {"seed": 5, "towards": [[9, 0.5], [11, 0.4]]}


def test_many_neighbours_at_once_are_those_made_one_by_one(catalog: Catalog, models: ModelManager) -> None:
    made = draw(catalog, models, width=256, height=256)
    fields = {"kind": "seed-neighbour", "count": 3, "seed": 20}
    one_by_one = vary(catalog, models, source(made), **fields)
    at_once = vary(catalog, models, source(made), batch_size=3, **fields)
    assert [each.seed for each in at_once] == [20, 21, 22]
    for one, other in zip(one_by_one, at_once, strict=True):
        assert apart(one.image, other.image) < 0.1
    assert len({each.image.tobytes() for each in one_by_one}) == 3


def test_what_was_drawn_with_other_weights_is_told(catalog: Catalog, models: ModelManager) -> None:
    made = draw(catalog, models, width=256, height=256)
    old = Source(SOURCE, "made", "a red ball", parameters={**made.parameters, "model_hash": "0" * 64})
    (found,) = vary(catalog, models, old, kind="seed-neighbour")
    assert any("other weights" in note for note in found.notes)


def test_slerp_keeps_the_length_of_noise() -> None:
    a, b = (torch.randn(2, 4, 32, 32, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    middle = slerp(a, b, 0.5)
    assert middle.std() == pytest.approx(1, abs=0.03)
    assert ((a + b) / 2).std() < 0.75, "which the straight line does not"
    assert torch.equal(slerp(a, b, 0), a)
    assert torch.allclose(slerp(a, b, 1), b, atol=1e-5)
    assert torch.allclose(slerp(a, a, 0.3), a, atol=1e-5)


@pytest.mark.parametrize("kind", ["subtle", "strong"])
def test_a_variation_takes_words_and_model_of_its_picture(kind: str, catalog: Catalog, models: ModelManager) -> None:
    made = draw(catalog, models, width=256, height=256, negative_prompt="green", prompt="a {red} ball")
    first, second = vary(
        catalog, models, source(made), kind=kind, image=made.image, count=2, width=256, height=256, steps=4
    )
    told = first.parameters
    assert (told["capability"], told["kind"]) == ("variations", kind)
    assert (told["model"], told["prompt"], told["negative_prompt"]) == ("sd15", "a {red} ball", "green")
    assert first.image.tobytes() != second.image.tobytes()
    fields = {"width": 256, "height": 256, "steps": 4}
    (own,) = vary(catalog, models, source(made), kind=kind, prompt="a blue cat", model="sdxl", **fields)
    assert (own.parameters["prompt"], own.parameters["negative_prompt"]) == ("a blue cat", "")
    assert own.parameters["model"] == "sdxl"


def test_subtle_stays_nearer_than_strong(shipped: Catalog, painter: ModelManager) -> None:
    made = draw(shipped, painter, model="starter", prompt="a red apple on a blue background", seed=3, steps=12)
    subtle, strong = (
        vary(shipped, painter, source(made), kind=kind, image=made.image, seed=8)[0] for kind in ("subtle", "strong")
    )
    assert 0 < apart(subtle.image, made.image) < apart(strong.image, made.image)


def test_an_upload_needs_no_words(shipped: Catalog, painter: ModelManager) -> None:
    """Without a prompt a subtle variation is still of its picture."""
    made = draw(shipped, painter, model="starter", prompt="a red apple on a blue background", seed=3, steps=12)
    (found,) = vary(shipped, painter, kind="subtle", image=made.image, seed=8)
    assert found.parameters["prompt"] == ""
    assert 0 < apart(found.image, made.image) < 30


@pytest.mark.parametrize(
    ("fields", "sentence", "field"),
    [
        ({"kind": "look-alike"}, "image-prompt adapter", "kind"),
        ({"kind": "seed-neighbour"}, "of an upload that is not known", "picture"),
        ({"kind": "subtle", "distance": 0.5}, "Only seed neighbours have a distance", "distance"),
        ({"model": "flux2-klein-4b"}, "decides by the words how much changes", "model"),
        ({"model": "starter-clip"}, "cannot do image-to-image", "model"),
        ({"keep_best": 1}, "there is none; write one", "keep_best"),
        ({"steps": 2}, "only 0 of 2 steps run", "steps"),
    ],
)
def test_what_cannot_be_done_is_refused_at_submit(
    fields: dict[str, Any], sentence: str, field: str, catalog: Catalog
) -> None:
    with pytest.raises(StudioError, match=sentence) as caught:
        prepared(VARIATIONS.request(picture=SOURCE, **fields), tiny.Context(catalog))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("changes", "fields", "sentence", "field"),
    [
        ({}, {"steps": 9}, "its steps is 4, not 9; leave 'steps' out", "steps"),
        ({}, {"prompt": "a cat"}, "leave 'prompt' out", "prompt"),
        ({"capability": "cutout"}, {}, "was made by 'cutout'", "picture"),
        ({"sampler": None, "steps": None}, {}, "does not tell all of its settings", "picture"),
    ],
)
def test_a_neighbour_is_refused_where_its_picture_will_not_do(
    changes: dict[str, Any],
    fields: dict[str, Any],
    sentence: str,
    field: str,
    catalog: Catalog,
    models: ModelManager,
) -> None:
    made = draw(catalog, models, width=256, height=256)
    context = tiny.Context(catalog)
    context.sources[SOURCE] = Source(SOURCE, "made", "a red ball", parameters={**made.parameters, **changes})
    with pytest.raises(StudioError, match=sentence) as caught:
        prepared(VARIATIONS.request(picture=SOURCE, kind="seed-neighbour", **fields), context)
    assert caught.value.field == field


def test_through_the_studio_a_neighbour_knows_its_picture(launch: Callable[..., Studio], tmp_path: Path) -> None:
    studio = launch(capabilities="studio.capabilities:ALL", executor="inprocess", watermark=False)

    def run(capability: str, **fields: Any) -> Any:
        job = studio.jobs.submit(capability, fields, user="local")
        job = studio.jobs.wait(job.id, user="local", timeout=120)
        assert job.status == "done", job.error
        return [studio.gallery.get(id, user="local") for id in job.asset_ids]

    (made,) = run("text-to-image", prompt="a red apple", seed=3, steps=6)
    same, again = run("variations", picture=made.id, kind="seed-neighbour", distance=0, count=2)
    assert same.family == "starter"
    assert pixels(studio, same.id) == pixels(studio, made.id) == pixels(studio, again.id)
    assert [each.id for each in studio.library.lineage(same.id, user="local").parents] == [made.id]
    upload = studio.library.add(png(stripes()), "mine.png", user="local")
    with pytest.raises(StudioError, match="an upload") as caught:
        studio.jobs.submit("variations", {"picture": upload.id, "kind": "seed-neighbour"}, user="local")
    assert caught.value.field == "picture"
    assert len(run("variations", picture=upload.id, count=2)) == 2


def pixels(studio: Studio, id: str) -> bytes:
    with Image.open(studio.gallery.file(id, user="local")) as image:
        return image.convert("RGB").tobytes()
