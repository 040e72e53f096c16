"""Pictures found by what is on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from studio.api.lanes import Lane
from studio.api.schemas import Error, Wanted
from studio.api.users import User
from studio.search import Found, Point, Status

if TYPE_CHECKING:
    from studio import Studio

_BUSY: dict[int | str, dict[str, Any]] = {503: {"model": Error}}


def add_search(v1: APIRouter, studio: Studio) -> None:
    search = studio.search

    asking, surveying = Lane(threads=0, waiting=64), Lane(threads=2, waiting=16)

    @v1.post("/search", tags=["search"], responses=_BUSY)
    async def find(body: Wanted, user: User) -> Found:
        """Pictures and moments of clips by what is on them, closest first."""
        with asking.place():
            return await search.afind(user=user, **body.model_dump())

    @v1.get("/search/status", tags=["search"], responses=_BUSY)
    @surveying
    def search_status(user: User) -> Status:
        """How much can be found yet."""
        return search.status(user)

    @v1.get("/search/duplicates", tags=["search"], responses=_BUSY)
    @surveying
    def duplicates(user: User, threshold: Annotated[float, Query(ge=0.5, le=1)] = 0.96) -> list[list[str]]:
        """Groups of ids of pictures that look almost the same."""
        return search.duplicates(user, threshold)

    @v1.get("/search/map", tags=["search"], responses=_BUSY)
    @surveying
    def picture_map(user: User, limit: Annotated[int, Query(ge=1, le=50_000)] = 10_000) -> list[Point]:
        """Pictures on a plane on which alike ones lie close."""
        return search.map(user, limit)
