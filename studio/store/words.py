"""The words a user keeps: prompt styles, wildcard lists, checklists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select

from studio.errors import StudioError
from studio.store.database import ChecklistRow, Database, StyleRow, WildcardRow

MAX_QUESTIONS = 100
QUESTION_LENGTH = 500
_WILDCARD = re.compile(r"[\w-]{1,80}")


@dataclass(frozen=True)
class Style:
    """Text that is added to a prompt; ``{prompt}`` in it is replaced by the prompt."""

    name: str
    prompt: str
    negative: str


@dataclass(frozen=True)
class Checklist:
    """Yes/no questions to ask about every picture: {"question", "want"} each, ``want`` being the good answer."""

    name: str
    questions: tuple[dict[str, Any], ...]


class UserWords:
    """One user's styles and wildcards: what `studio.capability.Words` asks for."""

    def __init__(self, words: Words, user: str) -> None:
        self._words = words
        self._user = user

    def style(self, name: str) -> tuple[str, str] | None:
        return self._words.read_style(self._user, name)

    def wildcard(self, name: str) -> list[str]:
        return self._words.read_wildcard(self._user, name)


class Words:
    """Every method sees only the rows of the user it is given."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, user: str) -> UserWords:
        """What a running job or a check of a request may read."""
        return UserWords(self, user)

    # -- prompt styles and wildcards -----------------------------------------------------------------------------

    def list_styles(self, user: str) -> list[Style]:
        with self._database.read() as session:
            rows = session.scalars(select(StyleRow).where(StyleRow.owner == user).order_by(StyleRow.name)).all()
        return [Style(row.name, row.prompt, row.negative) for row in rows]

    def read_style(self, user: str, name: str) -> tuple[str, str] | None:
        """The texts (prompt, negative) of a style; None when the user has none of that name."""
        with self._database.read() as session:
            row = session.get(StyleRow, (user, name))
        return (row.prompt, row.negative) if row else None

    def save_style(self, user: str, name: str, prompt: str, negative: str = "") -> Style:
        """Create or replace. Raises `StudioError` for an empty or too long name or text."""
        name = name.strip()
        if not 0 < len(name) <= 80:
            raise StudioError("A style needs a name of 1 to 80 characters.", field="name")
        if not (prompt.strip() or negative.strip()):
            raise StudioError("A style needs some text: fill in its prompt or its negative prompt.", field="prompt")
        if len(prompt) > 10_000 or len(negative) > 10_000:
            raise StudioError("The text of a style may have at most 10,000 characters.", field="prompt")
        with self._database.write() as session:
            session.merge(StyleRow(owner=user, name=name, prompt=prompt.strip(), negative=negative.strip()))
        return Style(name, prompt.strip(), negative.strip())

    def delete_style(self, user: str, name: str) -> None:
        with self._database.write() as session:
            session.execute(delete(StyleRow).where(StyleRow.owner == user, StyleRow.name == name))

    def list_wildcards(self, user: str) -> list[str]:
        with self._database.read() as session:
            names = select(WildcardRow.name).where(WildcardRow.owner == user).order_by(WildcardRow.name)
            return list(session.scalars(names).all())

    def save_wildcard(self, user: str, name: str, text: str) -> None:
        """Keep the list behind ``__name__``, one choice a line; blank lines and ``#`` comments are passed over."""
        if not _WILDCARD.fullmatch(name):
            raise StudioError(
                "A wildcard's name may hold letters, digits, _ and - only (1 to 80 of them).", field="name"
            )
        if len(text) > 1_000_000:
            raise StudioError("A wildcard list may have at most 1,000,000 characters: split it in two.", field="text")
        if not _choices(text):
            raise StudioError("A wildcard list needs at least one line that is not blank or a comment.", field="text")
        with self._database.write() as session:
            session.merge(WildcardRow(owner=user, name=name, text=text))

    def read_wildcard(self, user: str, name: str) -> list[str]:
        """The choices behind ``__name__``; empty when the user has no such list."""
        with self._database.read() as session:
            row = session.get(WildcardRow, (user, name))
        return _choices(row.text) if row else []

    def delete_wildcard(self, user: str, name: str) -> None:
        with self._database.write() as session:
            session.execute(delete(WildcardRow).where(WildcardRow.owner == user, WildcardRow.name == name))

    # -- checklists ----------------------------------------------------------------------------------------------

    def checklists(self, user: str) -> list[Checklist]:
        """By name."""
        mine = select(ChecklistRow).where(ChecklistRow.owner == user).order_by(ChecklistRow.name)
        with self._database.read() as session:
            return [Checklist(row.name, tuple(row.questions)) for row in session.scalars(mine)]

    def save_checklist(self, user: str, name: str, questions: Iterable[str | Mapping[str, Any]]) -> Checklist:
        """Create or replace. A question is text, or {"question", "want"} where ``want`` is True unless given."""
        name = name.strip()
        if not 0 < len(name) <= 80:
            raise StudioError("A checklist needs a name of 1 to 80 characters.", field="name")
        kept = [_question(each) for each in questions]
        if not 0 < len(kept) <= MAX_QUESTIONS:
            raise StudioError(f"A checklist needs 1 to {MAX_QUESTIONS} questions.", field="questions")
        with self._database.write() as session:
            session.merge(ChecklistRow(owner=user, name=name, questions=kept))
        return Checklist(name, tuple(kept))

    def delete_checklist(self, user: str, name: str) -> None:
        with self._database.write() as session:
            session.execute(delete(ChecklistRow).where(ChecklistRow.owner == user, ChecklistRow.name == name))


def _choices(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _question(given: str | Mapping[str, Any]) -> dict[str, Any]:
    text, want = (given, True) if isinstance(given, str) else (given.get("question"), given.get("want", True))
    if not isinstance(text, str) or not 0 < len(text.strip()) <= QUESTION_LENGTH or not isinstance(want, bool):
        raise StudioError(
            f"Each question of a checklist needs 1 to {QUESTION_LENGTH} characters, and true or false as 'want'.",
            field="questions",
        )
    return {"question": text.strip(), "want": want}
