"""Pictures that are the same or nearly so, in groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, select, union_all

from studio.store.database import AssetRow, Database, UploadRow, chunks
from studio.store.embeddings import listed


def best_first(database: Database, user: str, alike: Iterable[Sequence[str]]) -> list[list[str]]:
    """Groups of ids that look ``alike``, with those of the same file joined to them. The largest group first; in a
    group starred pictures first, then larger ones, then older ones."""
    same: dict[str, list[str]] = {}
    files = union_all(
        select(AssetRow.id, AssetRow.sha256).where(*listed(AssetRow, user)),
        select(UploadRow.id, UploadRow.sha256).where(*listed(UploadRow, user)),
    ).subquery()
    twice = select(files.c.sha256).group_by(files.c.sha256).having(func.count() > 1)
    with database.read() as session:
        for id, digest in session.execute(select(files.c.id, files.c.sha256).where(files.c.sha256.in_(twice))):
            same.setdefault(digest, []).append(id)
        joined = _joined([*alike, *same.values()])
        rank: dict[str, tuple[Any, ...]] = {}
        for some in chunks([id for group in joined for id in group]):
            for table in (AssetRow, UploadRow):
                for row in session.scalars(select(table).where(table.id.in_(some))):
                    starred = isinstance(row, AssetRow) and row.starred
                    rank[row.id] = (not starred, -row.width * row.height, row.created_at, row.id)
    ranked = [sorted(rank.keys() & group, key=rank.__getitem__) for group in joined]
    return sorted((group for group in ranked if len(group) > 1), key=lambda group: (-len(group), group))


def _joined(sets: Iterable[Sequence[str]]) -> list[list[str]]:
    """Groups that share a member made one."""
    of: dict[str, list[str]] = {}
    for each in sets:
        together = list(dict.fromkeys(id for member in each for id in of.get(member, (member,))))
        of.update(dict.fromkeys(together, together))
    return list({id(group): group for group in of.values()}.values())
