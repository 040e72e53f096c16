"""What the page's script may ask of the studio, each operation's input checked by a model before anything sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, ValidationError

from studio.errors import refusal

Action = Callable[[dict[str, Any]], dict[str, Any]]
"""What the page's script calls: JSON in, JSON out. Raises `StudioError` for the user."""


def _plain(value: Any) -> Any:
    return "" if value is None else str(value) if isinstance(value, bool | int | float) else value


Text = Annotated[str, BeforeValidator(_plain), StringConstraints(max_length=2000)]
Id = Annotated[str, BeforeValidator(_plain), StringConstraints(max_length=255)]
Ids = Annotated[list[Id], BeforeValidator(lambda value: value or []), Field(max_length=20_000)]


class Nothing(BaseModel):
    """What an operation takes that asks for no more than its name."""


class One(BaseModel):
    id: Id = ""


class Adding(BaseModel):
    path: Text = ""
    name: Text = ""
    prediction: Id = ""


Pair = tuple[Annotated[str, StringConstraints(max_length=5000)], Annotated[str, StringConstraints(max_length=20_000)]]


class Suggesting(BaseModel):
    pictures: Ids = []
    history: Annotated[list[Pair], BeforeValidator(lambda value: value or []), Field(max_length=500)] = []


MODELS: dict[str, type[BaseModel]] = {
    "models": Nothing,
    "fetch": One,
    "stop-fetch": One,
    "load": One,
    "unload": One,
    "add-model": Adding,
    "remove-model": One,
    "understand": Nothing,
    "suggestions": Suggesting,
}
"""By operation. One without an entry here is not offered."""


def checked(name: str, action: Action, data: Mapping[str, Any]) -> dict[str, Any]:
    """What ``action`` answers to ``data``. Raises `StudioError` for what its model does not take."""
    try:
        given = MODELS[name].model_validate(data)
    except ValidationError as error:
        raise refusal(error.errors()) from error
    return action(given.model_dump(by_alias=True))
