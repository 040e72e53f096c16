"""Which parts of a request name pictures and boards, found by their type at any depth.

A field says so by its type alone: `PictureId` anywhere in it, in lists and nested models too, is a reference.
Ownership at submit, files on the command line, boards, uploads over REST and lineage all ask here, so a new request
needs no edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, StringConstraints

from studio.errors import StudioError

Model = TypeVar("Model", bound=BaseModel)

Purpose = Literal["picture", "mask", "map", "style"]
"""What a file is handed in for. Only pictures are listed, searched, embedded and counted."""


@dataclass(frozen=True)
class Names:
    """Marks a string type as the id of a picture, and says what it is for."""

    purpose: Purpose = "picture"


@dataclass(frozen=True)
class BoardOf:
    """Marks a string type as the id of a board whose pictures join field ``into`` of the same model."""

    into: str


_HEX = StringConstraints(pattern="^[0-9a-f]{32}$")

PictureId = Annotated[str, _HEX, Names()]
"""Of a gallery picture, or of a picture or clip that the user uploaded."""
MaskId = Annotated[str, _HEX, Names("mask")]
"""Of a picture that says where: white is meant, black is left alone."""
MapId = Annotated[str, _HEX, Names("map")]
"""Of a picture that steers another: edges, depth, a pose."""
BoardId = Annotated[str, StringConstraints(max_length=64), BoardOf("pictures")]


@dataclass(frozen=True)
class Reference:
    """One picture that a request names. ``path`` leads to it: names of fields, places in lists."""

    id: str
    purpose: Purpose
    path: tuple[str | int, ...]

    @property
    def field(self) -> str:
        """The field to blame, dotted; the place in a list of pictures is left out."""
        path = self.path[:-1] if isinstance(self.path[-1], int) else self.path
        return ".".join(map(str, path))


@dataclass(frozen=True)
class Slot:
    """A field of a request's top level that can name pictures."""

    purpose: Purpose
    shape: Literal["one", "many", "inside"]
    """A single id, a list of ids, or somewhere in a nested value."""


def slots(kind: type[BaseModel]) -> dict[str, Slot]:
    """The fields of ``kind`` that can name pictures, by name."""
    found: dict[str, Slot] = {}
    for name, field in kind.model_fields.items():
        seen = list(_marks(field.annotation, field.metadata, ()))
        if seen:
            depth, mark = seen[0]
            found[name] = Slot(mark.purpose, "one" if depth == () else "many" if depth == ("list",) else "inside")
    return found


def boards(kind: type[BaseModel]) -> dict[str, str]:
    """The fields of ``kind`` that name a board -> the field its pictures join."""
    marks = {name: _mark(field.metadata, BoardOf) for name, field in kind.model_fields.items()}
    return {name: mark.into for name, mark in marks.items() if mark}


def replaced(
    kind: type[BaseModel], data: Mapping[str, Any], change: Callable[[Reference], Sequence[str]]
) -> dict[str, Any]:
    """JSON ``data`` for a request of ``kind`` with every reference replaced by what ``change`` gives for it.

    In a list a reference may become several or none; a single one becomes the first. What does not look like the
    schema is left for pydantic to refuse.
    """
    return {
        name: _walk(field.annotation, field.metadata, data[name], (name,), change)
        for name, field in kind.model_fields.items()
        if name in data
    } | {name: value for name, value in data.items() if name not in kind.model_fields}


def pictures_of(request: BaseModel) -> tuple[Reference, ...]:
    """Every picture that ``request`` names, in the order of its fields."""
    found: list[Reference] = []

    def note(reference: Reference) -> Sequence[str]:
        found.append(reference)
        return (reference.id,)

    replaced(type(request), request.model_dump(mode="json"), note)
    return tuple(found)


def with_boards(request: Model, inside: Callable[[str, str], Sequence[str]]) -> Model:
    """``request`` with its boards, at any depth, emptied into the fields that they belong to; each picture once.

    ``inside(board, field)`` gives the pictures on a board; ``field`` is the dotted name of the field that names it.
    Raises `StudioError` where these are more pictures than the field takes.
    """
    return _emptied(request, inside, "")


def _emptied(model: Model, inside: Callable[[str, str], Sequence[str]], prefix: str) -> Model:
    changes: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            changes[name] = _emptied(value, inside, f"{prefix}{name}.")
        elif isinstance(value, tuple | list) and any(isinstance(each, BaseModel) for each in value):
            changes[name] = type(value)(
                _emptied(each, inside, f"{prefix}{name}.{place}.") if isinstance(each, BaseModel) else each
                for place, each in enumerate(value)
            )
    for name, into in boards(type(model)).items():
        ids = dict.fromkeys(getattr(model, into))
        if board := getattr(model, name):
            ids |= dict.fromkeys(inside(board, prefix + name))
            changes[name] = ""
        most = min(_limits(type(model), into), default=len(ids))
        if len(ids) > most:
            raise StudioError(
                f"These are {len(ids):,} pictures; one job takes at most {most:,}: split them over several boards.",
                field=prefix + (name if board else into),
            )
        changes[into] = tuple(ids)
    return model.model_copy(update=changes)


def _limits(kind: type[BaseModel], field: str) -> list[int]:
    return [each.max_length for each in kind.model_fields[field].metadata if hasattr(each, "max_length")]


Mark = TypeVar("Mark")


def _mark(metadata: Sequence[Any], kind: type[Mark]) -> Mark | None:
    return next((each for each in metadata if isinstance(each, kind)), None)


def _is_list(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Sequence | set | frozenset) and origin is not str


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _marks(
    kind: Any, metadata: Sequence[Any], depth: tuple[str, ...], seen: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Names]]:
    """Every place in a type that names pictures: how deep it lies, and its mark."""
    if mark := _mark(metadata, Names):
        yield depth, mark
        return
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        yield from _marks(args[0], args[1:], depth, seen)
    elif origin in (Union, UnionType):
        for each in args:
            yield from _marks(each, (), depth, seen)
    elif _is_list(origin):
        for each in args:
            yield from _marks(each, (), (*depth, "list"), seen)
    elif origin is dict:
        yield from _marks(args[1], (), (*depth, "dict"), seen)
    elif _is_model(kind) and kind not in seen:
        for field in kind.model_fields.values():
            yield from _marks(field.annotation, field.metadata, (*depth, "model"), (*seen, kind))


def _walk(
    kind: Any,
    metadata: Sequence[Any],
    value: Any,
    path: tuple[str | int, ...],
    change: Callable[[Reference], Sequence[str]],
) -> Any:
    if mark := _mark(metadata, Names):
        new = change(Reference(value, mark.purpose, path)) if isinstance(value, str) and value else (value,)
        return new[0] if new else value
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _walk(args[0], args[1:], value, path, change)
    if origin in (Union, UnionType):
        fitting = next((each for each in args if _fits(each, value)), None)
        return value if fitting is None else _walk(fitting, (), value, path, change)
    if _is_list(origin) and args and isinstance(value, list | tuple):
        return _items(args, value, path, change)
    if origin is dict and isinstance(value, Mapping):
        return {key: _walk(args[1], (), each, (*path, key), change) for key, each in value.items()}
    if _is_model(kind) and isinstance(value, Mapping):
        fields = kind.model_fields
        return {
            name: _walk(fields[name].annotation, fields[name].metadata, each, (*path, name), change)
            if name in fields
            else each
            for name, each in value.items()
        }
    return value


def _items(
    args: tuple[Any, ...],
    value: Sequence[Any],
    path: tuple[str | int, ...],
    change: Callable[[Reference], Sequence[str]],
) -> list[Any]:
    items: list[Any] = []
    for place, each in enumerate(value):
        kind = args[min(place, len(args) - 1)]
        kind = args[0] if kind is Ellipsis else kind
        mark = _mark(get_args(kind)[1:], Names) if get_origin(kind) is Annotated else None
        if mark and isinstance(each, str):
            items += change(Reference(each, mark.purpose, (*path, place)))
        else:
            items.append(_walk(kind, (), each, (*path, place), change))
    return items


def _fits(kind: Any, value: Any) -> bool:
    """Whether a member of a union is the one that ``value`` was written for, as far as references care."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if isinstance(value, Mapping):
        return get_origin(bare) is dict or (_is_model(bare) and set(value) <= set(bare.model_fields))
    if isinstance(value, list | tuple):
        return _is_list(get_origin(bare))
    return bare is type(value)
