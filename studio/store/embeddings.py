"""Where pictures and moments of clips lie in the space of a model: the table of vectors, and what has none yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, delete, exists, func, or_, select

from studio.store.database import AssetRow, Database, EmbeddingRow, UploadRow, chunks, now

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Embeddings:
    """numpy is imported at the first vector, not at the start of the server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, model: str, vectors: Mapping[tuple[str, float], NDArray[np.float32]], *, user: str) -> None:
        """Keep or replace: (picture id, seconds into a clip or 0) -> unit vector [d]."""
        with self._database.write() as session:
            for (picture, time), vector in vectors.items():
                session.merge(
                    EmbeddingRow(
                        picture_id=picture,
                        model=model,
                        time=float(time),
                        owner=user,
                        vector=vector.astype("<f2").tobytes(),
                        created_at=now(),
                    )
                )

    def moments(self, ids: Sequence[str], model: str, *, user: str) -> dict[tuple[str, float], NDArray[np.float32]]:
        """(id, seconds) -> vector [d] of those that have one."""
        import numpy as np

        found: dict[tuple[str, float], NDArray[np.float32]] = {}
        with self._database.read() as session:
            for some in chunks(ids):
                query = select(EmbeddingRow.picture_id, EmbeddingRow.time, EmbeddingRow.vector).where(
                    EmbeddingRow.picture_id.in_(some), EmbeddingRow.model == model, EmbeddingRow.owner == user
                )
                for id, time, vector in session.execute(query):
                    found[id, time] = np.frombuffer(vector, "<f2").astype(np.float32)
        return found

    def newest(self, user: str, model: str, limit: int) -> tuple[list[str], NDArray[np.float32]]:
        """Ids and unit vectors [n, d] of pictures, newest vectors first. Clips are left out."""
        import numpy as np

        pictures = [
            exists().where(table.id == EmbeddingRow.picture_id, *listed(table, user), *more)
            for table, more in ((AssetRow, ()), (UploadRow, (UploadRow.kind == "picture",)))
        ]
        newest = (
            select(EmbeddingRow.picture_id, EmbeddingRow.vector)
            .where(EmbeddingRow.owner == user, EmbeddingRow.model == model, EmbeddingRow.time == 0, or_(*pictures))
            .order_by(EmbeddingRow.created_at.desc())
            .limit(limit)
        )
        with self._database.read() as session:
            rows = session.execute(newest).all()
        if not rows:
            return [], np.empty((0, 1), np.float32)
        rows = [row for row in rows if len(row.vector) == len(rows[0].vector)]
        vectors = np.frombuffer(b"".join(row.vector for row in rows), "<f2").astype(np.float32)
        return [row.picture_id for row in rows], vectors.reshape(len(rows), -1)

    def counts(self, user: str, model: str) -> tuple[int, int]:
        """Pictures and clips that have a vector, and all of them."""
        embedded = total = 0
        with self._database.read() as session:
            for table in (AssetRow, UploadRow):
                everything = select(func.count()).select_from(table).where(*listed(table, user))
                total += session.scalar(everything) or 0
                embedded += session.scalar(everything.where(_has_vector(table, model))) or 0
        return embedded, total

    def known(self, ids: Sequence[str], model: str) -> set[str]:
        """Which of ``ids`` have a vector."""
        query = select(EmbeddingRow.picture_id).where(EmbeddingRow.model == model, EmbeddingRow.picture_id.in_(ids))
        with self._database.read() as session:
            return set(session.scalars(query))

    def missing(self, owner: str, model: str, limit: int) -> list[tuple[str, bool]]:
        """What has no vector yet, newest first, clips last, at most ``limit`` of each kind: id, and whether it is a
        clip."""
        found: list[tuple[str, bool]] = []
        with self._database.read() as session:
            for table, kind in ((AssetRow, None), (UploadRow, "picture"), (UploadRow, "clip")):
                query = select(table.id).where(*listed(table, owner), ~_has_vector(table, model))
                if table is UploadRow:
                    query = query.where(UploadRow.kind == kind)
                newest = query.order_by(table.created_at.desc()).limit(limit)
                found += [(id, kind == "clip") for id in session.scalars(newest)]
        return found

    def owners(self) -> list[str]:
        """Everybody who has pictures; one step in the index for each, however many pictures there are."""
        owners: set[str] = set()
        with self._database.read() as session:
            for table in (AssetRow, UploadRow):
                last = session.scalar(select(func.min(table.owner)))
                while last is not None:
                    owners.add(last)
                    last = session.scalar(select(func.min(table.owner)).where(table.owner > last))
        return sorted(owners)

    def forget(self, model: str) -> None:
        """Of all owners: other weights lie under the model's name now."""
        with self._database.write() as session:
            session.execute(delete(EmbeddingRow).where(EmbeddingRow.model == model))


def listed(table: type[AssetRow] | type[UploadRow], user: str) -> tuple[ColumnElement[bool], ...]:
    """What of a table its owner finds: neither what is deleted nor masks and maps."""
    pictures = (UploadRow.purpose == "picture",) if table is UploadRow else ()
    return table.owner == user, table.deleted_at.is_(None), *pictures


def _has_vector(table: type[AssetRow] | type[UploadRow], model: str) -> ColumnElement[bool]:
    return exists().where(EmbeddingRow.picture_id == table.id, EmbeddingRow.model == model)
