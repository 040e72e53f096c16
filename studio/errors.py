"""What may go wrong, told in one sentence that names the fix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class StudioError(Exception):
    """One sentence for the user that names the fix. ``status`` is for HTTP, ``field`` the request field at fault."""

    def __init__(self, message: str, *, field: str | None = None, status: int = 422) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.status = status


class Cancelled(Exception):
    """Raised inside a running job when its owner cancelled it; everything unwinds, what it had yielded stays."""


def is_poisoned(error: BaseException) -> bool:
    """A device error after which every further call in this process fails: not running out of memory."""
    name = type(error).__name__
    return name == "AcceleratorError" or ("CUDA error" in str(error) and "OutOfMemory" not in name)


def refusal(errors: Iterable[Mapping[str, Any]]) -> StudioError:
    """The first of pydantic's error rows (``ValidationError.errors()``) as one sentence with the field and the fix."""
    error = next(iter(errors))
    path = [str(part) for part in error["loc"] if part not in ("body", "query", "path", "header")]
    field, kind, context, given = ".".join(path) or None, error["type"], error.get("ctx", {}), error.get("input")
    name = f"'{field}'" if field else "The request"
    you = f"; you gave {_short(given)}." if isinstance(given, bool | int | float | str) else "."
    if kind == "missing":
        sentence = f"{name} is missing; add it."
    elif kind == "extra_forbidden":
        sentence = f"There is no field {name}; remove it or correct its name."
    elif kind in ("json_invalid", "model_attributes_type", "model_type", "dict_type"):
        field, sentence = None, "The request must be a JSON object, sent with Content-Type: application/json."
    elif kind == "string_too_short":
        sentence = f"{name} must not be empty; write something there."
    elif kind == "string_too_long":
        length = len(given) if isinstance(given, str) else "more"
        sentence = f"{name} may have at most {context['max_length']} characters; shorten it (it has {length})."
    elif kind == "too_long":
        sentence = f"{name} may have at most {context['max_length']} entries; remove some."
    elif kind == "finite_number":
        sentence = f"{name} must be a finite number{you}"
    elif kind in _LIMITS:
        key, words = _LIMITS[kind]
        sentence = f"{name} must be {words} {context[key]}{you}"
    elif kind in ("literal_error", "enum"):
        sentence = f"{name} must be {context['expected']}{you}"
    else:
        wanted = next((words for prefix, words in _TYPES.items() if kind.startswith(prefix)), None)
        sentence = f"{name} must be {wanted}{you}" if wanted else f"{name} is not right: {error['msg']}{you}"
    return StudioError(sentence, field=field)


_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_TYPES = {
    "int_": "a whole number",
    "float_": "a number",
    "bool_": "true or false",
    "string_": "text",
    "list_": "a list",
    "tuple_": "a list",
    "datetime_": "a date and time such as 2026-11-21T09:30:00Z",
}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}..."
