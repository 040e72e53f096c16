"""What a model makes of a prompt, before it is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from studio.drawing.words import unknown_words, words_note

if TYPE_CHECKING:
    from studio import Studio


class UnknownWord(BaseModel):
    """A word that the model does not know, and the objects it knows that come nearest."""

    word: str
    nearest: list[str]


class PromptCheck(BaseModel):
    """``note`` is one sentence for the user; empty when every word is known, or when the model draws anything."""

    unknown: list[UnknownWord]
    note: str


def add_prompts(v1: APIRouter, studio: Studio) -> None:
    catalog = studio.catalog

    @v1.get("/prompts/check", tags=["prompts"])
    def check_prompt(
        prompt: Annotated[str, Query(max_length=2000)], model: Annotated[str, Query(max_length=64)] = ""
    ) -> PromptCheck:
        """The words of a prompt that the model (empty: the default) does not know."""
        found = unknown_words(prompt, model, catalog)
        return PromptCheck(
            unknown=[UnknownWord(word=each.word, nearest=list(each.nearest)) for each in found],
            note=words_note(prompt, model, catalog),
        )
