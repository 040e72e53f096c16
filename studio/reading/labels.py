"""Labels as a user writes them, and as what a model of pictures and words compares pictures with. No torch here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, StringConstraints

from studio.capability import PicturesRequest
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.families import Family
from studio.reading.reading import Reading

TEMPLATES = ("{}", "a {}", "a picture of a {}", "a photo of a {}")
MAX_LINES = 20_000
"""Labels x templates of one request: what a large model reads in minutes on a CPU."""


def split_labels(given: Any) -> Any:
    """Text, or a list of one text, as labels: one per line, or else separated by commas. Blanks are left out."""
    if isinstance(given, list | tuple) and len(given) == 1:
        given = given[0]
    if isinstance(given, str):
        given = given.splitlines() if "\n" in given.strip() else given.split(",")
    if not isinstance(given, list | tuple):
        return given
    tidy = (" ".join(each.split()) if isinstance(each, str) else each for each in given)
    return tuple(each for each in tidy if each != "")


Labels = Annotated[tuple[Annotated[str, StringConstraints(max_length=200)], ...], BeforeValidator(split_labels)]


def labels_field(most: int) -> Any:
    return Field(
        default=(),
        max_length=most,
        description="What to look for; a single text is split at its line ends, or else at its commas.",
    )


Templates = tuple[Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)], ...]
TEMPLATES_FIELD: Any = Field(
    default=TEMPLATES,
    min_length=1,
    max_length=100,
    description="Sentences around a label, which stands where {} is; the model hears the average of all of them.",
)
Mode = Literal["auto", "softmax", "sigmoid"]


class LabelsRequest(PicturesRequest):
    """Labels to look for, and how their probabilities come about."""

    labels: Labels = labels_field(1000)
    templates: Templates = TEMPLATES_FIELD
    mode: Mode = Field(
        default="auto",
        description="softmax: exactly one label fits. sigmoid: each for itself; needs a model trained that way.",
    )
    model: str = Field(default="", max_length=64, description="Model id; empty is the model of the search.")


def check_templates(labels: Sequence[str], templates: Sequence[str]) -> None:
    """Raise `StudioError` for a template without a place for the label, and for more lines than anyone waits for."""
    for template in templates:
        if template.count("{}") != 1:
            raise StudioError(
                f"The template '{template[:60]}' needs one {{}}, where the label goes.", field="templates"
            )
    if len(labels) * len(templates) > MAX_LINES:
        raise StudioError(
            f"{len(labels)} labels in {len(templates)} templates are too much at once; "
            f"use at most {MAX_LINES // len(labels)} templates.",
            field="templates",
        )


def choose_mode(catalog: Catalog, family: Family, mode: Mode) -> Mode:
    """What "auto" means for ``family``. Raises `StudioError` for probabilities that it never learned."""
    if mode == "sigmoid" and not family.supports("sigmoid"):
        fit = ", ".join(row.id for row in catalog.all() if row.supports("sigmoid"))
        raise StudioError(
            f"{family.name} was trained to choose between labels, so it has no independent probabilities: "
            f"use softmax, or one of: {fit}.",
            field="mode",
        )
    if mode == "auto":
        return "sigmoid" if family.supports("sigmoid") else "softmax"
    return mode


def merge(labels: Sequence[str]) -> list[str]:
    """``labels`` without empty ones and without those that differ in upper and lower case only."""
    found: dict[str, str] = {}
    for label in labels:
        if label:
            found.setdefault(label.casefold(), label)
    return list(found.values())


def label_notes(request: LabelsRequest, labels: Sequence[str]) -> list[str]:
    """What the user should know of ``labels``, the merged ones of ``request``."""
    notes = []
    if len(labels) < len(request.labels):
        notes.append("Labels that were given twice or empty were merged.")
    if len(labels) == 1 and request.mode == "softmax":
        notes.append("A single label always gets 100 %: add a second one, if only 'something else'.")
    return notes


def label_vectors(reading: Reading, labels: Sequence[str], templates: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors [labels, d]: of each label the mean over all templates, as in CLIP's prompt ensembles."""
    lines = [fill(template, label) for label in labels for template in templates]
    vectors = reading.read(lines).reshape(len(labels), len(templates), -1).mean(1)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def to_probabilities(cosines: NDArray[np.float32], mode: str, scale: float, bias: float | None) -> NDArray[np.float64]:
    """Cosines [labels] as probabilities, with the temperature that the model learned."""
    logits = cosines.astype(np.float64) * scale
    if mode == "sigmoid":
        return 1 / (1 + np.exp(-(logits + (bias or 0.0))))
    likely = np.exp(logits - logits.max())
    return likely / likely.sum()


def fill(template: str, label: str) -> str:
    """``template`` with ``label`` at its {}; an article before it is made to fit, or left out if the label has one."""

    def fitting(found: re.Match[str]) -> str:
        if _DETERMINED.match(label):
            return label
        vowel = _VOWEL.match(label) is not None
        return f"{found[1]}{'n' if vowel else ''} {label}"

    filled, changed = _ARTICLE.subn(fitting, template)
    return filled if changed else template.replace("{}", label)


_ARTICLE = re.compile(r"\b([Aa])n? \{\}")
_DETERMINED = re.compile(r"(an?|the|this|some|no|two|three|four|five|many|several|\d+) ", re.IGNORECASE)
_VOWEL = re.compile(r"(?!uni|use|usu|eu|one)(?:[aeiou]|hour|heir|honest)", re.IGNORECASE)
