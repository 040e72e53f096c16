"""What users bring along: pictures and clips that they hand in."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from fastapi import Request as HttpRequest
from fastapi.responses import FileResponse, Response

from studio.api.archive import ZIPPED, zipped
from studio.api.lanes import Lane
from studio.api.schemas import (
    IMMUTABLE,
    RAW_BODY,
    Changed,
    Error,
    KnownPictures,
    Picture,
    Pictures,
    Selection,
)
from studio.api.users import User
from studio.references import Purpose
from studio.store.gallery import Asset
from studio.store.library import Upload

if TYPE_CHECKING:
    from studio import Studio


def add_library(v1: APIRouter, studio: Studio) -> None:
    library = studio.library

    uploading = Lane(threads=3, waiting=24)

    @v1.post("/uploads", tags=["library"], status_code=201, openapi_extra=RAW_BODY, responses={503: {"model": Error}})
    async def upload(
        request: HttpRequest,
        user: User,
        name: Annotated[str, Query(max_length=1000, description="File name.")] = "",
        purpose: Annotated[Purpose, Query(description="Masks, maps and styles are kept, not listed.")] = "picture",
    ) -> Upload:
        """Hand in a picture (PNG, JPEG, WebP, AVIF, GIF) or a clip (MP4, WebM, MOV) as the body of the request.

        The same file for the same purpose a second time is the same upload.
        """
        with uploading.place():
            file = await request.body()
            return await uploading.run(partial(library.add, file, name, user=user, purpose=purpose))

    @v1.get("/uploads", tags=["library"])
    def list_uploads(user: User, limit: Annotated[int, Query(ge=1, le=5000)] = 200) -> list[Upload]:
        """Newest first."""
        return library.uploads(user, limit)

    @v1.get("/uploads/{id}", tags=["library"], response_class=FileResponse)
    def get_upload(id: str, user: User, download: bool = False) -> FileResponse:
        """The file exactly as it was handed in; `?download=1` makes a browser save it."""
        found = library.get(id, user=user)
        name = found.name if download else None
        path = library.file(id, user=user)
        return FileResponse(path, media_type=found.media_type, filename=name, headers=IMMUTABLE)

    @v1.get("/uploads/{id}/thumbnail", tags=["library"], response_class=FileResponse)
    def get_upload_thumbnail(id: str, user: User) -> FileResponse:
        """WebP of at most 256 pixels a side; of a clip its first frame."""
        library.get(id, user=user)
        return FileResponse(library.thumbnail(id, user=user), media_type="image/webp", headers=IMMUTABLE)

    @v1.delete("/uploads/{id}", tags=["library"])
    def delete_upload(id: str, user: User) -> Changed:
        """Can be undone for 30 days, by restore or by handing the file in again."""
        library.get(id, user=user)
        return Changed(changed=library.delete([id], user=user))

    @v1.post("/uploads/restore", tags=["library"])
    def restore_uploads(body: Selection, user: User) -> Changed:
        return Changed(changed=library.restore(body.ids, user=user))

    @v1.post("/pictures", tags=["library"])
    def get_many(body: Pictures, user: User) -> KnownPictures:
        """What is known of pictures of either kind."""
        found = library.some(body.pictures, user=user).values()
        return KnownPictures(
            assets=[each for each in found if isinstance(each, Asset)],
            uploads=[each for each in found if isinstance(each, Upload)],
        )

    packing = Lane(threads=1, waiting=8)

    @v1.post("/pictures/zip", tags=["library"], response_class=Response, responses=ZIPPED)
    @packing
    def download(body: Selection, user: User) -> Response:
        """The files of many pictures as one ZIP, exactly as they were released or handed in."""
        return zipped(library, body.ids, user)

    @v1.get("/pictures/{id}", tags=["library"])
    def get_any_picture(id: str, request: HttpRequest, user: User) -> Picture:
        """What is known of a gallery picture or an upload, and where its file is."""
        source = library.source(id, user=user)
        root = request.scope.get("root_path", "")
        url = f"{root}/api/v1/{'uploads' if library.has(id, user=user) else 'assets'}/{id}"
        return Picture(**asdict(source), url=url, thumbnail=f"{url}/thumbnail")
