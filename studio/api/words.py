"""The words that users keep: checklists of questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from studio.api.schemas import NewChecklist
from studio.api.users import User
from studio.store.words import Checklist

if TYPE_CHECKING:
    from studio import Studio


def add_words(v1: APIRouter, studio: Studio) -> None:
    words = studio.words

    @v1.get("/checklists", tags=["words"])
    def list_checklists(user: User) -> list[Checklist]:
        """By name."""
        return words.checklists(user)

    @v1.post("/checklists", tags=["words"])
    def save_checklist(body: NewChecklist, user: User) -> Checklist:
        """Create or replace."""
        return words.save_checklist(user, body.name, [each.model_dump() for each in body.questions])

    @v1.delete("/checklists/{name:path}", tags=["words"], status_code=204)
    def delete_checklist(name: str, user: User) -> None:
        words.delete_checklist(user, name)
