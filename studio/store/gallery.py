"""Every picture that was made: files on disk, rows in the database, one transaction per picture.

Order of an `add`: temporary file, fsync, rename, fsync of the folder, then the rows. A crash leaves the state before or
after; what it can leave behind is a file that no row names, which the next start moves to ``data_dir/unlisted``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, delete, func, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from studio.errors import StudioError
from studio.media.images import lossless_webp, small_webp
from studio.store.database import AssetRow, Database, LineageRow, UploadRow, chunks, fold, now
from studio.store.files import write_durably

if TYPE_CHECKING:
    from PIL import Image

    from studio.settings import Settings
    from studio.trust import Released

THUMBNAIL_SIDE = 256
KEEP_DELETED = timedelta(days=30)
"""How long an undo stays possible."""
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Asset:
    """One picture of one owner. ``missing`` says that its file is gone from the disk; the row tells what it was."""

    id: str
    owner: str
    job_id: str
    index: int
    capability: str
    family: str
    seed: int
    prompt: str
    width: int
    height: int
    bytes: int
    sha256: str
    parameters: dict[str, Any]
    notes: tuple[str, ...]
    starred: bool
    created_at: datetime
    deleted_at: datetime | None
    missing: bool


@dataclass(frozen=True)
class Page:
    """``next`` is what ``before`` takes for the following page, None on the last one; ``total`` counts all pages."""

    assets: tuple[Asset, ...]
    next: str | None
    total: int


class Gallery:
    """Pictures. Every method sees only the rows of the user it is given."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._pictures = settings.data_dir / "pictures"
        self._thumbnails = settings.data_dir / "thumbnails"
        self._unlisted = settings.data_dir / "unlisted"
        self._unmarked = settings.data_dir / "unmarked"

    # -- pictures ------------------------------------------------------------------------------------------------

    def add(
        self,
        released: Released,
        *,
        owner: str,
        job_id: str,
        index: int,
        capability: str,
        family: str,
        seed: int,
        parameters: dict[str, Any],
        parents: Iterable[str] = (),
        notes: Iterable[str] = (),
        unmarked: Image.Image | None = None,
    ) -> Asset:
        """Keep picture ``index`` of a job: all of it or nothing. A second call for the same picture returns the first.

        ``unmarked`` is the picture as it was before its watermark, which a next edit starts from (see `unmarked`).

        Raises `StudioError` 507 when the disk is full, `TypeError` for anything that `studio.trust` has not released.
        """
        from studio.trust import Released

        if not isinstance(released, Released):
            raise TypeError("gallery.add takes only what trust.release returned")
        row = AssetRow(
            id=secrets.token_hex(16),
            owner=owner,
            job_id=job_id,
            index=index,
            capability=capability,
            family=family,
            seed=seed,
            prompt=str(parameters.get("prompt", "")),
            width=released.width,
            height=released.height,
            bytes=len(released.png),
            sha256=released.sha256,
            parameters=parameters,
            notes=list(notes),
            starred=False,
            created_at=now(),
        )
        path = self._picture(row.id)
        try:
            if unmarked is not None:
                write_durably(self._before_mark(row.id), lossless_webp(unmarked))
            write_durably(path, released.png)
            with self._database.write() as session:
                session.add(row)
                session.flush()
                for table in (AssetRow, UploadRow):
                    known = select(table.id).where(table.id.in_(list(parents)), table.owner == owner)
                    for parent_id in session.scalars(known).all():
                        session.add(LineageRow(parent_id=parent_id, child_id=row.id, owner=owner))
        except BaseException as error:
            path.unlink(missing_ok=True)
            self._before_mark(row.id).unlink(missing_ok=True)
            if isinstance(error, IntegrityError) and (kept := self.of_job(job_id).get(index)):
                return kept
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StudioError(
                    f"The disk of {self._pictures} is full: free some space, then run this again.", status=507
                ) from error
            raise
        with contextlib.suppress(OSError):  # a thumbnail can be made again when it is asked for
            self._make_thumbnail(row.id, released.png)
        return self._asset(row)

    def get(self, id: str, *, user: str) -> Asset:
        """Also finds deleted pictures, which can be restored. Raises `StudioError` 404, the same for other owners'."""
        with self._database.read() as session:
            row = session.get(AssetRow, id) if _ID.fullmatch(id) else None
        if row is None or row.owner != user:
            raise StudioError("There is no such picture: it may have been deleted for good.", status=404)
        return self._asset(row)

    def some(self, ids: Sequence[str], *, user: str) -> dict[str, Asset]:
        """Those of ``ids`` that are the user's and not deleted."""
        mine = select(AssetRow).where(AssetRow.owner == user, AssetRow.deleted_at.is_(None))
        with self._database.read() as session:
            rows = [row for some in chunks(ids) for row in session.scalars(mine.where(AssetRow.id.in_(some)))]
        return {row.id: self._asset(row) for row in rows}

    def of_job(self, job_id: str) -> dict[int, Asset]:
        """Pictures of a job by index, deleted ones too: what a second attempt need not keep again."""
        with self._database.read() as session:
            rows = session.scalars(select(AssetRow).where(AssetRow.job_id == job_id).order_by(AssetRow.index)).all()
        return {row.index: self._asset(row) for row in rows}

    def page(
        self,
        *,
        user: str,
        limit: int = 60,
        before: str | None = None,
        capability: str | None = None,
        family: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        starred: bool | None = None,
        text: str = "",
        deleted: bool = False,
    ) -> Page:
        """Newest first. ``before`` is the ``next`` of the page before, ``text`` must occur in the prompt."""
        where = [AssetRow.owner == user, AssetRow.deleted_at.is_not(None) if deleted else AssetRow.deleted_at.is_(None)]
        if capability:
            where.append(AssetRow.capability == capability)
        if family:
            where.append(AssetRow.family == family)
        if since:
            where.append(AssetRow.created_at >= since)
        if until:
            where.append(AssetRow.created_at < until)
        if starred is not None:
            where.append(AssetRow.starred.is_(starred))
        if text.strip():
            where.append(AssetRow.folded.contains(fold(text.strip()), autoescape=True))
        limit = max(1, min(limit, 500))
        newest_first: Select[AssetRow] = (
            select(AssetRow).where(*where).order_by(AssetRow.created_at.desc(), AssetRow.id.desc()).limit(limit + 1)
        )
        if before:
            newest_first = newest_first.where(tuple_(AssetRow.created_at, AssetRow.id) < _from_cursor(before))
        with self._database.read() as session:
            rows = session.scalars(newest_first).all()
            total = session.scalar(select(func.count()).select_from(AssetRow).where(*where)) or 0
        shown = rows[:limit]
        following = f"{shown[-1].created_at.isoformat()}~{shown[-1].id}" if len(rows) > limit else None
        return Page(tuple(map(self._asset, shown)), following, total)

    def star(self, id: str, on: bool, *, user: str) -> Asset:
        self.get(id, user=user)
        with self._database.write() as session:
            session.execute(update(AssetRow).where(AssetRow.id == id, AssetRow.owner == user).values(starred=on))
        return self.get(id, user=user)

    def delete(self, ids: Sequence[str], *, user: str) -> int:
        """Hide pictures; `restore` brings them back for 30 days. Returns how many; passes over other owners' ids."""
        return self._database.set_deleted(AssetRow, ids, user, now())

    def restore(self, ids: Sequence[str], *, user: str) -> int:
        return self._database.set_deleted(AssetRow, ids, user, None)

    def file(self, id: str, *, user: str) -> Path:
        """The PNG as it was released. Raises `StudioError` 404 for an unknown picture, 410 when its file is gone."""
        self.get(id, user=user)
        path = self._picture(id)
        if not path.is_file():
            raise StudioError(
                "The file of this picture is missing from the data folder: "
                "restore it from a backup, or delete the picture.",
                status=410,
            )
        return path

    def unmarked(self, id: str, *, user: str) -> Path | None:
        """An edited picture as it was before its watermark, for the next edit alone: marks laid over marks would add
        up in what no edit touched. Never served. None for pictures that were made from words alone, whose mark is the
        first.
        """
        self.get(id, user=user)
        path = self._before_mark(id)
        return path if path.is_file() else None

    def thumbnail(self, id: str, *, user: str) -> Path:
        """WebP of at most 256 px a side, made again from the picture when it is missing. Raises as `file` does."""
        self.get(id, user=user)
        path = self._thumbnail(id)
        if not path.is_file():
            self._make_thumbnail(id, self.file(id, user=user).read_bytes())
        return path

    def tidy(self) -> None:
        """At start, before any worker: purge what was deleted 30 days ago and put away what a crash left behind."""
        self._remove(select(AssetRow.id).where(AssetRow.deleted_at < now() - KEEP_DELETED))
        for folder in (self._pictures, self._thumbnails, self._unmarked):
            for stray in folder.glob("*/*.tmp"):
                stray.unlink(missing_ok=True)
        with self._database.read() as session:
            known = set(session.scalars(select(AssetRow.id)))
        for path in self._pictures.glob("*/*.png"):
            if path.stem not in known:  # moved, not deleted: the database may be an older backup
                self._unlisted.mkdir(parents=True, exist_ok=True)
                os.replace(path, self._unlisted / path.name)
        for path in self._unmarked.glob("*/*.webp"):
            if path.stem not in known:
                path.unlink(missing_ok=True)

    def sweep(self, since: float) -> None:
        """Before a worker that follows a dead one: remove what that had written, since ``time.time()``, without a row.
        Its job makes the picture again."""
        since -= 2.0  # some file systems are no more exact
        for folder in self._pictures.glob("*"):
            if folder.stat().st_mtime < since:  # nothing was added
                continue
            for stray in folder.glob("*.tmp"):
                stray.unlink(missing_ok=True)
            new = [path for path in folder.glob("*.png") if path.stat().st_mtime >= since]
            with self._database.read() as session:
                known = set(session.scalars(select(AssetRow.id).where(AssetRow.id.in_([path.stem for path in new]))))
            for path in new:
                if path.stem not in known:
                    path.unlink(missing_ok=True)

    # -- inside --------------------------------------------------------------------------------------------------

    def _asset(self, row: AssetRow) -> Asset:
        values = {name: getattr(row, name) for name in Asset.__dataclass_fields__ if name not in ("notes", "missing")}
        return Asset(**values, notes=tuple(row.notes), missing=not self._picture(row.id).is_file())

    def _picture(self, id: str) -> Path:
        return self._pictures / id[:2] / f"{id}.png"

    def _before_mark(self, id: str) -> Path:
        return self._unmarked / id[:2] / f"{id}.webp"

    def _thumbnail(self, id: str) -> Path:
        return self._thumbnails / id[:2] / f"{id}.webp"

    def _make_thumbnail(self, id: str, png: bytes) -> None:
        from PIL import Image

        with Image.open(BytesIO(png)) as image:
            write_durably(self._thumbnail(id), small_webp(image, THUMBNAIL_SIDE), durable=False)

    def _remove(self, query: Select[str]) -> None:
        # Files first: after a crash in between the rows still say what is to be removed.
        with self._database.read() as session:
            ids = list(session.scalars(query))
        for id in ids:
            self._picture(id).unlink(missing_ok=True)
            self._thumbnail(id).unlink(missing_ok=True)
            self._before_mark(id).unlink(missing_ok=True)
        with self._database.write() as session:
            for some in chunks(ids):
                session.execute(delete(AssetRow).where(AssetRow.id.in_(some)))


def _from_cursor(cursor: str) -> tuple[datetime, str]:
    moment, _, id = cursor.partition("~")
    try:
        created_at = datetime.fromisoformat(moment)
        created_at = created_at.astimezone(UTC) if created_at.tzinfo else None
    except (ValueError, OverflowError):  # a moment of the year 1 or 9999 may have no equal in UTC
        created_at = None
    if created_at is None or not _ID.fullmatch(id):
        raise StudioError("This page marker is not valid: start again from the first page.", field="before")
    return created_at, id
