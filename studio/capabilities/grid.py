"""Grids: the same request with one or two of its settings varied, as pictures and as one labelled sheet."""

from __future__ import annotations

import csv
import itertools
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, ValidationError, create_model

from studio.capability import Capability, Context, Output, Request, Source, Words
from studio.drawing.request import check_work
from studio.drawing.sheets import cell_side, sheet, small, unwritten
from studio.errors import Cancelled, StudioError, is_poisoned, refusal
from studio.models.catalog import Catalog
from studio.references import slots

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

MAX_CELLS = 64
WORDS = "prompt-words"
"""The axis that replaces words: its first value is what stands in the prompt."""
_TEXTS = ("prompt", "negative_prompt", "instruction")
_ONE = ("count", "batch_size", "keep_best")
"""Of a capability that makes several pictures: a cell is one."""
_STEPS = 20
"""Of progress, for a cell that has no steps of its own."""

Value = bool | int | float | Annotated[str, Field(max_length=2000)]


def _from_text(given: Any) -> Any:
    """The command line's way to write an axis: JSON, or ``steps=10,20,30``; commas in a value need quotes."""
    if not isinstance(given, str) or not given:
        return given
    if given.lstrip().startswith("{"):
        return json.loads(given)
    name, sign, values = given.partition("=")
    if not sign:
        raise ValueError("write it as field=value,value or as JSON")
    return {"field": name.strip(), "values": next(csv.reader([values], skipinitialspace=True), [])}


class Axis(BaseModel):
    """A setting and the values it takes in turn."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    field: str = Field(
        min_length=1,
        max_length=100,
        description=f"A field of the request; a dot leads into a nested one. '{WORDS}' replaces words of the prompt.",
    )
    values: tuple[Value, ...] = Field(
        min_length=1,
        max_length=MAX_CELLS,
        description=f"What the field becomes. Of '{WORDS}' the first is what stands in the prompt for the others.",
    )


GivenAxis = Annotated[Axis, BeforeValidator(_from_text)]


class GridRequest(Request):
    """Which request to repeat, and what varies."""

    x: GivenAxis = Field(description="What varies from left to right.")
    y: GivenAxis | None = Field(default=None, description="What varies from top to bottom; may be left out.")

    @property
    def model(self) -> str:
        """Of the repeated request."""
        return str(getattr(getattr(self, "request", None), "model", ""))


@dataclass(frozen=True)
class _Cell:
    """One place of a grid: its request as it will run, or why it cannot."""

    place: tuple[int, int]
    request: Request | None
    why: str = ""


class Grid(Capability):
    """A grid of any of the capabilities it is made with."""

    name = "grid"
    title = "Grid"
    summary = "Draw the same with one or two settings varied, and a labelled sheet of it."
    makes = "pictures"

    def __init__(self, capabilities: Mapping[str, Capability]) -> None:
        self._of = capabilities

    def adopt(self, request: Any, source: Callable[[str], Source], catalog: Catalog) -> Any:
        name, inner = self._inner(request)
        capability = self._of[name]
        for field in _ONE:
            if getattr(inner, field, None) not in (None, 1) and field in request.request.model_fields_set:
                raise StudioError(f"A cell is one picture; leave '{field}' out.", field=f"request.{field}")
        with _blaming("request"):
            adopted = self._with(request, capability.adopt(inner, source, catalog))
        for _, wanted in self._wanted(adopted):
            if capability.adopt(wanted, source, catalog) != wanted:
                fields = " and ".join(f"'{axis.field}'" for axis in (request.x, request.y) if axis)
                raise StudioError(
                    f"{fields} decides here what is taken from the picture, so it cannot vary within a grid; "
                    "make one grid of each value.",
                    field="x.field",
                )
        return adopted

    def prepare(self, request: Any, catalog: Catalog) -> Any:
        name, inner = self._inner(request)
        cells = len(request.x.values) * len(request.y.values if request.y else (0,))
        if cells > MAX_CELLS:
            raise StudioError(
                f"These are {cells} cells; a grid has at most {MAX_CELLS}: take out some values.", field="y"
            )
        if request.y and request.y.field == request.x.field != WORDS:
            raise StudioError(f"Both axes vary '{request.x.field}'; choose another field for 'y'.", field="y.field")
        one = {"count": 1, "batch_size": 1, "keep_best": None}
        inner = inner.model_copy(update={key: value for key, value in one.items() if key in type(inner).model_fields})
        varied = [axis.field for axis in (request.x, request.y) if axis]
        made = list(self._cells(self._with(request, inner), catalog))
        first = next((cell.request for cell in made if cell.request is not None), None)
        if first is None:
            raise StudioError(made[0].why, field="x")
        # What is picked at random or depends on how the studio is set up is the same for all cells, now and later.
        same = {
            key: getattr(first, key)
            for key in ("seed", "model")
            if key in type(first).model_fields and key not in varied
        }
        filled = self._with(request, inner.model_copy(update=same))
        again = [cell.request for cell in self._cells(filled, catalog) if cell.request is not None]
        check_work(sum(self._of[name].work(each) for each in again))
        return filled

    def check(self, request: Any, words: Words, catalog: Catalog) -> None:
        name, _ = self._inner(request)
        for cell in self._cells(request, catalog):
            if cell.request is not None:
                with _blaming("request"):
                    self._of[name].check(cell.request, words, catalog)

    def work(self, request: Any) -> float:
        """That of all its cells, were they like the first."""
        name, inner = self._inner(request)
        return len(request.x.values) * len(request.y.values if request.y else (0,)) * self._of[name].work(inner)

    def run(self, request: Any, context: Context) -> Iterator[Output]:
        name, inner = self._inner(request)
        cells = list(self._cells(request, context.catalog))
        columns, rows = _labels(request.x), _labels(request.y) if request.y else [""]
        side = cell_side(len(columns), len(rows))
        total, done = sum(_steps(cell.request) for cell in cells), 0
        seen: dict[tuple[int, int], Image | str] = {}
        parents: dict[str, None] = {}
        for cell in cells:
            if cell.request is None:
                seen[cell.place] = cell.why
                continue
            told = cast(Context, _CellContext(context, done, _steps(cell.request), total))
            done += _steps(cell.request)
            try:
                with closing(cast(Any, self._of[name].run(cell.request, told))) as outputs:
                    output = next(outputs)
            except Cancelled:
                raise
            except StudioError as error:
                seen[cell.place] = error.message
                continue
            except Exception as error:
                if is_poisoned(error):
                    raise
                log.exception("a cell of a grid")
                seen[cell.place] = f"Something went wrong inside the studio ({type(error).__name__})."
                continue
            yield output
            seen[cell.place] = small(output.image, side)
            parents |= dict.fromkeys(output.parents)
        if not any(not isinstance(each, str) for each in seen.values()):
            raise StudioError(f"No cell could be drawn: {next(iter(seen.values()))}")
        bad = [
            f"{' x '.join(filter(None, (columns[x], rows[y])))}: {each}"
            for (x, y), each in seen.items()
            if isinstance(each, str)
        ]
        notes = [f"One cell could not be drawn ({each})." for each in bad]
        if any(map(unwritten, (*columns, *rows))):
            notes.append("The sheet's font lacks some letters of the labels; its settings hold them in full.")
        context.progress(total, total, message="Laying out the sheet")
        yield Output(
            image=sheet(seen, columns, rows, side),
            seed=int(getattr(inner, "seed", None) or 0),
            parameters={
                "capability": self.name,
                "prompt": str(getattr(inner, "prompt", "")),
                "model": request.model,
                "columns": columns,
                "rows": rows,
                "missing": bad,
                "requested": request.model_dump(mode="json"),
            },
            notes=tuple(notes),
            parents=tuple(parents),
        )

    def _inner(self, request: Any) -> tuple[str, Any]:
        """Name of the repeated request's capability, and the request as that knows it."""
        repeated = request.request
        kind = self._of[repeated.capability].request
        return repeated.capability, kind.model_validate(repeated.model_dump(exclude={"capability"}))

    def _with(self, request: Any, inner: Request) -> Any:
        """``request`` with another repeated one, of which what was given stays known."""
        repeated = request.request
        given = repeated.model_dump(mode="json") | inner.model_dump(mode="json")
        return request.model_copy(update={"request": type(repeated).model_validate(given)})

    def _wanted(self, request: Any) -> Iterator[tuple[tuple[int, int], Request]]:
        """(column, row) and request of each cell, row by row. Raises `StudioError` for values that the capability's
        own schema does not take."""
        name, inner = self._inner(request)
        kind = self._of[name].request
        for axis, field in ((request.x, "x"), (request.y, "y")):
            if axis and axis.field.partition(".")[0] in slots(kind):
                raise StudioError("Pictures do not vary within a grid; make one grid of each.", field=f"{field}.field")
        given = inner.model_dump(mode="json")
        ys = request.y.values if request.y else (None,)
        for (row, y), (column, x) in itertools.product(enumerate(ys), enumerate(request.x.values)):
            changed = _set(given, request.x, x, "x")
            if request.y:
                changed = _set(changed, request.y, y, "y")
            try:
                yield (column, row), kind.model_validate(changed)
            except ValidationError as error:
                found = refusal(error.errors())
                axis = "y" if request.y and (found.field or "").startswith(request.y.field) else "x"
                raise StudioError(found.message, field=f"{axis}.values") from error

    def _cells(self, request: Any, catalog: Catalog) -> Iterator[_Cell]:
        name, _ = self._inner(request)
        for place, wanted in self._wanted(request):
            try:
                yield _Cell(place, cast(Request, self._of[name].prepare(wanted, catalog)))
            except StudioError as error:
                yield _Cell(place, None, error.message)


def grid(*capabilities: Capability) -> Capability:
    """The capability that repeats requests of ``capabilities``, those among them that make pictures."""
    known = {each.name: each for each in capabilities if each.makes == "pictures" and not each.hidden}
    kinds = tuple(
        create_model(
            f"Repeated{each.request.__name__}",
            __base__=each.request,
            capability=(Literal[each.name], Field(description="Whose request it is.")),  # type: ignore[valid-type]
        )
        for each in known.values()
    )
    repeated = Annotated[Union[kinds], Discriminator("capability")]  # noqa: UP007
    described = Field(description='The request to repeat: {"capability": name, and its fields}.')
    fields: dict[str, Any] = {"request": (repeated, described)}
    request = create_model("GridRequest", __base__=GridRequest, **fields)
    request.__doc__ = GridRequest.__doc__
    kind = type("Grid", (Grid,), {"request": request, "__doc__": Grid.__doc__})
    return kind(known)


class _CellContext:
    """The context of a grid for one cell: its steps are a part of the grid's."""

    def __init__(self, context: Context, before: int, steps: int, total: int) -> None:
        self._context, self._before, self._steps, self._total = context, before, steps, total

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def progress(self, step: int, steps: int, preview: Image | None = None, message: str = "") -> None:
        share = round(self._steps * step / steps) if steps else 0
        self._context.progress(self._before + share, self._total, preview, message)


@contextmanager
def _blaming(prefix: str) -> Iterator[None]:
    """Within it refusals blame the field inside ``prefix``."""
    try:
        yield
    except StudioError as error:
        field = f"{prefix}.{error.field}" if error.field else prefix
        raise StudioError(error.message, field=field, status=error.status) from error


def _set(given: Mapping[str, Any], axis: Axis, value: Any, name: str) -> dict[str, Any]:
    """JSON of a request with one value of an axis in its place."""
    if axis.field == WORDS:
        return _replaced(given, str(axis.values[0]), str(value), name)
    if axis.field in (*_ONE, "capability"):
        raise StudioError(f"'{axis.field}' cannot vary in a grid; a cell is one picture.", field=f"{name}.field")
    first, *rest = axis.field.split(".")
    if first not in given:
        fields = ", ".join(sorted(set(given) - set(_ONE) - {"capability"}))
        raise StudioError(
            f"There is no field '{axis.field}' to vary; choose one of: {WORDS}, {fields}.", field=f"{name}.field"
        )
    return {**given, first: _put(given[first], rest, value, axis.field, name)}


def _put(held: Any, path: Sequence[str], value: Any, whole: str, name: str) -> Any:
    if not path:
        return value
    first, *rest = path
    if isinstance(held, Mapping):
        return {**held, first: _put(held.get(first), rest, value, whole, name)}
    if isinstance(held, list) and first.isdigit() and int(first) < len(held):
        place = int(first)
        return [*held[:place], _put(held[place], rest, value, whole, name), *held[place + 1 :]]
    raise StudioError(f"'{whole}' leads nowhere in this request; give it a value there first.", field=f"{name}.field")


def _replaced(given: Mapping[str, Any], word: str, by: str, name: str) -> dict[str, Any]:
    """Whole words where there are some, else any letters: a prompt may be in a language without spaces."""
    texts = {field: given[field] for field in _TEXTS if isinstance(given.get(field), str)}
    for pattern in (rf"(?<!\w){re.escape(word)}(?!\w)", re.escape(word)):
        if word and any(re.search(pattern, text) for text in texts.values()):
            return {**given, **{field: re.sub(pattern, lambda _: by, text) for field, text in texts.items()}}
    raise StudioError(
        f"The prompt has no '{word[:80]}' to replace; the first value of '{WORDS}' must stand in it.",
        field=f"{name}.values",
    )


def _labels(axis: Axis) -> list[str]:
    if axis.field == WORDS:
        return [str(value) or "(nothing)" for value in axis.values]
    return [f"{axis.field.replace('_', ' ')} {value}" for value in axis.values]


def _steps(request: Request | None) -> int:
    return 0 if request is None else int(getattr(request, "steps", None) or _STEPS)
