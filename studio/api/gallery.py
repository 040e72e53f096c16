"""The pictures that were made."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Request as HttpRequest
from fastapi.responses import FileResponse

from studio.api.lanes import Lane
from studio.api.schemas import IMMUTABLE, RAW_BODY, Changed, Error, Moment, Selection, Starring
from studio.api.users import User
from studio.drawing.restore import restore
from studio.errors import StudioError
from studio.media.parameters import read_settings
from studio.store.gallery import Asset, Page
from studio.store.library import Lineage

if TYPE_CHECKING:
    from studio import Studio


def add_gallery(v1: APIRouter, studio: Studio) -> None:
    gallery = studio.gallery

    @v1.get("/gallery", tags=["gallery"])
    def list_pictures(
        user: User,
        limit: Annotated[int, Query(ge=1, le=500)] = 60,
        before: Annotated[str | None, Query(max_length=100, description="`next` of the page before.")] = None,
        capability: str | None = None,
        model: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        starred: bool | None = None,
        text: Annotated[str, Query(max_length=200, description="Occurs in the prompt.")] = "",
        deleted: bool = False,
    ) -> Page:
        """Pictures, newest first."""
        return gallery.page(
            user=user,
            limit=limit,
            before=before,
            capability=capability,
            family=model,
            since=since,
            until=until,
            starred=starred,
            text=text,
            deleted=deleted,
        )

    @v1.get("/gallery/{id}", tags=["gallery"])
    def get_picture(id: str, user: User) -> Asset:
        """One picture with all its parameters."""
        return gallery.get(id, user=user)

    @v1.get("/gallery/{id}/lineage", tags=["gallery"])
    def get_lineage(id: str, user: User) -> Lineage:
        """What a picture was made from, and what was made from it."""
        return studio.library.lineage(id, user=user)

    @v1.post("/gallery/star", tags=["gallery"])
    def star(body: Starring, user: User) -> Changed:
        for id in body.ids:
            gallery.star(id, body.on, user=user)
        return Changed(changed=len(body.ids))

    @v1.post("/gallery/delete", tags=["gallery"])
    def delete(body: Selection, user: User) -> Changed:
        """Can be undone with restore for 30 days."""
        return Changed(changed=gallery.delete(body.ids, user=user))

    @v1.post("/gallery/restore", tags=["gallery"])
    def restore_pictures(body: Selection, user: User) -> Changed:
        return Changed(changed=gallery.restore(body.ids, user=user))

    @v1.get("/assets/{id}", tags=["gallery"], response_class=FileResponse)
    def get_asset(id: str, user: User, download: bool = False) -> FileResponse:
        """The PNG exactly as it was released; `?download=1` makes a browser save it."""
        asset = gallery.get(id, user=user)
        name = f"{asset.capability}-{asset.seed}-{asset.id[:8]}.png" if download else None
        return FileResponse(gallery.file(id, user=user), media_type="image/png", filename=name, headers=IMMUTABLE)

    @v1.get("/assets/{id}/thumbnail", tags=["gallery"], response_class=FileResponse)
    def get_thumbnail(id: str, user: User) -> FileResponse:
        """WebP of at most 256 pixels a side."""
        return FileResponse(gallery.thumbnail(id, user=user), media_type="image/webp", headers=IMMUTABLE)

    reading = Lane(threads=2, waiting=24)

    @v1.post("/parameters", tags=["gallery"], openapi_extra=RAW_BODY, responses={503: {"model": Error}})
    async def parameters_of(
        request: HttpRequest,
        capability: Annotated[str, Query(max_length=64, description="Whose form it is for; empty is the first.")] = "",
    ) -> dict[str, Any] | None:
        """The settings a picture file (PNG, JPEG, WebP or AVIF) carries, ours or another tool's; null when it carries
        none. `report` says what of them can be used here: `values` for a request, the names of the fields `restored`,
        and what is `not_restored` as `{field, said, why}`.
        """
        with reading.place():
            picture = await request.body()
            return await reading.run(partial(_settings_of, picture, capability, studio))


def _settings_of(picture: bytes, capability: str, studio: Studio) -> dict[str, Any] | None:
    words = {name: each for name, each in studio.capabilities.items() if "prompt" in each.request.model_fields}
    drawing = {name: each for name, each in words.items() if each.makes == "pictures"}
    asked = drawing.get(capability or next(iter(drawing), ""))
    if asked is None:
        names = ", ".join(drawing)
        raise StudioError(f"'{capability}' draws no pictures from words; use one of: {names}.", field="capability")
    found = read_settings(picture)
    if found is None:
        return None
    report = restore(found, asked, studio.catalog)
    return found.values | {"report": asdict(report) | {"sentence": report.sentence}}
