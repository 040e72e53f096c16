"""Styles, wildcards and checklists: kept by name, and by owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from studio.errors import StudioError
from studio.settings import Settings
from studio.store.database import Database
from studio.store.words import Words


@pytest.fixture
def words(settings: Settings) -> Iterator[Words]:
    database = Database(settings)
    database.open()
    yield Words(database)
    database.close()


def test_prompt_styles_belong_to_their_owner(words: Words) -> None:
    words.save_style("local", " ink ", "ink drawing of {prompt}", "colour")
    words.save_style("local", "ink", "ink, {prompt}")
    words.save_style("eve", "ink", "mine")
    assert [(style.name, style.prompt, style.negative) for style in words.list_styles("local")] == [
        ("ink", "ink, {prompt}", "")
    ]
    words.delete_style("local", "ink")
    assert words.list_styles("local") == []
    assert len(words.list_styles("eve")) == 1
    for name, prompt in (("", "x"), ("x" * 81, "x"), ("x", " "), ("x", "x" * 10_001)):
        with pytest.raises(StudioError):
            words.save_style("local", name, prompt)


def test_wildcards_belong_to_their_owner_and_have_tame_names(words: Words) -> None:
    words.save_wildcard("local", "animal", "cat\n\n # not me\n dog \n")
    assert words.read_wildcard("local", "animal") == ["cat", "dog"]
    assert words.list_wildcards("local") == ["animal"]
    assert words.read_wildcard("eve", "animal") == []
    assert words.list_wildcards("eve") == []
    words.delete_wildcard("local", "animal")
    assert words.read_wildcard("local", "animal") == []
    for name in ("", "../animal", "a/b", "a b", "a\n", "x" * 81):
        with pytest.raises(StudioError) as caught:
            words.save_wildcard("local", name, "cat")
        assert caught.value.field == "name"
    for content in ("", "# only a comment", "x" * 1_000_001):
        with pytest.raises(StudioError) as caught:
            words.save_wildcard("local", "animal", content)
        assert caught.value.field == "text"


def test_checklists_are_kept_by_name(words: Words) -> None:
    asked = ["Is it whole? ", {"question": "Any text?", "want": False}]
    kept = words.save_checklist("local", " shop ", asked)
    assert kept.questions == ({"question": "Is it whole?", "want": True}, {"question": "Any text?", "want": False})
    assert words.checklists("local") == [kept]
    assert words.checklists("eve") == []
    words.delete_checklist("eve", "shop")
    assert words.checklists("local") == [kept]
    words.save_checklist("local", "shop", ["Only this?"])
    assert [len(each.questions) for each in words.checklists("local")] == [1]
    cases: list[tuple[str, list[Any], str]] = [
        ("", ["x"], "name"),
        ("x" * 81, ["x"], "name"),
        ("a", [], "questions"),
        ("a", [" "], "questions"),
        ("a", ["x" * 501], "questions"),
        ("a", ["x"] * 101, "questions"),
        ("a", [{"question": "x", "want": "yes"}], "questions"),
        ("a", [{"want": True}], "questions"),
    ]
    for name, questions, field in cases:
        with pytest.raises(StudioError) as caught:
            words.save_checklist("local", name, questions)
        assert (caught.value.status, caught.value.field) == (422, field)
    words.delete_checklist("local", "shop")
    assert words.checklists("local") == []
