"""Visual questions: a conversation about one picture or several."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from studio.capability import Capability, Context, PicturesRequest, Record
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.reading.reading import Reading, check_pictures, doubted

MAX_PICTURES = 8
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Turn(BaseModel):
    """What was asked and answered before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: Question
    answer: str = Field(max_length=2000)


def _as_turn(given: Any) -> Any:
    """ "What is it? An apple." as a turn, for the command line."""
    if isinstance(given, str):
        question, mark, answer = given.partition("?")
        return {"question": question + mark, "answer": answer.strip()}
    return given


class AskRequest(PicturesRequest):
    """A question about pictures, with the conversation so far."""

    question: Question = Field(description="What you want to know about the pictures.")
    history: tuple[Annotated[Turn, BeforeValidator(_as_turn)], ...] = Field(
        default=(), max_length=20, description="Questions and answers before this one, as 'question? answer'."
    )
    model: str = Field(default="", max_length=64, description="Model id; empty is the studio's default.")


class Ask(Capability):
    """See `AskRequest`. Answers are text from a model: surfaces show them as text, never as markup."""

    name = "ask"
    title = "Ask"
    summary = "Answer a question about a picture."
    request = AskRequest
    makes = "records"
    light = 1
    priority = 10

    def prepare(self, request: AskRequest, catalog: Catalog) -> AskRequest:
        check_pictures(request, MAX_PICTURES)
        return request.model_copy(update={"model": catalog.able(request.model, "vqa").id})

    def run(self, request: AskRequest, context: Context) -> Iterator[Record]:
        reading = Reading(context, request.model, request.pictures)
        if 0 in context.kept:
            return
        items = [item for batch in reading.batches(MAX_PICTURES) for item in batch]
        for item in items:
            if item.error:
                raise StudioError(f"{item.source.name}: {item.error}", field="pictures")
        images = [item.image for item in items]
        history = [(turn.question, turn.answer) for turn in request.history]
        reading.tell("Thinking")
        answer = reading.run(lambda reader: reader.answer(images, request.question, history))
        apart = len(images) > 1 and not context.catalog.get(request.model).supports("chat")
        yield Record(
            0,
            {
                "pictures": list(request.pictures),
                "question": request.question,
                "answer": answer.text,
                "confidence": round(answer.confidence, 4),
                **({"asked": answer.asked} if answer.asked else {}),
                **doubted(max((item.doubt for item in items if item.doubt is not None), default=None)),
            },
            notes=("This model sees one picture at a time, so it was asked about each by itself.",) if apart else (),
        )


def suggestions(
    history: Sequence[tuple[str, str]] = (), *, prompt: str = "", pictures: int = 1, most: int = 4
) -> list[str]:
    """Questions worth asking next: those that the talk, or the ``prompt`` of a drawn picture, makes natural.

    Made from rules, not by a model. What was asked already does not come again.
    """
    told: list[str] = []
    for question, answer in reversed(history):
        thing = re.sub(r"\b(an?|the) ", "", " ".join(answer.lower().split()).rstrip("."))
        if re.match(r"what (is|are) (in|on|at|above|below)", question.lower()):
            for part in thing.split(" and ")[:2]:
                if re.fullmatch(r"[a-z-]+( [a-z-]+)?", part):
                    told += [f"How many {_plural(part)} are there?", f"Where is the {part}?"]
    drawn = re.match(r"(?:[\w'-]+ )*?([a-z'-]+)(?= (?:on|in|at|with|and|under|near|beside)\b|,|\.|$)", prompt.lower())
    if drawn and drawn[1] != "background":
        told.append(f"Is there {'an' if drawn[1][0] in 'aeiou' else 'a'} {drawn[1]}?")
    told += [
        "What is in the picture?",
        "What colour is the background?",
        "What style is the picture in?",
        "What is on the left?",
        "What is on the right?",
        "Is there any text in the picture?",
    ]
    if pictures > 1:
        told.insert(0, "What is different between the pictures?")
    asked = {_bare(question) for question, _ in history}
    return [each for each in dict.fromkeys(told) if _bare(each) not in asked][:most]


def _bare(question: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", question.lower()).strip()


def _plural(noun: str) -> str:
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun if noun.endswith("s") else noun + "es"
    return noun[:-1] + "ies" if re.search(r"[^aeiou]y$", noun) else noun + "s"
