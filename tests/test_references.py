"""References are found by type, at any depth, in lists, unions and nested models; boards are emptied in place."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

from studio.capability import PicturesRequest, Request
from studio.errors import StudioError
from studio.references import BoardOf, MapId, MaskId, PictureId, boards, pictures_of, replaced, slots, with_boards

A, B, C, D, E, F = (letter * 32 for letter in "abcdef")


class Control(Request):
    map: MapId
    weight: float = 1.0


class Everything(Request):
    prompt: str = A  # looks like an id, is none
    picture: PictureId | None = None
    mask: MaskId | None = None
    controls: tuple[Control, ...] = ()
    named: dict[str, PictureId] = {}
    either: PictureId | tuple[PictureId, ...] = ()
    inner: PicturesRequest = PicturesRequest()


def test_every_reference_is_found_with_its_purpose_and_field() -> None:
    request = Everything(
        picture=B, mask=C, controls=(Control(map=D), Control(map=E)), named={"x": F}, either=(A, B),
        inner=PicturesRequest(pictures=(C,)),
    )  # fmt: skip
    assert [(each.id, each.purpose, each.field) for each in pictures_of(request)] == [
        (B, "picture", "picture"),
        (C, "mask", "mask"),
        (D, "map", "controls.0.map"),
        (E, "map", "controls.1.map"),
        (F, "picture", "named.x"),
        (A, "picture", "either"),
        (B, "picture", "either"),
        (C, "picture", "inner.pictures"),
    ]
    assert pictures_of(Everything()) == ()
    assert [each.id for each in pictures_of(Everything(either=A))] == [A]


def test_the_slots_of_a_request_are_told_apart() -> None:
    found = {name: (slot.purpose, slot.shape) for name, slot in slots(Everything).items()}
    assert found == {
        "picture": ("picture", "one"),
        "mask": ("mask", "one"),
        "controls": ("map", "inside"),
        "named": ("picture", "inside"),
        "either": ("picture", "one"),
        "inner": ("picture", "inside"),
    }
    assert slots(PicturesRequest)["pictures"].shape == "many"
    assert boards(PicturesRequest) == {"board": "pictures"}


def test_files_named_anywhere_are_replaced_by_ids() -> None:
    given = {
        "prompt": "x.png", "picture": "x.png", "controls": [{"map": "m.png", "weight": 2}],
        "inner": {"pictures": ["folder", "y.png"]}, "unknown": "z.png",
    }  # fmt: skip
    seen: list[str] = []

    def handed_in(reference: object) -> list[str]:
        seen.append(reference.id)  # type: ignore[attr-defined]
        return {"folder": [A, B], "x.png": [C], "m.png": [D], "y.png": [E]}[seen[-1]]

    assert replaced(Everything, given, handed_in) == {
        "prompt": "x.png", "picture": C, "controls": [{"map": D, "weight": 2}],
        "inner": {"pictures": [A, B, E]}, "unknown": "z.png",
    }  # fmt: skip
    assert seen == ["x.png", "m.png", "folder", "y.png"]


class Few(PicturesRequest):
    others: tuple[PictureId, ...] = Field(default=(), max_length=2)
    other_board: Annotated[str, BoardOf("others")] = ""


class Outer(Request):
    few: Few = Few()
    list: tuple[Few, ...] = ()


def test_boards_are_emptied_at_any_depth() -> None:
    inside = {"one": (A, B), "two": (C,)}

    def look(board: str, field: str) -> tuple[str, ...]:
        asked.append(field)
        return inside[board]

    asked: list[str] = []
    outer = Outer(few=Few(pictures=(B,), board="one"), list=(Few(others=(A, A), other_board="two"),))
    done = with_boards(outer, look)
    assert (done.few.pictures, done.few.board) == ((B, A), "")
    assert done.list[0].others == (A, C)
    assert asked == ["few.board", "list.0.other_board"]
    with pytest.raises(StudioError, match="3 pictures; one job takes at most 2") as caught:
        with_boards(Few(others=(A, B), other_board="two"), look)
    assert caught.value.field == "other_board"
