from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

from studio.capabilities import BY_NAME
from studio.errors import Cancelled, StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.reading.labels import fill
from tests.viewing import Viewer, id_of, run, scene, starter_catalog

ZERO_SHOT = BY_NAME["zero-shot"]
GROUNDS = ("red", "green", "blue", "yellow")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return starter_catalog(tmp_path_factory.mktemp("zero"))


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    return ModelManager(catalog.settings, catalog)


@pytest.fixture
def viewer(catalog: Catalog, models: ModelManager) -> Viewer:
    return Viewer(catalog, models, {ground: scene("apple", background=ground) for ground in GROUNDS})


def ask(**fields: Any) -> Any:
    return ZERO_SHOT.request(**{"pictures": ["0" * 32], "labels": ["a", "b"], **fields})


def test_pictures_are_sorted_by_labels(viewer: Viewer) -> None:
    records = run(ZERO_SHOT, viewer, labels=GROUNDS, templates=["an apple on a {} background", "a {} background"])
    assert [record.data["picture"] for record in records] == list(viewer.ids)
    assert [record.data["top"] for record in records] == list(GROUNDS)
    for record in records:
        rows = record.data["labels"]
        assert sum(row["probability"] for row in rows) == pytest.approx(1, abs=1e-4)
        assert [row["probability"] for row in rows] == sorted((row["probability"] for row in rows), reverse=True)
        assert rows[0]["label"] == record.data["top"] == record.data["name"]
        json.dumps(record.data)
    assert viewer.steps[0] == (0, 4) and viewer.steps[-1] == (4, 4)


def test_probabilities_are_those_of_the_plain_model_with_its_own_temperature(viewer: Viewer, catalog: Catalog) -> None:
    place = catalog.location("starter-clip")
    model = CLIPModel.from_pretrained(place, dtype=torch.float32).eval()
    labels = ["an apple", "a dog", "a red background"]
    words = AutoTokenizer.from_pretrained(place)(labels, padding=True, return_tensors="pt")
    image = scene("apple", background="red")
    pixels = CLIPImageProcessor.from_pretrained(place)(images=image, return_tensors="pt")
    with torch.no_grad():
        told = model(**words, **pixels).logits_per_image.softmax(-1)[0].tolist()
    record = run(ZERO_SHOT, viewer, labels=labels, templates=["{}"])[0]
    ours = {row["label"]: row["probability"] for row in record.data["labels"]}
    assert [ours[label] for label in labels] == pytest.approx(told, abs=1e-3)


def test_labels_are_written_as_people_write_them() -> None:
    for given in (
        "cat, red  dog\t, ",
        "cat\nred dog\n\n",
        ["cat,red dog"],
        ["cat", " red dog "],
        ["cat", "", "red dog"],
    ):
        assert ask(labels=given).labels == ("cat", "red dog"), given
    assert ask(labels="cat, black\ndog").labels == ("cat, black", "dog")
    assert [fill("a {}", label) for label in ("apple", "unicorn", "two dogs", "an owl", "hourglass", "cat")] == [
        "an apple",
        "a unicorn",
        "two dogs",
        "an owl",
        "an hourglass",
        "a cat",
    ]
    assert fill("A photo of an {}, drawn", "dog") == "A photo of an {}, drawn".replace("an {}", "a dog")
    assert fill("{} {{x}}", "50% {0} {}") == "50% {0} {} {{x}}"


def test_doubles_are_merged_and_one_label_is_not_a_choice(viewer: Viewer) -> None:
    records = run(ZERO_SHOT, viewer, labels=["Apple", "apple", " dog", "dog"])
    assert [row["label"] for row in records[0].data["labels"]] in (["Apple", "dog"], ["dog", "Apple"])
    assert [any("merged" in note for note in record.notes) for record in records] == [True, False, False, False]
    records = run(ZERO_SHOT, viewer, labels=["apple"])
    assert [record.data["labels"][0]["probability"] for record in records] == [1, 1, 1, 1]
    assert "always gets 100 %" in records[0].notes[0]


def test_a_thousand_labels_work_and_of_many_pictures_the_likeliest_are_kept(viewer: Viewer) -> None:
    labels = [*GROUNDS, *(f"thing number {at}" for at in range(996))]
    [record] = run(ZERO_SHOT, viewer, pictures=[id_of("red")], labels=labels, templates=["{}"])
    assert len(record.data["labels"]) == 1000 and record.notes == ()
    assert any("of 1000" in message for message in viewer.messages)
    many = ask(pictures=[id_of("red")] * 5000, labels=labels[:130], templates=["{}"])
    first: Any = next(iter(ZERO_SHOT.run(ZERO_SHOT.prepare(many, viewer.catalog), viewer)))
    assert len(first.data["labels"]) == 100 and "the 100 likeliest" in first.notes[0]
    with pytest.raises(ValidationError):
        ask(labels=[*labels, "one more"])


def test_the_heat_map_is_a_picture_for_each_of_the_likeliest(
    viewer: Viewer, catalog: Catalog, models: ModelManager
) -> None:
    wide = scene("apple", "fox", background="white").resize((512, 256))
    context = Viewer(catalog, models, {"wide": wide})
    labels = ["apple", "fox", "house", "car", "sun", "moon"]
    [record] = run(ZERO_SHOT, context, labels=labels, heat_map=True)
    heat = record.data["heat"]
    assert list(heat) == [row["label"] for row in record.data["labels"][:5]]
    for uri in heat.values():
        kind, _, body = uri.partition(",")
        assert kind == "data:image/png;base64" and len(uri) < 8000
        image = Image.open(io.BytesIO(base64.b64decode(body)))
        assert image.mode == "L" and image.size == (64, 64)
        assert np.asarray(image).std() > 0
    assert len(set(heat.values())) == 5


def test_an_unreadable_picture_is_told_and_the_rest_goes_on(catalog: Catalog, models: ModelManager) -> None:
    pictures = {"first": scene("apple"), "bad": StudioError("This file is damaged."), "last": scene("fox")}
    records = run(ZERO_SHOT, Viewer(catalog, models, pictures), labels="apple, fox")
    assert [record.index for record in records] == [0, 1, 2]
    assert records[1].data == {"picture": id_of("bad"), "name": "bad", "error": "This file is damaged."}
    assert all("top" in records[at].data for at in (0, 2))


def test_a_second_attempt_makes_only_what_is_missing(catalog: Catalog, models: ModelManager, viewer: Viewer) -> None:
    whole = run(ZERO_SHOT, viewer, labels=GROUNDS)
    again = Viewer(catalog, models, viewer.stored_by_name, kept=(0, 2))
    rest = run(ZERO_SHOT, again, labels=GROUNDS)
    assert [record.index for record in rest] == [1, 3] and again.opened == ["green", "yellow"]
    assert [record.data["top"] for record in rest] == [whole[at].data["top"] for at in (1, 3)]


@pytest.mark.parametrize("step", [0, 1, 3])
def test_cancel_stops_within_one_picture(step: int, catalog: Catalog, models: ModelManager, viewer: Viewer) -> None:
    context = Viewer(catalog, models, viewer.stored_by_name, cancel_at=step)
    with pytest.raises(Cancelled):
        run(ZERO_SHOT, context, labels=GROUNDS)
    assert len(context.opened) == step


@pytest.mark.parametrize(
    ("fields", "sentence", "field"),
    [
        ({"pictures": []}, "at least one picture", "pictures"),
        ({"labels": []}, "at least one label", "labels"),
        ({"labels": " , \n"}, "at least one label", "labels"),
        ({"templates": ["a photo"]}, "needs one {}", "templates"),
        ({"templates": ["{} and {}"]}, "needs one {}", "templates"),
        ({"labels": [str(at) for at in range(500)], "templates": ["{}"] * 50}, "at most 40 templates", "templates"),
        ({"mode": "sigmoid"}, "no independent probabilities: use softmax, or one of: .*siglip2", "mode"),
        ({"model": "sd15"}, "cannot do embed; choose one of: .*clip", "model"),
        ({"pictures": ["0" * 32] * 101, "heat_map": True}, "at most 100 pictures", "heat_map"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], sentence: str, field: str, catalog: Catalog) -> None:
    with pytest.raises(StudioError, match=sentence) as caught:
        ZERO_SHOT.prepare(ask(**fields), catalog)
    assert caught.value.field == field


def test_preparing_fills_what_was_left_open(catalog: Catalog) -> None:
    prepared: Any = ZERO_SHOT.prepare(ask(), catalog)
    assert (prepared.model, prepared.mode) == ("starter-clip", "softmax")
    assert ZERO_SHOT.prepare(prepared, catalog) == prepared
    for name, field in ZERO_SHOT.request.model_json_schema()["properties"].items():
        assert field.get("description"), name
