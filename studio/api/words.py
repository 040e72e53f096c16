"""The words that users keep: prompt styles, wildcard lists, checklists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from studio.api.schemas import NewChecklist, NewStyle, Wildcard, WildcardText
from studio.api.users import User
from studio.errors import StudioError
from studio.store.words import Checklist, Style

if TYPE_CHECKING:
    from studio import Studio


def add_words(v1: APIRouter, studio: Studio) -> None:
    words = studio.words

    @v1.get("/styles", tags=["words"])
    def list_styles(user: User) -> list[Style]:
        """By name. A request names them in its `styles`."""
        return words.list_styles(user)

    @v1.post("/styles", tags=["words"])
    def save_style(body: NewStyle, user: User) -> Style:
        """Create or replace."""
        return words.save_style(user, body.name, body.prompt, body.negative)

    @v1.delete("/styles/{name:path}", tags=["words"], status_code=204)
    def delete_style(name: str, user: User) -> None:
        words.delete_style(user, name)

    @v1.get("/wildcards", tags=["words"])
    def list_wildcards(user: User) -> list[str]:
        """Names. A prompt picks a line of a list by `__name__`."""
        return words.list_wildcards(user)

    @v1.get("/wildcards/{name}", tags=["words"])
    def get_wildcard(name: str, user: User) -> Wildcard:
        if lines := words.read_wildcard(user, name):
            return Wildcard(name=name, lines=lines)
        raise StudioError(f"There is no wildcard list '{name[:80]}'; see /api/v1/wildcards.", status=404)

    @v1.post("/wildcards", tags=["words"])
    def save_wildcard(body: WildcardText, user: User) -> Wildcard:
        """Create or replace: one choice a line; blank lines and those that begin with # are passed over."""
        words.save_wildcard(user, body.name, body.text)
        return Wildcard(name=body.name, lines=words.read_wildcard(user, body.name))

    @v1.delete("/wildcards/{name}", tags=["words"], status_code=204)
    def delete_wildcard(name: str, user: User) -> None:
        words.delete_wildcard(user, name)

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
