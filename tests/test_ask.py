"""Ask, caption and checklist: models that answer in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from studio.capabilities import BY_NAME
from studio.capabilities.ask import suggestions
from studio.capabilities.checklist import lane
from studio.errors import Cancelled, StudioError
from studio.media.images import open_image
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.models.spec import UNDERSTANDING, PipelineSpec
from studio.reading.reading import Reading
from tests import tiny
from tests.viewing import Viewer, id_of, run, scene, starter_catalog

ASK: Any = BY_NAME["ask"]
CAPTION: Any = BY_NAME["caption"]
CHECKLIST: Any = BY_NAME["checklist"]
PICTURES = {"fox": scene("fox", background="red"), "car": scene("car", background="blue"), "cat": scene("cat")}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny.catalog(tmp_path_factory.mktemp("ask"), "starter-vqa", "starter-caption", "qwen3-vl-2b", "florence-2")


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    made = ModelManager(catalog.settings, catalog)
    made.load("qwen3-vl-2b")
    cast(Any, made._loaded["qwen3-vl-2b"].loaded).longest = 12  # random weights would never come to an end
    return made


@pytest.fixture
def viewer(catalog: Catalog, models: ModelManager) -> Viewer:
    return Viewer(catalog, models, PICTURES)


# -- ask --


@pytest.mark.parametrize("model", ["starter-vqa", "qwen3-vl-2b"])
def test_the_answer_is_the_models_own_and_its_turns_are_given_along(model: str, viewer: Viewer) -> None:
    turns = [("What is in the picture?", "A fox."), ("Is it small?", "no")]
    history = ["What is in the picture? A fox.", {"question": "Is it small?", "answer": "no"}]
    [record] = run(ASK, viewer, pictures=[id_of("fox")], question=" What colour is it? ", history=history, model=model)
    with viewer.models.use(PipelineSpec(model, UNDERSTANDING)) as reader:
        told = reader.answer([PICTURES["fox"]], "What colour is it?", turns)
        forgetful = reader.answer([PICTURES["fox"]], "What colour is it?")
    assert record.data["answer"] == told.text and record.data["question"] == "What colour is it?"
    assert record.data["confidence"] == pytest.approx(told.confidence, abs=1e-3)
    assert told.confidence != forgetful.confidence  # what was said before counts
    assert record.data.get("asked", "") == told.asked
    assert record.data["pictures"] == [id_of("fox")] and record.notes == ()
    json.dumps(record.data)


def test_several_pictures_are_seen_together_or_one_by_one_and_that_is_said(viewer: Viewer) -> None:
    [record] = run(ASK, viewer, question="What is in the picture?", model="starter-vqa")
    assert record.data["answer"].count("\n") == 2 and record.data["pictures"] == list(viewer.ids)
    assert any("each by itself" in note for note in record.notes)
    [record] = run(ASK, viewer, question="What is in the picture?", model="qwen3-vl-2b")
    assert record.notes == ()


def test_an_answer_can_be_stopped_between_two_words(catalog: Catalog, models: ModelManager) -> None:
    class Impatient(Viewer):
        heard = 0

        def progress(self, step: int, steps: int, preview: Any = None, message: str = "") -> None:
            self.heard += message == "Thinking"
            if self.heard == 3:
                raise Cancelled
            super().progress(step, steps, preview, message)

    context = Impatient(catalog, models, PICTURES)
    with pytest.raises(Cancelled):
        run(ASK, context, pictures=[id_of("fox")], question="What is it?", model="qwen3-vl-2b")
    [record] = run(ASK, Viewer(catalog, models, PICTURES), pictures=[id_of("fox")], question="What is it?")
    assert record.data["confidence"] > 0


@pytest.mark.parametrize("fields", [{"question": ""}, {"question": "  "}, {"question": "x" * 501}, {}], ids=str)
def test_a_question_is_needed_and_short(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ASK.request(pictures=["0" * 32], **fields)


@pytest.mark.parametrize(
    ("fields", "sentence", "field"),
    [
        ({"pictures": []}, "at least one picture", "pictures"),
        ({"pictures": ["0" * 32] * 9}, "At most 8 pictures", "pictures"),
        ({"model": "florence-2"}, "Florence-2 base cannot do vqa; choose one of: .*starter-vqa", "model"),
        ({"model": "blip-vqa"}, "download it in the Models tab", "model"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], sentence: str, field: str, catalog: Catalog) -> None:
    with pytest.raises(StudioError, match=sentence) as caught:
        ASK.prepare(ASK.request(**{"pictures": ["0" * 32], "question": "What?", **fields}), catalog)
    assert caught.value.field == field


def test_an_unreadable_picture_is_named(catalog: Catalog, models: ModelManager) -> None:
    context = Viewer(catalog, models, {"fox": PICTURES["fox"], "bad.png": StudioError("This file is damaged.")})
    with pytest.raises(StudioError, match=r"bad\.png: This file is damaged"):
        run(ASK, context, question="What is it?")


def test_suggestions_follow_the_talk_and_do_not_repeat() -> None:
    first = suggestions()
    assert len(first) == 4 and first[0] == "What is in the picture?"
    after = suggestions([("what is in the picture", "a red fox and two strawberry")])
    assert after[0] == "How many red foxes are there?" and "What is in the picture?" not in after
    assert suggestions(prompt="a sticker of an owl on a red background")[0] == "Is there an owl?"
    assert suggestions(pictures=2)[0] == "What is different between the pictures?"
    assert suggestions([("What is in the picture?", "<img onerror=x> and a fox")])[0] == "How many foxes are there?"
    assert set(suggestions([(each, "no") for each in first])).isdisjoint(first)


# -- caption --


def test_every_picture_gets_its_caption_and_the_unreadable_one_its_reason(
    catalog: Catalog, models: ModelManager
) -> None:
    context = Viewer(catalog, models, {"bad": StudioError("This file is damaged."), **PICTURES}, kept=(1,))
    records = run(CAPTION, context, style="prompt", model="starter-caption")
    assert [record.index for record in records] == [0, 2, 3]
    assert records[0].data["error"] == "This file is damaged."
    with models.use(PipelineSpec("starter-caption", UNDERSTANDING)) as reader:
        assert records[1].data["caption"] == reader.caption(PICTURES["car"], "prompt")
    assert records[1].data["style"] == "prompt" and records[1].data["name"] == "car"


def test_the_style_reaches_the_model(viewer: Viewer) -> None:
    said = {
        style: run(CAPTION, viewer, pictures=[id_of("fox")], style=style, model="qwen3-vl-2b")[0].data["caption"]
        for style in ("short", "detailed", "alt", "prompt")
    }
    assert len(set(said.values())) > 1
    with pytest.raises(ValidationError):
        CAPTION.request(pictures=["0" * 32], style="poem")


# -- checklist --


def test_pictures_fall_into_lanes_by_their_worst_answer(viewer: Viewer) -> None:
    asked = ["is there a fox?", "is the background red? no"]
    records = run(CHECKLIST, viewer, questions=asked)
    with viewer.models.use(PipelineSpec("starter-vqa", UNDERSTANDING)) as reader:
        for record, image in zip(records, PICTURES.values(), strict=True):
            fox, red = record.data["checks"]
            assert (fox["want"], red["want"]) == (True, False)
            assert fox["question"] == "is there a fox?" and red["question"] == "is the background red?"
            assert fox["ok"] == fox["yes"] == pytest.approx(reader.yes([image], "is there a fox?"), abs=1e-3)
            assert red["yes"] == pytest.approx(reader.yes([image], "is the background red?"), abs=1e-3)
            assert red["ok"] == pytest.approx(1 - red["yes"], abs=1e-4)
    for pass_at, fail_at in ((0.4, 0.1), (0.9, 0.1), (0.99, 0.9)):
        for record in run(CHECKLIST, viewer, questions=asked, pass_at=pass_at, fail_at=fail_at):
            likely = [row["ok"] for row in record.data["checks"]]
            assert record.data["lane"] == lane(likely, pass_at, fail_at)
    assert lane([0.8, 0.9], 0.8, 0.2) == "pass" and lane([0.79, 0.9], 0.8, 0.2) == "look"
    assert lane([0.99, 0.2], 0.8, 0.2) == "fail" and lane([0.21], 0.8, 0.2) == "look"


def test_a_checklist_goes_on_where_it_stopped_and_stops_between_questions(
    catalog: Catalog, models: ModelManager
) -> None:
    pictures = {**PICTURES, "bad": StudioError("This file is damaged.")}
    rest = run(CHECKLIST, Viewer(catalog, models, pictures, kept=(0, 1)), questions=["is there a fox?"])
    assert [record.index for record in rest] == [2, 3] and "error" in rest[1].data and "lane" not in rest[1].data
    stopped = Viewer(catalog, models, PICTURES, cancel_at=1)
    with pytest.raises(Cancelled):
        run(CHECKLIST, stopped, questions=["is there a fox?"])
    assert stopped.opened == ["fox"]


@pytest.mark.parametrize(
    ("fields", "sentence", "field"),
    [
        ({"questions": []}, "at least one yes/no question", "questions"),
        ({"pass_at": 0.5, "fail_at": 0.5}, "must be below 'pass_at'", "fail_at"),
        ({"pictures": []}, "at least one picture", "pictures"),
    ],
)
def test_what_a_checklist_refuses(fields: dict[str, Any], sentence: str, field: str, catalog: Catalog) -> None:
    request = CHECKLIST.request(**{"pictures": ["0" * 32], "questions": ["is it?"], **fields})
    with pytest.raises(StudioError, match=sentence) as caught:
        CHECKLIST.prepare(request, catalog)
    assert caught.value.field == field


# -- the trained starter models --


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Viewer:
    catalog = starter_catalog(tmp_path_factory.mktemp("trained"))
    return Viewer(catalog, ModelManager(catalog.settings, catalog), PICTURES)


def test_the_starter_answers_two_questions_in_a_row(trained: Viewer) -> None:
    [record] = run(ASK, trained, pictures=[id_of("fox")], question="what is in the picture?")
    assert record.data["answer"] == "fox"
    history = [{"question": "what is in the picture?", "answer": "fox"}]
    [record] = run(ASK, trained, pictures=[id_of("fox")], question="what colour is the background?", history=history)
    assert record.data["answer"] == "red" and record.data["confidence"] > 0.5


def test_the_starter_names_object_and_colour(trained: Viewer) -> None:
    records = run(CAPTION, trained, pictures=[id_of("fox"), id_of("car")], style="detailed")
    for record, words in zip(records, (("fox", "red"), ("car", "blue")), strict=True):
        assert all(word in record.data["caption"] for word in words)


def test_the_starter_sorts_by_a_checklist(trained: Viewer) -> None:
    records = run(CHECKLIST, trained, questions=["is there a fox?", "is the background blue? no"])
    assert [record.data["lane"] for record in records][:2] == ["pass", "fail"]


# -- one picture on which a model fails --


@pytest.mark.parametrize("capability", ["caption", "checklist"])
def test_a_picture_that_the_model_cannot_read_is_told_and_the_rest_goes_on(
    capability: str, catalog: Catalog, models: ModelManager
) -> None:
    narrow = open_image(Path(__file__).parent / "cases" / "narrow_1x300.png").convert("RGB")
    context = Viewer(catalog, models, {"fox": PICTURES["fox"], "narrow": narrow, "car": PICTURES["car"]})
    fields = {"questions": ["Is it red?"]} if capability == "checklist" else {}
    fox, said, car = run(BY_NAME[capability], context, model="qwen3-vl-2b", **fields)
    assert "error" not in fox.data and "error" not in car.data
    assert set(said.data) == {"picture", "name", "error"}
    assert said.data["error"].startswith("Qwen3-VL 2B cannot read this picture (absolute aspect ratio")
    assert said.data["error"].endswith("; crop or scale it, or choose another model.")


def test_a_model_that_cannot_be_loaded_still_ends_the_job(catalog: Catalog, models: ModelManager) -> None:
    with pytest.raises(StudioError, match="not on this computer"):
        Reading(Viewer(catalog, models, PICTURES), "blip-vqa", ()).run(lambda reader: reader)
