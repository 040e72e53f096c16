"""The start of the database: the schema it makes, and the damage it refuses to paper over."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, select, text

from studio.errors import StudioError
from studio.settings import Settings
from studio.store.database import MIGRATIONS, AssetRow, Base, Database, JobRow, StyleRow, now


@pytest.fixture
def made(settings: Settings) -> Settings:
    """Settings of a data folder that a studio has used before."""
    database = Database(settings)
    database.open()
    with database.write() as session:
        session.add(StyleRow(owner="local", name="ink", prompt="ink drawing", negative=""))
    database.close()
    return settings


def refusal(settings: Settings) -> str:
    with pytest.raises(StudioError) as caught:
        Database(settings).open()
    assert "\n" not in caught.value.message
    assert caught.value.message.endswith(".")
    return caught.value.message


def test_migrations_make_exactly_the_tables_of_the_models(settings: Settings) -> None:
    database = Database(settings)
    database.open()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    database.close()


def test_every_row_has_an_owner() -> None:
    for table in Base.metadata.tables.values():
        assert not table.columns["owner"].nullable, table.name


def test_a_second_start_keeps_what_is_there(made: Settings) -> None:
    database = Database(made)
    database.open()
    with database.read() as session:
        assert session.scalars(select(StyleRow.name)).all() == ["ink"]
    database.close()


def test_a_database_of_the_first_version_is_brought_up_to_date(settings: Settings) -> None:
    settings.data_dir.mkdir()
    path = settings.data_dir / "studio.db"
    with create_engine(f"sqlite:///{path}").begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO styles VALUES ('local', 'ink', 'ink drawing', '')")
        connection.execute(
            "INSERT INTO jobs VALUES (7, 'j', 'local', 'gradient', 'starter', '{\"seed\": 3}', 'api', NULL, 'f', "
            "'queued', '2026-01-02 03:04:05', NULL, NULL, 0, 0, 0, '', NULL, NULL, 0, 1.0, NULL, 0.0, '[]')"
        )
        connection.execute(
            'INSERT INTO assets (id, owner, job_id, "index", capability, family, seed, prompt, width, height, '
            "bytes, sha256, parameters, notes, starred, created_at) VALUES ('a', 'local', 'j', 0, 'c', 'f', 1, 'Мир', "
            "1, 1, 1, '', '{}', '[]', 0, '2026-01-02 03:04:05')"
        )
    database = Database(settings)
    database.open()
    with database.read() as session:
        assert session.scalars(select(AssetRow.folded)).all() == ["мир"]
        job = session.scalars(select(JobRow)).one()
        assert (job.number, job.status, job.request, job.priority) == (7, "queued", {"seed": 3}, 0)
        assert session.scalars(select(StyleRow.name)).all() == ["ink"]
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()


def test_sqlite_is_durable_and_checks_references(settings: Settings) -> None:
    database = Database(settings)
    database.open()
    with database.engine.connect() as connection:
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
        assert found == ["wal", 2]  # 2 is FULL
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    database.close()


def test_times_come_back_aware_and_exact(settings: Settings) -> None:
    database = Database(settings)
    database.open()
    moment = now()
    with database.write() as session:
        session.add(
            AssetRow(
                id="a" * 32, owner="local", job_id="j", index=0, capability="c", family="f", seed=2**40, prompt="",
                width=1, height=1, bytes=1, sha256="", parameters={}, notes=[], created_at=moment,
            )
        )  # fmt: skip
    with database.read() as session:
        row = session.scalars(select(AssetRow)).one()
    assert (row.created_at, row.seed) == (moment, 2**40)
    database.close()


def test_a_transaction_is_kept_whole_or_not_at_all(made: Settings) -> None:
    database = Database(made)
    with pytest.raises(RuntimeError), database.write() as session:
        session.add(StyleRow(owner="local", name="oil", prompt="oil painting", negative=""))
        session.flush()
        raise RuntimeError
    with database.read() as session:
        assert session.scalars(select(StyleRow.name)).all() == ["ink"]
    database.close()


@pytest.mark.parametrize("size", [100, 4096, 100_000])
def test_a_garbage_database_is_refused_and_left_alone(made: Settings, size: int) -> None:
    path = made.data_dir / "studio.db"
    path.write_bytes(hashlib.shake_128(b"garbage").digest(size))
    before = path.read_bytes()
    assert "is damaged" in refusal(made)
    assert path.read_bytes() == before


def test_a_database_with_a_torn_page_is_refused(made: Settings) -> None:
    path = made.data_dir / "studio.db"
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 6] = bytes(4096 * 5)
    path.write_bytes(content)
    assert "is damaged" in refusal(made)
    assert path.read_bytes() == content


@pytest.mark.parametrize("empty", [True, False], ids=["empty", "missing"])
def test_a_lost_database_beside_pictures_is_not_made_anew(made: Settings, empty: bool) -> None:
    (made.data_dir / "pictures" / "ab").mkdir(parents=True)
    (made.data_dir / "pictures" / "ab" / ("ab" * 16 + ".png")).write_bytes(b"png")
    for path in made.data_dir.glob("studio.db*"):
        path.unlink()
    if empty:
        (made.data_dir / "studio.db").touch()
    assert "pictures are beside it" in refusal(made)


def test_an_interrupted_first_start_is_started_again(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "studio.db").touch()
    database = Database(settings)
    database.open()
    database.close()


def test_a_newer_schema_is_refused(made: Settings) -> None:
    with sqlite3.connect(made.data_dir / "studio.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "newer version of the studio (schema 9999)" in refusal(made)


def test_the_database_of_another_program_is_refused(settings: Settings) -> None:
    settings.data_dir.mkdir()
    with sqlite3.connect(settings.data_dir / "studio.db") as connection:
        connection.execute("CREATE TABLE recipes (id INTEGER)")
    assert "belongs to another program" in refusal(settings)
    with sqlite3.connect(settings.data_dir / "studio.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


def test_a_folder_that_cannot_be_written_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "data", Path("/proc/studio")):
        assert "cannot be written" in refusal(settings.model_copy(update={"data_dir": place}))


def test_a_second_studio_on_the_same_folder_is_refused(made: Settings) -> None:
    first = Database(made)
    first.open()
    assert "Another studio is already running" in refusal(made)
    first.close()
    second = Database(made)
    second.open()
    second.close()


@pytest.mark.parametrize("url", ["nonsense", "mongo://here/db", "postgresql+pg8000x://here/db"])
def test_a_useless_database_url_is_refused(settings: Settings, url: str) -> None:
    with pytest.raises(StudioError, match="STUDIO_DATABASE_URL cannot be used"):
        Database(settings.model_copy(update={"database_url": url}))
