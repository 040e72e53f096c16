"""Many pictures as one file."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import IO, Any

from fastapi.responses import StreamingResponse

from studio.errors import StudioError
from studio.store.gallery import Asset
from studio.store.library import Library, Upload

IN_MEMORY = 16_000_000
"""Bytes of an archive before it goes to a temporary file."""
_BLOCK = 262_144

ZIPPED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}
"""What such a route answers."""


def zipped(library: Library, ids: Sequence[str], user: str) -> StreamingResponse:
    """The files of ``ids``; those without a file are named in a list beside the others. Raises `StudioError` 404 where
    there is none at all."""
    # Closed when it was sent.
    archive = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
    missing: list[str] = []
    taken: set[str] = set()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as pack:  # pictures are compressed already
        for id, picture in library.some(ids, user=user).items():
            name = _name(picture, taken)
            try:
                pack.write(library.file(id, user=user), name)
            except (StudioError, OSError):
                missing.append(name)
        found = len(pack.filelist)
        if missing:
            pack.writestr("missing.txt", "These files are missing from the data folder:\n" + "\n".join(missing) + "\n")
    if not found:
        archive.close()
        raise StudioError("None of these pictures has a file here: choose others.", status=404)
    length = archive.tell()
    archive.seek(0)
    headers = {"Content-Disposition": 'attachment; filename="pictures.zip"', "Content-Length": str(length)}
    return StreamingResponse(_blocks(archive), media_type="application/zip", headers=headers)


def _name(picture: Asset | Upload, taken: set[str]) -> str:
    """A file name of its own for each: `text-to-image-12-3f9a1c.png`, or that of the upload."""
    short = picture.id[:6]
    if isinstance(picture, Asset):
        name = f"{picture.capability}-{picture.seed}-{short}.png"
    elif picture.name in taken:
        name = f"{PurePath(picture.name).stem}-{short}{PurePath(picture.name).suffix}"
    else:
        name = picture.name
    taken.add(name)
    return name


def _blocks(archive: IO[bytes]) -> Iterator[bytes]:
    with archive:
        while block := archive.read(_BLOCK):
            yield block
