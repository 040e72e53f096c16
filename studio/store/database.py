"""The durable state: tables, connections, and a start that refuses a damaged database instead of replacing it.

SQLite in WAL mode by default, PostgreSQL by URL; all queries run on both.
"""

from __future__ import annotations

import logging
import os
import unicodedata
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from studio.errors import StudioError
from studio.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30
"""How long a writer waits for another one before it gives up."""
MOST_CONNECTIONS = 128
"""To SQLite: more than there are threads that read, so that none waits for a connection while it holds a lock."""


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime, also on SQLite, which keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    return datetime.now(UTC)


def chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """At most 500 at once: SQLite allows a limited number of parameters in a query."""
    return (ids[start : start + 500] for start in range(0, len(ids), 500))


class Base(DeclarativeBase):
    type_annotation_map = {datetime: Moment, dict[str, Any]: JSON, list[str]: JSON, list[dict[str, Any]]: JSON}


def fold(text: str) -> str:
    """``text`` as it is compared where upper and lower case, and the ways to write an accent, do not matter."""
    return unicodedata.normalize("NFKC", text.casefold())


def _folded_prompt(context: Any) -> str:
    return fold(context.get_current_parameters()["prompt"])


class JobRow(Base):
    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("owner", "idempotency_key", name="uq_jobs_idempotency"),
        Index("ix_jobs_line", "status", "number"),
        Index("ix_jobs_owner", "owner", "number"),
        Index("ix_jobs_timing", "capability", "family", "status", "number"),
    )

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    """Order of arrival: among jobs of one priority the line is first in, first out."""
    id: Mapped[str] = mapped_column(String(32), unique=True)
    owner: Mapped[str] = mapped_column(String(255))
    capability: Mapped[str] = mapped_column(String(64))
    family: Mapped[str] = mapped_column(String(255))
    request: Mapped[dict[str, Any]]
    source: Mapped[str] = mapped_column(String(32))
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    fingerprint: Mapped[str] = mapped_column(String(64))
    """sha256 of what was submitted, so that one key cannot stand for two requests."""
    status: Mapped[str] = mapped_column(String(16), default="queued")
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    attempt: Mapped[int] = mapped_column(default=0)
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(Text, default="")
    error: Mapped[str | None] = mapped_column(Text)
    error_field: Mapped[str | None] = mapped_column(String(64))
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    priority: Mapped[int] = mapped_column(default=0)
    """Its capability's: higher goes first."""
    work: Mapped[float] = mapped_column(default=1.0)
    light: Mapped[bool] = mapped_column(default=False)
    """A small answer that may be given beside a drawing."""
    losses: Mapped[int] = mapped_column(default=0)
    """Workers that died with it since it last kept something."""
    lost_at: Mapped[int] = mapped_column(default=-1)
    """The step at which the last of them died."""
    lost_there: Mapped[int] = mapped_column(default=0)
    """How many in a row died at that step."""
    stops: Mapped[int] = mapped_column(default=0)
    """Ends of the server while it ran."""
    seconds: Mapped[float | None]
    """Wall time of the attempt that finished, model loading included."""
    load_seconds: Mapped[float] = mapped_column(default=0.0)
    """The part of ``seconds`` spent before the first step because the family was not resident; 0 when it was."""
    notes: Mapped[list[str]] = mapped_column(default=list)


class AssetRow(Base):
    __tablename__ = "assets"
    __table_args__ = (
        UniqueConstraint("job_id", "index", name="uq_assets_job_index"),
        Index("ix_assets_page", "owner", "created_at", "id"),
        Index("ix_assets_deleted", "deleted_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(255))
    job_id: Mapped[str] = mapped_column(String(32))
    """No foreign key: pictures outlive the history of jobs."""
    index: Mapped[int]
    capability: Mapped[str] = mapped_column(String(64))
    family: Mapped[str] = mapped_column(String(255))
    seed: Mapped[int] = mapped_column(BigInteger)
    prompt: Mapped[str] = mapped_column(Text)
    folded: Mapped[str] = mapped_column(Text, default=_folded_prompt)
    """`fold` of the prompt, which is what is searched: databases fold no letters beyond ASCII, or each its own."""
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    parameters: Mapped[dict[str, Any]]
    notes: Mapped[list[str]]
    starred: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]


class LineageRow(Base):
    __tablename__ = "lineage"

    parent_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Of an asset or an upload."""
    child_id: Mapped[str] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True, index=True)
    owner: Mapped[str] = mapped_column(String(255))


class ResultRow(Base):
    """One record of a job that answers instead of drawing."""

    __tablename__ = "results"

    job_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner: Mapped[str] = mapped_column(String(255))
    data: Mapped[dict[str, Any]]
    notes: Mapped[list[str]] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(default=now)


class UploadRow(Base):
    """A picture or clip that its owner handed in. Its file is ``uploads/<id[:2]>/<id>.<format>``."""

    __tablename__ = "uploads"
    __table_args__ = (
        UniqueConstraint("owner", "sha256", "purpose", name="uq_uploads_content"),
        Index("ix_uploads_page", "owner", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(8))
    """"picture" or "clip"."""
    format: Mapped[str] = mapped_column(String(8))
    width: Mapped[int]
    height: Mapped[int]
    seconds: Mapped[float] = mapped_column(Double, default=0.0)
    """Length of a clip; 0 for a picture, and when the clip's header does not tell."""
    bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    purpose: Mapped[str] = mapped_column(String(8), default="picture")
    """"picture", "mask", "map" or "style": only pictures are listed, searched, embedded and counted."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]


class BoardRow(Base):
    __tablename__ = "boards"
    __table_args__ = (UniqueConstraint("owner", "name", name="uq_boards_name"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime] = mapped_column(default=now)


class BoardItemRow(Base):
    __tablename__ = "board_items"

    board_id: Mapped[str] = mapped_column(ForeignKey("boards.id", ondelete="CASCADE"), primary_key=True)
    picture_id: Mapped[str] = mapped_column(String(32), primary_key=True, index=True)
    """Of an asset or an upload."""
    owner: Mapped[str] = mapped_column(String(255))
    position: Mapped[int]


class EmbeddingRow(Base):
    """Where a picture, or one moment of a clip, lies in the space of an understanding model."""

    __tablename__ = "embeddings"
    __table_args__ = (Index("ix_embeddings_model", "owner", "model", "created_at"),)

    picture_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Of an asset or an upload."""
    model: Mapped[str] = mapped_column(String(255), primary_key=True)
    time: Mapped[float] = mapped_column(Double, primary_key=True, autoincrement=False)
    """Seconds into the clip; 0 for a picture."""
    owner: Mapped[str] = mapped_column(String(255))
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    """Little-endian float16 of a unit vector."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class ChecklistRow(Base):
    __tablename__ = "checklists"

    owner: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    questions: Mapped[list[dict[str, Any]]]


class StyleRow(Base):
    __tablename__ = "styles"

    owner: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    prompt: Mapped[str] = mapped_column(Text)
    negative: Mapped[str] = mapped_column(Text)


class WildcardRow(Base):
    __tablename__ = "wildcards"

    owner: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    text: Mapped[str] = mapped_column(Text)


class Database:
    """One engine. The server calls `open`, which locks the data folder and migrates; a worker only reads and writes."""

    def __init__(self, settings: Settings) -> None:
        self.data_dir = settings.data_dir
        try:
            url = make_url(settings.database)
            self.sqlite_path = Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
            if self.sqlite_path:
                waits = {"timeout": BUSY_SECONDS, "check_same_thread": False}
                self.engine = create_engine(url, connect_args=waits, pool_size=16, max_overflow=MOST_CONNECTIONS - 16)
            else:
                self.engine = create_engine(url, pool_pre_ping=True, pool_size=16, max_overflow=16)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise StudioError(f"STUDIO_DATABASE_URL cannot be used ({error}): correct it or leave it empty.") from error
        if self.sqlite_path:
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._lock = filelock.FileLock(self.data_dir / "studio.lock")
        if hasattr(os, "register_at_fork"):  # ZeroGPU runs jobs in a fork: it must not share our connections
            engine = weakref.ref(self.engine)
            os.register_at_fork(after_in_child=lambda: (alive := engine()) and alive.dispose(close=False))

    def open(self) -> None:
        """Lock the data folder, check the database, bring it to the newest schema. Raises `StudioError`."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise StudioError(
                f"Another studio is already running on {self.data_dir}: stop it, "
                "or give this one its own STUDIO_DATA_DIR.",
                status=409,
            ) from None
        except OSError as error:
            raise StudioError(
                f"The data folder {self.data_dir} cannot be written ({error.strerror}): "
                "fix its permissions or set STUDIO_DATA_DIR to another folder.",
                status=500,
            ) from error
        try:
            self._check_and_migrate()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.engine.dispose()
        self._lock.release()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one consistent snapshot; what it changes is not kept."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session in one transaction: all of it is kept, or nothing is. Takes SQLite's write lock at once."""
        engine = self.engine.execution_options(writes=True)
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def set_deleted(
        self, table: type[AssetRow] | type[UploadRow], ids: Sequence[str], user: str, at: datetime | None
    ) -> int:
        """Hide rows of ``user`` since ``at``, or with None show hidden ones again. Returns how many changed."""
        changed = 0
        with self.write() as session:
            for some in chunks(ids):
                state = table.deleted_at.is_(None) if at else table.deleted_at.is_not(None)
                mine = select(table.id).where(table.id.in_(some), table.owner == user, state)
                chosen = list(session.scalars(mine))
                session.execute(update(table).where(table.id.in_(chosen)).values(deleted_at=at))
                changed += len(chosen)
        return changed

    def _check_and_migrate(self) -> None:
        where = self.sqlite_path or self.engine.url.render_as_string(hide_password=True)
        if self.sqlite_path and not (self.sqlite_path.exists() and self.sqlite_path.stat().st_size):
            pictures = next((self.data_dir / "pictures").glob("*/*.png"), None)
            if pictures:
                raise StudioError(
                    f"The database {where} is missing or empty, but pictures are beside it: restore it from a backup, "
                    "or move the pictures folder away to start afresh.",
                    status=500,
                )
        try:
            with self.engine.execution_options(writes=True).begin() as connection:
                if self.sqlite_path:
                    verdict = str(connection.execute(text("PRAGMA quick_check(1)")).scalar())
                    if verdict != "ok":
                        raise StudioError(_DAMAGED.format(where=where, why=verdict.splitlines()[-1]), status=500)
                self._migrate(connection, str(where))
        except DBAPIError as error:
            reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
            if self.sqlite_path and ("not a database" in reason or "malformed" in reason):
                raise StudioError(_DAMAGED.format(where=where, why=reason), status=500) from error
            raise StudioError(
                f"The database {where} cannot be opened ({reason}): make sure that it is reachable and writable, "
                "then start again.",
                status=500,
            ) from error

    def _migrate(self, connection: Connection, where: str) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory
        from alembic.util import CommandError

        logging.getLogger("alembic").setLevel(logging.WARNING)
        config = Config()
        config.set_main_option("script_location", MIGRATIONS.as_posix().replace("%", "%%"))
        config.attributes["connection"] = connection
        script = ScriptDirectory.from_config(config)
        current = MigrationContext.configure(connection).get_current_revision()
        if current == script.get_current_head():
            return
        if current is None and inspect(connection).get_table_names():
            raise StudioError(
                f"The database {where} belongs to another program: "
                "move it away or set STUDIO_DATA_DIR to another folder.",
                status=500,
            )
        if current is not None:
            try:
                script.get_revision(current)
            except CommandError as error:
                raise StudioError(
                    f"The database {where} was made by a newer version of the studio (schema {current}): "
                    "update the studio, or set STUDIO_DATA_DIR to another folder.",
                    status=500,
                ) from error
        command.upgrade(config, "head")


_DAMAGED = (
    "The database {where} is damaged ({why}): restore it from a backup, or move it and the pictures folder away "
    "to start afresh; nothing was changed."
)


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling skips DDL; SQLAlchemy's documented way is to switch it off and emit BEGIN.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A reader that turns writer later can fail at once with "database is locked"; a declared writer waits its turn.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
