"""Checklists: the same yes/no questions about many pictures, which then lie in three lanes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from studio.capability import Capability, Context, PicturesRequest, Record
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.reading.reading import Reading, check_pictures


class Check(BaseModel):
    """A yes/no question and the answer that a good picture gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    want: bool = True
    """Whether the wanted answer is yes."""


def _as_check(given: Any) -> Any:
    """ "Is there any text? no" as a check, for the command line and for lists written as text; yes may be left out."""
    if isinstance(given, str):
        found = re.fullmatch(r"(.*?\?)\s*[:=-]?\s*(yes|no)\.?\s*", given, re.IGNORECASE | re.DOTALL)
        return {"question": found[1], "want": found[2].lower() == "yes"} if found else {"question": given}
    return given


class ChecklistRequest(PicturesRequest):
    """Which pictures to check, and for what."""

    questions: tuple[Annotated[Check, BeforeValidator(_as_check)], ...] = Field(
        default=(), max_length=100, description="Yes/no questions; 'is there any text? no' wants the answer no."
    )
    pass_at: float = Field(
        default=0.8, ge=0, le=1, description="A picture passes when every wanted answer is at least this likely."
    )
    fail_at: float = Field(
        default=0.2, ge=0, le=1, description="It fails when one wanted answer is at most this likely."
    )
    model: str = Field(default="", max_length=64, description="Model id; empty is the studio's default.")


class Checklist(Capability):
    """See `ChecklistRequest`."""

    name = "checklist"
    title = "Check"
    summary = "Sort pictures into pass, look and fail by yes/no questions."
    request = ChecklistRequest
    makes = "records"
    light = 8

    def prepare(self, request: ChecklistRequest, catalog: Catalog) -> ChecklistRequest:
        check_pictures(request)
        if not request.questions:
            raise StudioError("Write at least one yes/no question, such as: is there any text?", field="questions")
        if request.fail_at >= request.pass_at:
            raise StudioError(
                f"'fail_at' ({request.fail_at:g}) must be below 'pass_at' ({request.pass_at:g}); lower it.",
                field="fail_at",
            )
        return request.model_copy(update={"model": catalog.able(request.model, "vqa").id})

    def work(self, request: ChecklistRequest) -> float:
        return float(len(request.pictures) * len(request.questions))

    def run(self, request: ChecklistRequest, context: Context) -> Iterator[Record]:
        reading = Reading(context, request.model, request.pictures)
        for item in reading.items():
            if item.image is None:
                yield item.record()
                continue
            ask = partial(_ask, image=item.image, questions=request.questions, reading=reading)
            item, likely = reading.about(item, ask)
            if likely is None:
                yield item.record()
                continue
            rows = [
                {
                    "question": check.question,
                    "want": check.want,
                    "yes": round(yes, 4),
                    "ok": round(yes if check.want else 1 - yes, 4),
                }
                for check, yes in zip(request.questions, likely, strict=True)
            ]
            sorted_to = lane([row["ok"] for row in rows], request.pass_at, request.fail_at)
            yield item.record(lane="look" if item.doubt else sorted_to, checks=rows)  # a guess decides nothing


def _ask(reader: Any, *, image: Any, questions: Sequence[Check], reading: Reading) -> list[float]:
    """Of each question the probability of yes; together, as models look at a picture only once."""
    likely = []
    for check in questions:
        reading.tell()
        likely.append(reader.yes([image], check.question))
    return likely


def lane(wanted: list[float], pass_at: float, fail_at: float) -> str:
    """Where a picture goes whose wanted answers have these probabilities: its worst answer decides."""
    worst = min(wanted)
    return "pass" if worst >= pass_at else "fail" if worst <= fail_at else "look"
