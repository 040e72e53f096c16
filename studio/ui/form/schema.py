"""A request's schema as a form needs it: labels, help, what a field takes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from studio.capability import Request
from studio.errors import StudioError

_LABELS = {
    "guidance_scale": "Guidance", "count": "Number of pictures", "batch_size": "At the same time",
    "keep_best": "Keep only the best",
}  # fmt: skip


def label(name: str) -> str:
    """A field's name for people: ``negative_prompt`` is "Negative prompt"."""
    return _LABELS.get(name) or name.replace("_", " ").capitalize()


def help_of(request: type[Request], name: str) -> str:
    """What the schema says about a field."""
    return request.model_fields[name].description or ""


def takes(request: type[Request], name: str, value: Any) -> bool:
    """Whether ``value`` alone is right for a field."""
    field = request.model_fields.get(name)
    if field is None or field.annotation is None:
        return False
    kind: Any = field.annotation
    if field.metadata:
        kind = Annotated.__class_getitem__((kind, *field.metadata))  # pyright: ignore[reportAttributeAccessIssue]
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def in_words(error: StudioError) -> str:
    """The sentence of a refusal with the form's labels for the request's names."""
    message = error.message
    name = (error.field or "").split(".")[0]
    for each in {name, "count", "keep_best", "batch_size"} - {""}:
        message = message.replace(f"'{each}'", f"“{label(each)}”")
    return message
