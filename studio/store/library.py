"""What a user brings along and how it is ordered: uploaded pictures and clips, boards, embeddings.

A picture id is a gallery picture's or an upload's; whoever has one asks here for its file. Uploads are checked when
they arrive: their content, not their name, says what they are.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from PIL import Image
from sqlalchemy import Select, delete, exists, select
from sqlalchemy.exc import IntegrityError

from studio.capability import Request, Source
from studio.errors import StudioError
from studio.media.clips import ANIMATED, Clip
from studio.media.files import FORMATS, ftyp, unreadable
from studio.media.images import open_image, small_webp
from studio.references import Purpose, pictures_of, with_boards
from studio.store.boards import Boards
from studio.store.database import (
    AssetRow,
    BoardItemRow,
    Database,
    EmbeddingRow,
    LineageRow,
    UploadRow,
    chunks,
    now,
)
from studio.store.files import write_durably
from studio.store.gallery import KEEP_DELETED, THUMBNAIL_SIDE, Asset, Gallery

if TYPE_CHECKING:
    from studio.settings import Settings

log = logging.getLogger(__name__)

MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
}
"""Of an upload's ``format``."""
MAX_FRAMES = 20_000
"""Of an animated GIF, WebP or AVIF: each has to be looked at to know how long it plays."""

_ID = re.compile(r"[0-9a-f]{32}")
_UNKNOWN = "There is no such picture: it may have been deleted for good."
_UNREADABLE = (
    "This file is neither a readable picture (PNG, JPEG, WebP, AVIF, GIF) nor a readable clip (MP4, WebM, MOV): "
    "export it again and choose the new file."
)

SomeRequest = TypeVar("SomeRequest", bound=Request)


@dataclass(frozen=True)
class Upload:
    """A picture or clip that its owner handed in."""

    id: str
    owner: str
    name: str
    kind: Literal["picture", "clip"]
    format: str
    """A key of `MEDIA_TYPES`."""
    width: int
    height: int
    seconds: float
    """Length of a clip; 0 for a picture, and when the clip's header does not tell."""
    bytes: int
    sha256: str
    created_at: datetime
    purpose: Purpose = "picture"
    """Masks, maps and styles are kept for the pictures made with them, but are no pictures of their own."""

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]


@dataclass(frozen=True)
class Lineage:
    """What a picture was made from, and what was made from it."""

    parents: tuple[Asset, ...]
    uploads: tuple[Upload, ...]
    """Parents that its owner handed in."""
    children: tuple[Asset, ...]


class Library:
    """Every method sees only what is its user's; an unknown id and another owner's are the same `StudioError` 404."""

    def __init__(self, settings: Settings, database: Database, gallery: Gallery) -> None:
        self._settings = settings
        self._database = database
        self._gallery = gallery
        self._folder = settings.data_dir / "uploads"
        self._thumbnails = settings.data_dir / "thumbnails"
        self.boards = Boards(database, self.check_all_there)

    # -- uploads -------------------------------------------------------------------------------------------------

    def add(self, data: bytes | Path, name: str, *, user: str, purpose: Purpose = "picture") -> Upload:
        """Keep a picture (PNG, JPEG, WebP, AVIF, GIF) or a clip (MP4, WebM, MOV, animated GIF, WebP or AVIF).

        The same bytes for the same purpose are the same upload, also when it was deleted in between. Raises
        `StudioError` 422 for what is too large or cannot be decoded, 507 when the disk is full.
        """
        data = read_upload(data, self._settings.max_upload_mb)
        digest = hashlib.sha256(data).hexdigest()
        if known := self._known(digest, user, data, purpose):
            return known
        id = secrets.token_hex(16)
        format = _format(data)
        path = self._path(id, format)
        try:
            write_durably(path, data)
            found = _inspect(path, format)
            row = UploadRow(
                id=id,
                owner=user,
                name=_plain_name(name) or f"upload.{format}",
                kind="clip" if found.is_clip else "picture",
                format=format,
                width=found.frame.width,
                height=found.frame.height,
                seconds=found.seconds,
                bytes=len(data),
                sha256=digest,
                purpose=purpose,
                created_at=now(),
            )
            with self._database.write() as session:
                session.add(row)
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, IntegrityError) and (known := self._known(digest, user, data, purpose)):
                return known  # the same file came twice at the same moment
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StudioError(
                    f"The disk of {self._folder} is full: free some space, then hand the file in again.", status=507
                ) from error
            raise
        with contextlib.suppress(OSError):  # a thumbnail can be made again when it is asked for
            write_durably(self._thumbnail(id), small_webp(found.frame, THUMBNAIL_SIDE), durable=False)
        return _upload(row)

    def get(self, id: str, *, user: str) -> Upload:
        """Also finds deleted uploads, which a running job may still need."""
        row = self._row(id, user)
        if row is None:
            raise StudioError("There is no such upload: it may have been deleted for good.", status=404)
        return _upload(row)

    def has(self, id: str, *, user: str) -> bool:
        """Whether the id is of an upload, rather than of a gallery picture."""
        return self._row(id, user) is not None

    def uploads(self, user: str, limit: int = 200) -> list[Upload]:
        """Pictures and clips, newest first; masks, maps and styles are not listed."""
        mine = select(UploadRow).where(
            UploadRow.owner == user, UploadRow.deleted_at.is_(None), UploadRow.purpose == "picture"
        )
        newest = mine.order_by(UploadRow.created_at.desc(), UploadRow.id.desc()).limit(max(1, min(limit, 5000)))
        with self._database.read() as session:
            return [_upload(row) for row in session.scalars(newest)]

    def delete(self, ids: Sequence[str], *, user: str) -> int:
        """Hide uploads; `restore` brings them back for 30 days. Returns how many; passes over every other id."""
        return self._database.set_deleted(UploadRow, ids, user, now())

    def restore(self, ids: Sequence[str], *, user: str) -> int:
        return self._database.set_deleted(UploadRow, ids, user, None)

    # -- pictures and clips of either kind -----------------------------------------------------------------------

    def there(self, ids: Sequence[str], *, user: str) -> set[str]:
        """Those of ``ids`` that are the user's and not deleted."""
        found: set[str] = set()
        with self._database.read() as session:
            for some in chunks(ids):
                for table in (AssetRow, UploadRow):
                    query: Select[str] = select(table.id).where(
                        table.id.in_(some), table.owner == user, table.deleted_at.is_(None)
                    )
                    found.update(session.scalars(query))
        return found

    def some(self, ids: Sequence[str], *, user: str) -> dict[str, Asset | Upload]:
        """What is known of those that are `there`, in the order of ``ids``."""
        mine = select(UploadRow).where(UploadRow.owner == user, UploadRow.deleted_at.is_(None))
        with self._database.read() as session:
            rows = [row for some in chunks(ids) for row in session.scalars(mine.where(UploadRow.id.in_(some)))]
        found = self._gallery.some(ids, user=user) | {row.id: _upload(row) for row in rows}
        return {id: found[id] for id in ids if id in found}

    def source(self, id: str, *, user: str) -> Source:
        """Raises `StudioError` 404."""
        if row := self._row(id, user):
            return Source(id, row.name, is_clip=row.kind == "clip")
        asset = self._gallery.get(id, user=user)
        name = asset.prompt if len(asset.prompt) <= 60 else f"{asset.prompt[:57]}..."
        return Source(id, name or f"{asset.capability} {asset.seed}", asset.prompt, parameters=asset.parameters)

    def file(self, id: str, *, user: str) -> Path:
        """Raises `StudioError` 404 for an unknown picture, 410 when its file is gone."""
        row = self._row(id, user)
        if row is None:
            return self._gallery.file(id, user=user)
        path = self._path(id, row.format)
        if not path.is_file():
            raise StudioError(
                f"The file of {row.name} is missing from the data folder: hand it in again, or delete the upload.",
                status=410,
            )
        return path

    def thumbnail(self, id: str, *, user: str) -> Path:
        """WebP of at most 256 px a side, of a clip's first frame; made again when it is missing. Raises as `file`."""
        row = self._row(id, user)
        if row is None:
            return self._gallery.thumbnail(id, user=user)
        path = self._thumbnail(id)
        if not path.is_file():
            frame = _inspect(self.file(id, user=user), row.format).frame
            write_durably(path, small_webp(frame, THUMBNAIL_SIDE), durable=False)
        return path

    def picture(self, id: str, *, user: str, alpha: bool = False) -> Image.Image:
        """RGB, upright, transparent parts on white; with ``alpha`` a picture that has them is RGBA.

        Raises as `file` does, and 422 for a clip or a damaged file."""
        row = self._row(id, user)
        if row and row.kind == "clip":
            raise StudioError(f"{row.name} is a clip: choose a picture, or watch the clip instead.", field="pictures")
        return _shown(open_image(self.file(id, user=user), formats=(*FORMATS, "GIF")), alpha)

    def unmarked(self, id: str, *, user: str, alpha: bool = False) -> Image.Image:
        """As `picture`, but of a picture that was edited here the pixels from before its watermark."""
        path = None if self._row(id, user) else self._gallery.unmarked(id, user=user)
        if path is None:
            return self.picture(id, user=user, alpha=alpha)
        return _shown(open_image(path, formats=("WEBP",)), alpha)

    # -- where pictures came from --------------------------------------------------------------------------------

    def lineage(self, id: str, *, user: str) -> Lineage:
        """Of a gallery picture or an upload. Deleted ones are left out. Raises `StudioError` 404."""
        self.source(id, user=user)
        with self._database.read() as session:
            above, below = (
                list(session.scalars(select(known).where(mine == id, LineageRow.owner == user)))
                for known, mine in (
                    (LineageRow.parent_id, LineageRow.child_id),
                    (LineageRow.child_id, LineageRow.parent_id),
                )
            )
        related = sorted(self.some([*above, *below], user=user).values(), key=lambda each: (each.created_at, each.id))
        parents = [each for each in related if each.id in above]
        return Lineage(
            parents=tuple(each for each in parents if isinstance(each, Asset)),
            uploads=tuple(each for each in parents if isinstance(each, Upload)),
            children=tuple(each for each in related if each.id in below and isinstance(each, Asset)),
        )

    # -- what requests name --------------------------------------------------------------------------------------

    def resolve(self, request: SomeRequest, user: str) -> SomeRequest:
        """``request`` with its boards, at any depth, replaced by the pictures on them; every picture is the user's own.

        Raises `StudioError` 404 for an unknown board or picture, 422 for an empty board or too many pictures.
        """

        def inside(board: str, field: str) -> Sequence[str]:
            pictures = self.boards.pictures(board, user=user)
            if not pictures:
                raise StudioError("This board is empty: add pictures to it first.", field=field)
            return pictures

        request = with_boards(request, inside)
        named: dict[str, list[str]] = {}
        for reference in pictures_of(request):
            named.setdefault(reference.field, []).append(reference.id)
        for field, ids in named.items():
            self.check_all_there(ids, user, field)
        return request

    # -- housekeeping --------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """At start, before any worker and after the gallery's: remove for good what was deleted 30 days ago, and what
        only that gave a meaning; put away files that no row names, as an older backup of the database leaves them."""
        with self._database.read() as session:
            old = session.scalars(select(UploadRow).where(UploadRow.deleted_at < now() - KEEP_DELETED)).all()
        for row in old:  # files first: after a crash in between the rows still say what is to be removed
            self._path(row.id, row.format).unlink(missing_ok=True)
            self._thumbnail(row.id).unlink(missing_ok=True)
        with self._database.write() as session:
            for some in chunks([row.id for row in old]):
                session.execute(delete(UploadRow).where(UploadRow.id.in_(some)))
            for table in (BoardItemRow, EmbeddingRow):
                known = exists().where(AssetRow.id == table.picture_id) | exists().where(
                    UploadRow.id == table.picture_id
                )
                session.execute(delete(table).where(~known))
            orphaned = ~(
                exists().where(AssetRow.id == LineageRow.parent_id)
                | exists().where(UploadRow.id == LineageRow.parent_id)
            )
            session.execute(delete(LineageRow).where(orphaned))
            ids = set(session.scalars(select(UploadRow.id)))
        for stray in self._folder.glob("*/*.tmp"):
            stray.unlink(missing_ok=True)
        unlisted = self._settings.data_dir / "unlisted"
        for path in self._folder.glob("*/*"):
            if path.stem not in ids:
                unlisted.mkdir(parents=True, exist_ok=True)
                os.replace(path, unlisted / path.name)

    # -- inside --------------------------------------------------------------------------------------------------

    def _path(self, id: str, format: str) -> Path:
        return self._folder / id[:2] / f"{id}.{format}"

    def _thumbnail(self, id: str) -> Path:
        return self._thumbnails / id[:2] / f"{id}.webp"

    def _row(self, id: str, user: str) -> UploadRow | None:
        with self._database.read() as session:
            row = session.get(UploadRow, id) if _ID.fullmatch(id) else None
        return row if row and row.owner == user else None

    def _known(self, digest: str, user: str, data: bytes, purpose: Purpose) -> Upload | None:
        """The user's upload of this content, no longer deleted if it was, and with its file if that was lost."""
        same = select(UploadRow).where(
            UploadRow.owner == user, UploadRow.sha256 == digest, UploadRow.purpose == purpose
        )
        with self._database.write() as session:
            row = session.scalars(same).first()
            if row is None:
                return None
            row.deleted_at = None
            if not self._path(row.id, row.format).is_file():
                write_durably(self._path(row.id, row.format), data)
        return _upload(row)

    def check_all_there(self, ids: Sequence[str], user: str, field: str) -> None:
        """Raise `StudioError` 404 unless all of ``ids`` are the user's pictures and not deleted."""
        found = self.there(ids, user=user)
        if missing := [id for id in ids if id not in found]:
            more = f" (nor {len(missing) - 1} more of these)" if len(missing) > 1 else ""
            raise StudioError(
                f"There is no picture {missing[0][:40]}{more}: it may have been deleted; choose others.",
                field=field,
                status=404,
            )


def read_upload(data: bytes | Path, limit_mb: int) -> bytes:
    """The bytes of a file that is to be handed in. Raises `StudioError` for an unreadable or too large one."""
    try:
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        if size > limit_mb * 1_000_000:
            raise StudioError(
                f"This file has {size / 1e6:.1f} MB; at most {limit_mb} MB are taken: make it smaller, "
                "or raise STUDIO_MAX_UPLOAD_MB."
            )
        return data.read_bytes() if isinstance(data, Path) else data
    except OSError as error:
        raise StudioError(f"{data} cannot be read ({error.strerror}): check its path and permissions.") from error


def _shown(image: Image.Image, alpha: bool) -> Image.Image:
    """RGB on white; as it is where ``alpha`` is wanted."""
    if image.mode == "RGBA":
        return image if alpha else Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _upload(row: UploadRow) -> Upload:
    return Upload(**{name: getattr(row, name) for name in Upload.__dataclass_fields__})


def _plain_name(name: str) -> str:
    """The last part of a path, of either system, without what does not print."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(each for each in last if each.isprintable()).strip()[:255]


# -- what is in a file ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Content:
    frame: Image.Image
    """The picture, or the first frame of the clip."""
    is_clip: bool
    seconds: float


def _format(data: bytes) -> str:
    """A key of `MEDIA_TYPES`, told from the first bytes alone: FFmpeg must never guess, because it would take a text
    file for a playlist and open what that names."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if kind := ftyp(data):
        if kind == "heic" or (kind in ("avif", "avis") and "AVIF" not in FORMATS):
            raise StudioError(unreadable(data))
        return "avif" if kind in ("avif", "avis") else "mov" if data[8:12] == b"qt  " else "mp4"
    if data[4:8] in (b"moov", b"wide") or (data[4:8] == b"mdat" and b"moov" in data):
        return "mov"
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm"
    raise StudioError(_UNREADABLE)


def _inspect(path: Path, format: str) -> _Content:
    """Decode a picture wholly, or the first frame of a clip. Raises `StudioError` 422."""
    try:
        if format in ("png", "jpeg") or (format in ("gif", "webp", "avif") and _frames(path) == 1):
            return _Content(open_image(path, formats=(*FORMATS, "GIF")), False, 0.0)
        clip = Clip(path)
        return _Content(next(clip.frames(clip.seconds + 1, 1)).image, True, round(clip.seconds, 3))
    except StudioError:
        raise
    except Exception as error:  # decoders of hostile files raise anything
        log.warning("%s cannot be decoded", path.name, exc_info=True)
        raise StudioError(_UNREADABLE) from error


def _frames(path: Path) -> int:
    try:
        with Image.open(path, formats=ANIMATED) as image:
            frames = int(getattr(image, "n_frames", 1))
    except Exception as error:  # decoders of hostile files raise anything
        raise StudioError(_UNREADABLE) from error
    if frames > MAX_FRAMES:
        raise StudioError(f"This animation has {frames:,} frames; cut it to at most {MAX_FRAMES:,}.")
    return frames
