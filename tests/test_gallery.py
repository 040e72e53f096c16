"""The gallery: what is kept, what a crash leaves, who may see it, how pages are walked."""

from __future__ import annotations

import errno
import io
import os
import random
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import event, select, text, update

from studio.errors import StudioError
from studio.settings import Settings
from studio.store import gallery as gallery_module
from studio.store.database import AssetRow, Database, now
from studio.store.gallery import Asset, Gallery
from studio.trust import Released, Trust


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings)
    database.open()
    yield database
    database.close()


@pytest.fixture
def gallery(settings: Settings, database: Database) -> Gallery:
    return Gallery(settings, database)


def released(settings: Settings, seed: int = 0, size: tuple[int, int] = (320, 256)) -> Released:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1] // 32, size[0] // 32, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)
    return Trust(settings.model_copy(update={"watermark": False})).release(image, parameters={"seed": seed})


@pytest.fixture
def add(settings: Settings, gallery: Gallery) -> Callable[..., Asset]:
    def keep(seed: int = 0, **changes: Any) -> Asset:
        values: dict[str, Any] = {
            "owner": "local",
            "job_id": secrets.token_hex(16),
            "index": 0,
            "capability": "text-to-image",
            "family": "starter",
            "seed": seed,
            "parameters": {"prompt": f"picture {seed}"},
        }
        return gallery.add(released(settings, seed), **{**values, **changes})

    return keep


def rows(database: Database, count: int, **changes: Any) -> list[str]:
    """Insert ``count`` rows without files, oldest first, every three of them at the same moment."""
    start = now() - timedelta(days=1)
    ids = [secrets.token_hex(16) for _ in range(count)]
    with database.write() as session:
        for number, id in enumerate(ids):
            values: dict[str, Any] = {
                "id": id, "owner": "local", "job_id": id, "index": 0, "capability": "text-to-image",
                "family": "starter", "seed": number, "prompt": f"picture {number}", "width": 1, "height": 1,
                "bytes": 1, "sha256": "", "parameters": {}, "notes": [],
                "created_at": start + timedelta(seconds=number // 3),
            }  # fmt: skip
            session.add(AssetRow(**{**values, **changes}))
    return ids


def files(settings: Settings) -> list[Path]:
    return sorted(path for path in (settings.data_dir / "pictures").rglob("*") if path.is_file())


def test_a_picture_is_kept_with_everything_known_about_it(
    settings: Settings, gallery: Gallery, add: Callable[..., Asset]
) -> None:
    asset = add(5, index=2, notes=["Half of it was cut."], parameters={"prompt": "a red apple", "steps": 4})
    assert gallery.get(asset.id, user="local") == asset
    assert (asset.width, asset.height, asset.index, asset.seed) == (320, 256, 2, 5)
    assert (asset.prompt, asset.parameters["steps"], asset.notes) == ("a red apple", 4, ("Half of it was cut.",))
    assert not asset.missing
    content = gallery.file(asset.id, user="local").read_bytes()
    assert content == released(settings, 5).png
    assert len(content) == asset.bytes


def test_only_what_trust_released_is_taken(gallery: Gallery) -> None:
    with pytest.raises(TypeError, match=r"trust\.release"):
        gallery.add(
            b"png",  # pyright: ignore[reportArgumentType]
            owner="local",
            job_id="j",
            index=0,
            capability="c",
            family="f",
            seed=0,
            parameters={},
        )
    assert gallery.page(user="local").total == 0


def test_the_same_picture_of_a_job_is_kept_once(
    settings: Settings, gallery: Gallery, add: Callable[..., Asset]
) -> None:
    first = add(1, job_id="j")
    assert add(1, job_id="j") == first
    assert len(files(settings)) == 1
    assert gallery.of_job("j") == {0: first}


def test_thumbnails_are_small_webp_and_come_back_when_lost(gallery: Gallery, add: Callable[..., Asset]) -> None:
    asset = add()
    path = gallery.thumbnail(asset.id, user="local")
    with Image.open(path) as image:
        assert (image.format, image.size) == ("WEBP", (256, 205))
    before = path.read_bytes()
    path.unlink()
    assert gallery.thumbnail(asset.id, user="local").read_bytes() == before


def test_a_missing_file_is_a_visible_state(gallery: Gallery, add: Callable[..., Asset]) -> None:
    asset = add()
    gallery.file(asset.id, user="local").unlink()
    gallery.thumbnail(asset.id, user="local").unlink()
    assert gallery.page(user="local").assets[0].missing
    for read in (gallery.file, gallery.thumbnail):
        with pytest.raises(StudioError, match="missing from the data folder") as caught:
            read(asset.id, user="local")
        assert caught.value.status == 410
    gallery.tidy()
    assert gallery.get(asset.id, user="local").missing


def test_nobody_sees_or_changes_the_pictures_of_another(gallery: Gallery, add: Callable[..., Asset]) -> None:
    mine, other = add(1), add(2, owner="eve")
    attempts: list[Callable[[], object]] = [
        lambda: gallery.get(mine.id, user="eve"),
        lambda: gallery.file(mine.id, user="eve"),
        lambda: gallery.thumbnail(mine.id, user="eve"),
        lambda: gallery.star(mine.id, True, user="eve"),
    ]
    for attempt in attempts:
        with pytest.raises(StudioError) as caught:
            attempt()
        assert caught.value.status == 404
    assert gallery.delete([mine.id, other.id], user="eve") == 1
    assert gallery.get(mine.id, user="local").deleted_at is None
    assert gallery.restore([mine.id], user="eve") == 0
    assert [asset.id for asset in gallery.page(user="local").assets] == [mine.id]


@pytest.mark.parametrize("id", ["", "../../studio.db", "A" * 32, "a" * 31, "a" * 33, "é" * 32, "a" * 32 + "\n"])
def test_ids_are_looked_up_never_turned_into_paths(gallery: Gallery, id: str) -> None:
    with pytest.raises(StudioError) as caught:
        gallery.file(id, user="local")
    assert caught.value.status == 404


def test_pages_meet_every_picture_once_newest_first(gallery: Gallery, database: Database) -> None:
    ids = rows(database, 100)
    seen: list[Asset] = []
    cursor = None
    while True:
        page = gallery.page(user="local", limit=7, before=cursor)
        assert page.total == 100
        seen += page.assets
        cursor = page.next
        if cursor is None:
            break
    assert sorted(asset.id for asset in seen) == sorted(ids)
    order = [(asset.created_at, asset.id) for asset in seen]
    assert order == sorted(order, reverse=True)


def test_a_picture_added_while_paging_moves_nothing(gallery: Gallery, database: Database) -> None:
    rows(database, 20)
    first = gallery.page(user="local", limit=10)
    rows(database, 3, created_at=now())
    second = gallery.page(user="local", limit=10, before=first.next)
    assert len({asset.id for asset in first.assets + second.assets}) == 20


@pytest.mark.parametrize("cursor", ["x", "2026-01-01~" + "a" * 32, "2026-01-01T00:00:00+00:00~x", "~"])
def test_a_forged_page_marker_is_refused(gallery: Gallery, cursor: str) -> None:
    with pytest.raises(StudioError) as caught:
        gallery.page(user="local", before=cursor)
    assert caught.value.field == "before"


def test_a_page_of_many_reads_the_index_and_sorts_nothing(gallery: Gallery, database: Database) -> None:
    rows(database, 30)
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    before = gallery.page(user="local", limit=5).next
    event.listen(database.engine, "before_cursor_execute", note)
    gallery.page(user="local", before=before, limit=5)
    event.remove(database.engine, "before_cursor_execute", note)
    statement, parameters = next(each for each in seen if "ORDER BY" in each[0])
    with database.engine.connect() as connection:
        plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()
    told = " ".join(str(row) for row in plan)
    assert "USING INDEX ix_assets_page (owner=? AND (created_at,id)<(?,?))" in told
    assert "TEMP B-TREE" not in told


def test_filters(gallery: Gallery, database: Database) -> None:
    plain = rows(database, 3)
    [edited] = rows(database, 1, capability="inpaint", family="sdxl", prompt="100% Wool_sock")
    found: list[tuple[dict[str, Any], set[str]]] = [
        ({"capability": "inpaint"}, {edited}),
        ({"family": "starter"}, set(plain)),
        ({"text": "WOOL"}, {edited}),
        ({"text": "100%"}, {edited}),
        ({"text": "%"}, {edited}),
        ({"text": "d_s"}, set()),
        ({"text": "picture"}, set(plain)),
        ({"since": now()}, set()),
        ({"until": now()}, {*plain, edited}),
    ]
    for filters, expected in found:
        page = gallery.page(user="local", **filters)
        assert ({asset.id for asset in page.assets}, page.total) == (expected, len(expected)), filters


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Мир и море", "мир"),
        ("ΣΟΦΙΑ", "σοφια"),
        ("Große Straße", "STRASSE"),
        ("a cafe\u0301", "CAF\u00c9"),
        ("İzmir", "i̇zmir"),
    ],
)
def test_text_is_found_in_any_case_of_any_alphabet(
    gallery: Gallery, database: Database, prompt: str, text: str
) -> None:
    rows(database, 2)
    [wanted] = rows(database, 1, prompt=prompt)
    assert [asset.id for asset in gallery.page(user="local", text=text).assets] == [wanted]


def test_stars(gallery: Gallery, database: Database) -> None:
    first, second = rows(database, 2)
    assert gallery.star(first, True, user="local").starred
    assert [asset.id for asset in gallery.page(user="local", starred=True).assets] == [first]
    assert [asset.id for asset in gallery.page(user="local", starred=False).assets] == [second]
    gallery.star(first, False, user="local")
    assert gallery.page(user="local", starred=True).total == 0


def test_delete_can_be_undone(gallery: Gallery, add: Callable[..., Asset]) -> None:
    asset = add()
    assert gallery.delete([asset.id], user="local") == 1
    assert gallery.page(user="local").total == 0
    assert [each.id for each in gallery.page(user="local", deleted=True).assets] == [asset.id]
    assert gallery.restore([asset.id], user="local") == 1
    assert gallery.page(user="local").assets == (asset,)


def test_deleting_more_than_a_statement_takes(gallery: Gallery, database: Database) -> None:
    ids = rows(database, 1200)
    assert gallery.delete(ids, user="local") == 1200
    assert gallery.page(user="local").total == 0


def test_the_deleted_are_purged_after_thirty_days(
    settings: Settings, gallery: Gallery, database: Database, add: Callable[..., Asset]
) -> None:
    kept, recent, old = add(1), add(2), add(3, parents=[])
    gallery.delete([recent.id, old.id], user="local")
    with database.write() as session:
        session.execute(update(AssetRow).where(AssetRow.id == old.id).values(deleted_at=now() - timedelta(days=31)))
    gallery.tidy()
    assert {path.stem for path in files(settings)} == {kept.id, recent.id}
    assert gallery.restore([recent.id, old.id], user="local") == 1


def test_a_start_puts_away_what_a_crash_left(settings: Settings, gallery: Gallery, add: Callable[..., Asset]) -> None:
    asset = add()
    folder = gallery.file(asset.id, user="local").parent
    (folder / f"{'0' * 32}.png").write_bytes(b"without a row")
    (folder / f"{'1' * 32}.abcd.tmp").write_bytes(b"half")
    gallery.tidy()
    assert [path.stem for path in files(settings)] == [asset.id]
    assert (settings.data_dir / "unlisted" / f"{'0' * 32}.png").read_bytes() == b"without a row"


def test_a_full_disk_is_said_in_a_sentence(
    settings: Settings, gallery: Gallery, add: Callable[..., Asset], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StudioError, match="is full: free some space") as caught:
            add()
    assert caught.value.status == 507
    assert files(settings) == []
    add()
    assert gallery.page(user="local").total == 1


# -- a crash at every call ---------------------------------------------------------------------------------------------


def at_call(number: int, database: Database, patch: pytest.MonkeyPatch, act: Callable[[], None]) -> Callable[[], int]:
    """Call ``act`` in place of the ``number``-th call to the disk or the database; returns a counter of all calls."""
    count = 0

    def reached(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == number:
            act()

    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **options: Any) -> Any:
            reached()
            return call(*arguments, **options)

        return instead

    for name in ("mkdir", "open", "fsync", "replace", "close"):
        patch.setattr(os, name, wrapped(getattr(os, name)))
    patch.setattr(gallery_module, "open", wrapped(open), raising=False)
    event.listen(database.engine, "before_cursor_execute", reached)
    event.listen(database.engine, "commit", reached)
    return lambda: count


def whole(settings: Settings, gallery: Gallery) -> set[str]:
    """Jobs that have a picture, after checking that every picture is whole and every file has its row."""
    assets = gallery.page(user="local", limit=500).assets
    assert {path.name for path in files(settings)} == {f"{asset.id}.png" for asset in assets}
    for asset in assets:
        content = gallery.file(asset.id, user="local").read_bytes()
        assert len(content) == asset.bytes
        Image.open(io.BytesIO(content)).load()
        with Image.open(gallery.thumbnail(asset.id, user="local")) as image:
            image.load()
    return {asset.job_id for asset in assets}


def test_an_error_at_any_call_leaves_all_or_nothing(
    settings: Settings, gallery: Gallery, database: Database, add: Callable[..., Asset]
) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, "Input/output error")

    kept: set[str] = set()
    failed = 0
    for number in range(1, 60):
        fresh = Database(settings)
        with pytest.MonkeyPatch.context() as patch:
            calls = at_call(number, fresh, patch, fail)
            broken = Gallery(settings, fresh)
            try:
                broken.add(
                    released(settings, number), owner="local", job_id=f"job-{number}", index=0, capability="c",
                    family="f", seed=number, parameters={},
                )  # fmt: skip
                kept.add(f"job-{number}")
            except OSError:
                failed += 1
        fresh.engine.dispose()
        assert whole(settings, gallery) == kept
        if calls() < number:
            break
    else:
        pytest.fail("add makes more calls than were tried")
    assert failed >= 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_at_any_call_leaves_all_or_nothing(settings: Settings, gallery: Gallery, database: Database) -> None:
    def add_in_child(number: int) -> int:
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        try:
            fresh = Database(settings)
            patch = pytest.MonkeyPatch()
            at_call(number, fresh, patch, lambda: os.kill(os.getpid(), signal.SIGKILL))
            Gallery(settings, fresh).add(
                picture, owner="local", job_id=f"job-{number}", index=0, capability="c", family="f", seed=0,
                parameters={},
            )  # fmt: skip
            os._exit(0)
        finally:
            os._exit(1)

    picture = released(settings)
    killed = 0
    kept: set[str] = set()
    for number in range(1, 60):
        code = add_in_child(number)
        assert code in (0, -signal.SIGKILL)
        gallery.tidy()
        after = whole(settings, gallery)
        assert after - kept <= {f"job-{number}"}
        assert after >= kept
        kept = after
        killed += code != 0
        if code == 0:
            break
    assert killed >= 8
    assert f"job-{killed + 1}" in kept


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_was_acknowledged_survives_kill_at_any_time(
    settings: Settings, gallery: Gallery, database: Database
) -> None:
    picture = released(settings)
    chance = random.Random(3)
    acknowledged: set[str] = set()
    for turn in range(10):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                mine = Gallery(settings, Database(settings))
                for number in range(10_000):
                    asset = mine.add(
                        picture, owner="local", job_id=f"{turn}-{number}", index=0, capability="c", family="f",
                        seed=0, parameters={},
                    )  # fmt: skip
                    os.write(writing, asset.id.encode())
            finally:
                os._exit(1)
        os.close(writing)
        first = os.read(reading, 32)
        time.sleep(chance.random() * 0.1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as pipe:
            told = first + pipe.read()
        acknowledged |= {told[start : start + 32].decode() for start in range(0, len(told), 32)}
        gallery.tidy()
        with database.read() as session:
            rows = set(session.scalars(select(AssetRow.id)))
            assert session.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        assert rows >= acknowledged
        for path in files(settings):
            assert path.stem in rows
            assert path.read_bytes() == picture.png
        assert len(files(settings)) == len(rows)
    assert len(acknowledged) >= 10
