"""Boards: named lists of pictures, of the gallery and of those handed in."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from studio.errors import StudioError
from studio.store.database import AssetRow, BoardItemRow, BoardRow, Database, UploadRow, chunks, now


@dataclass(frozen=True)
class Board:
    """A named list of pictures. Deleted pictures do not count; restored ones are back in their place."""

    id: str
    name: str
    count: int
    created_at: datetime


class Boards:
    """Every method sees only what is its user's; an unknown board and another owner's are the same `StudioError` 404.

    ``check(ids, user, field)`` refuses pictures that are not the user's own.
    """

    def __init__(self, database: Database, check: Callable[[Sequence[str], str, str], None]) -> None:
        self._database = database
        self._check = check

    def all(self, user: str) -> list[Board]:
        """By name."""
        count = (
            select(func.count())
            .select_from(BoardItemRow)
            .where(BoardItemRow.board_id == BoardRow.id, _is_there(BoardItemRow.picture_id))
            .scalar_subquery()
        )
        query = select(BoardRow, count).where(BoardRow.owner == user).order_by(func.lower(BoardRow.name), BoardRow.id)
        with self._database.read() as session:
            return [Board(row.id, row.name, total, row.created_at) for row, total in session.execute(query)]

    def create(self, user: str, name: str, pictures: Iterable[str] = ()) -> Board:
        """Raises `StudioError` 422 for a bad name, 409 for one that is taken, 404 for an unknown picture."""
        ids = list(dict.fromkeys(pictures))
        self._check(ids, user, "pictures")
        row = BoardRow(id=secrets.token_hex(16), owner=user, name=_board_name(name), created_at=now())
        with self._taken(name), self._database.write() as session:
            session.add(row)
            session.flush()
            session.add_all(
                BoardItemRow(board_id=row.id, picture_id=id, owner=user, position=position)
                for position, id in enumerate(ids)
            )
        return Board(row.id, row.name, len(ids), row.created_at)

    def pictures(self, id: str, *, user: str) -> tuple[str, ...]:
        """In the order in which they were added, without deleted ones."""
        items = select(BoardItemRow.picture_id).where(BoardItemRow.board_id == id, _is_there(BoardItemRow.picture_id))
        with self._database.read() as session:
            _board(session, id, user)
            return tuple(session.scalars(items.order_by(BoardItemRow.position)))

    def add(self, id: str, pictures: Iterable[str], *, user: str) -> int:
        """Append pictures; those that are on it stay where they are. Returns how many are new."""
        ids = list(dict.fromkeys(pictures))
        self._check(ids, user, "pictures")
        items = select(BoardItemRow.picture_id, BoardItemRow.position).where(BoardItemRow.board_id == id)
        with self._database.write() as session:
            _board(session, id, user, lock=True)
            there = dict(session.execute(items).tuples().all())
            new = [picture for picture in ids if picture not in there]
            session.add_all(
                BoardItemRow(board_id=id, picture_id=picture, owner=user, position=position)
                for position, picture in enumerate(new, start=max(there.values(), default=-1) + 1)
            )
        return len(new)

    def remove(self, id: str, pictures: Iterable[str], *, user: str) -> int:
        """Returns how many were on it. The pictures themselves stay."""
        ids, removed = list(dict.fromkeys(pictures)), 0
        with self._database.write() as session:
            _board(session, id, user, lock=True)
            for some in chunks(ids):
                gone = delete(BoardItemRow).where(BoardItemRow.board_id == id, BoardItemRow.picture_id.in_(some))
                removed += session.execute(gone).rowcount  # pyright: ignore[reportAttributeAccessIssue]
        return removed

    def rename(self, id: str, name: str, *, user: str) -> None:
        with self._taken(name), self._database.write() as session:
            _board(session, id, user, lock=True).name = _board_name(name)

    def delete(self, id: str, *, user: str) -> None:
        """The pictures on it stay."""
        with self._database.write() as session:
            session.delete(_board(session, id, user, lock=True))

    @contextlib.contextmanager
    def _taken(self, name: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise StudioError(
                f"There is a board named '{name.strip()}' already: choose another name, or add to that one.",
                field="name",
                status=409,
            ) from error


def _is_there(id: Any) -> ColumnElement[bool]:
    """That a listed picture or upload has this id and is not deleted."""
    return or_(
        exists().where(AssetRow.id == id, AssetRow.deleted_at.is_(None)),
        exists().where(UploadRow.id == id, UploadRow.deleted_at.is_(None), UploadRow.purpose == "picture"),
    )


def _board(session: Session, id: str, user: str, *, lock: bool = False) -> BoardRow:
    query = select(BoardRow).where(BoardRow.id == id, BoardRow.owner == user)
    row = session.scalars(query.with_for_update() if lock else query).first()
    if row is None:
        raise StudioError("There is no such board: it may have been deleted.", field="board", status=404)
    return row


def _board_name(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= 80:
        raise StudioError("A board needs a name of 1 to 80 characters.", field="name")
    return name
