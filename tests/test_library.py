"""What users hand in: files told by their content, boards, checklists, and nothing of it for anybody else."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pydantic import Field
from sqlalchemy import select, update

from studio.capability import PicturesRequest
from studio.errors import StudioError
from studio.media.files import AVIF
from studio.references import BoardOf, PictureId
from studio.settings import Settings
from studio.store.database import AssetRow, BoardItemRow, Database, EmbeddingRow, LineageRow, UploadRow, now
from studio.store.embeddings import Embeddings
from studio.store.gallery import KEEP_DELETED, Gallery
from studio.store.library import MAX_FRAMES, MEDIA_TYPES, Library
from studio.trust import Trust


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings)
    database.open()
    yield database
    database.close()


@pytest.fixture
def gallery(settings: Settings, database: Database) -> Gallery:
    return Gallery(settings, database)


@pytest.fixture
def library(settings: Settings, database: Database, gallery: Gallery) -> Library:
    return Library(settings.model_copy(update={"max_upload_mb": 1}), database, gallery)


def picture(colour: Any = "red", format: str = "PNG", size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    buffer = io.BytesIO()
    mode = "RGBA" if isinstance(colour, tuple) and len(colour) == 4 else "RGB"
    Image.new(mode, size, colour).save(buffer, format, **options)
    return buffer.getvalue()


def animation(format: str, frames: int = 5, size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    first, *rest = [Image.new("RGB", size, (index * 40 % 256, 0, index % 256)) for index in range(frames)]
    first.save(buffer, format, save_all=True, append_images=rest, duration=200)
    return buffer.getvalue()


def video(path: Path, code: str = "mp4v") -> bytes:
    """Two seconds, red at first."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10, (64, 48))
    for index in range(20):
        writer.write(np.full((48, 64, 3), (0, 0, 255) if index < 10 else (255, 0, 0), np.uint8))
    writer.release()
    return path.read_bytes()


def drawn(
    gallery: Gallery, settings: Settings, *, owner: str = "local", index: int = 0, prompt: str = "a pear", **more: Any
) -> str:
    """Id of a picture in the gallery."""
    released = Trust(settings.model_copy(update={"watermark": False})).release(
        Image.new("RGB", (32, 32), "blue"), parameters={"prompt": prompt}
    )
    return gallery.add(
        released, owner=owner, job_id="job", index=index, capability="gradient", family="", seed=7,
        parameters={"prompt": prompt}, **more,
    ).id  # fmt: skip


def refused(call: Callable[[], object], status: int, field: str | None = None) -> str:
    with pytest.raises(StudioError) as caught:
        call()
    assert (caught.value.status, caught.value.field) == (status, field)
    assert "\n" not in caught.value.message
    assert caught.value.message.endswith(".")
    return caught.value.message


# -- uploads -----------------------------------------------------------------------------------------------------------


def test_a_file_is_what_its_content_says(library: Library, tmp_path: Path) -> None:
    given = {
        "png": picture(),
        "jpeg": picture("green", "JPEG"),
        "webp": picture("blue", "WEBP"),
        "gif": picture("white", "GIF"),
        **({"avif": picture("red", "AVIF"), "clip avif": animation("AVIF")} if AVIF else {}),
        "clip gif": animation("GIF"),
        "clip webp": animation("WEBP"),
        "clip mp4": video(tmp_path / "a.mp4"),
        "clip mov": video(tmp_path / "a.mov"),
        "clip webm": video(tmp_path / "a.webm", "VP80"),
    }
    for what, data in given.items():
        kind, format = what.split() if " " in what else ("picture", what)
        upload = library.add(data, "misleading.txt", user="local")
        assert (upload.kind, upload.format, upload.width, upload.height) == (kind, format, 64, 48), what
        assert upload.media_type == MEDIA_TYPES[format]
        assert (upload.bytes, upload.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        path = library.file(upload.id, user="local")
        assert path.read_bytes() == data
        assert path.suffix == f".{format}"
        with Image.open(library.thumbnail(upload.id, user="local")) as small:
            assert (small.format, max(small.size)) == ("WEBP", 64)
        source = library.source(upload.id, user="local")
        assert (source.name, source.prompt, source.is_clip) == ("misleading.txt", "", kind == "clip")
    lengths = {each.format: each.seconds for each in library.uploads("local") if each.kind == "clip"}
    if AVIF:
        assert lengths.pop("avif") == pytest.approx(1.0, abs=0.11)
    assert lengths == pytest.approx({"gif": 1.0, "webp": 1.0, "mp4": 2.0, "mov": 2.0, "webm": 2.0}, abs=0.11)


def test_pictures_are_read_upright_opaque_and_as_rgb(library: Library, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # taken with the camera on its side
    for data, size, corner in (
        (picture((255, 0, 0, 0)), (64, 48), (255, 255, 255)),
        (picture("red", "JPEG", exif=turned, quality=95), (48, 64), (254, 0, 0)),
        (picture("blue", "GIF"), (64, 48), (0, 0, 255)),
    ):
        image = library.picture(library.add(data, "x", user="local").id, user="local")
        assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", size, corner)
    clip = library.add(animation("GIF"), "film.gif", user="local")
    assert "film.gif is a clip" in refused(lambda: library.picture(clip.id, user="local"), 422, "pictures")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        picture()[:90],
        picture("red", "JPEG")[:200],
        animation("GIF")[:40],
        b"\0\0\0\x18ftypisom" + bytes(100),
        b"\x1a\x45\xdf\xa3" + bytes(100),
        b"RIFF\0\0\0\0WEBP" + bytes(100),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_cannot_be_decoded_leaves_nothing(library: Library, settings: Settings, data: bytes) -> None:
    with pytest.raises(StudioError) as caught:
        library.add(data, "a.png", user="local")
    assert caught.value.status == 422
    assert library.uploads("local") == []
    assert [path for path in (settings.data_dir / "uploads").rglob("*") if path.is_file()] == []


def test_what_is_too_large_is_refused(library: Library, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    for given in (tmp_path / "noise.png", (tmp_path / "noise.png").read_bytes()):
        assert "STUDIO_MAX_UPLOAD_MB" in refused(lambda given=given: library.add(given, "x", user="local"), 422)
    Image.new("1", (6000, 6000)).save(tmp_path / "huge.png")
    assert "megapixels" in refused(lambda: library.add(tmp_path / "huge.png", "x", user="local"), 422, "image")
    assert "cannot be read" in refused(lambda: library.add(tmp_path / "none.png", "x", user="local"), 422)
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    long = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * (MAX_FRAMES + 1) + b";"
    assert "cut it" in refused(lambda: library.add(long, "x", user="local"), 422)


def test_the_same_bytes_are_the_same_upload(library: Library) -> None:
    first = library.add(picture(), "C:\\pictures\\a\u202e\n.png", user="local")
    assert first.name == "a.png"
    assert library.add(picture(), "b.png", user="local") == first
    assert library.add(picture(), "../../etc/b.png", user="eve").id != first.id
    assert library.delete([first.id], user="local") == 1
    assert library.uploads("local") == []
    assert library.add(picture(), "b.png", user="local").id == first.id
    library.file(first.id, user="local").unlink()
    assert "hand it in again" in refused(lambda: library.file(first.id, user="local"), 410)
    assert library.add(picture(), "b.png", user="local").id == first.id
    assert library.file(first.id, user="local").read_bytes() == picture()


def test_a_deleted_upload_can_be_restored_until_it_is_purged(
    library: Library, database: Database, settings: Settings
) -> None:
    kept, gone = (library.add(picture(colour), f"{colour}.png", user="local") for colour in ("red", "green"))
    board = library.boards.create("local", "both", [kept.id, gone.id])
    vector = np.array([0.6, 0.8], np.float32)
    Embeddings(database).keep("m", {(each.id, 0.0): vector for each in (kept, gone)}, user="local")
    assert library.delete([kept.id, gone.id, "f" * 32], user="local") == 2
    assert library.boards.all("local")[0].count == 0
    assert library.restore([kept.id], user="local") == 1
    assert library.boards.pictures(board.id, user="local") == (kept.id,)
    library.tidy()
    assert library.source(gone.id, user="local").name == "green.png"

    path, thumbnail = library.file(gone.id, user="local"), library.thumbnail(gone.id, user="local")
    with database.write() as session:
        old = update(UploadRow).where(UploadRow.id == gone.id).values(deleted_at=now() - 2 * KEEP_DELETED)
        session.execute(old)
    library.tidy()
    assert not path.exists()
    assert not thumbnail.exists()
    assert "no such" in refused(lambda: library.source(gone.id, user="local"), 404)
    with database.read() as session:
        assert session.scalars(select(EmbeddingRow.picture_id)).all() == [kept.id]
        assert session.scalars(select(BoardItemRow.picture_id)).all() == [kept.id]


def test_files_that_no_row_names_are_put_away(library: Library, database: Database, settings: Settings) -> None:
    lost, kept = library.add(picture(), "a.png", user="local"), library.add(picture("blue"), "b.png", user="local")
    stray = library.file(kept.id, user="local").with_suffix(".1234.tmp")
    stray.write_bytes(b"half")
    with database.write() as session:
        session.delete(session.get_one(UploadRow, lost.id))
    library.tidy()
    assert not stray.exists()
    assert library.file(kept.id, user="local").exists()
    assert (settings.data_dir / "unlisted" / f"{lost.id}.png").read_bytes() == picture()


def test_gallery_pictures_are_found_by_the_same_questions(
    library: Library, gallery: Gallery, settings: Settings
) -> None:
    id = drawn(gallery, settings, prompt="a pear " * 20)
    source = library.source(id, user="local")
    assert source.prompt == ("a pear " * 20)
    assert source.name.startswith("a pear")
    assert len(source.name) <= 60
    assert not source.is_clip
    assert library.file(id, user="local") == gallery.file(id, user="local")
    assert library.thumbnail(id, user="local") == gallery.thumbnail(id, user="local")
    assert library.picture(id, user="local").getpixel((0, 0)) == (0, 0, 255)
    assert not library.has(id, user="local")
    refused(lambda: library.get(id, user="local"), 404)


def test_another_user_sees_nothing(library: Library, gallery: Gallery, settings: Settings) -> None:
    upload, asset = library.add(picture(), "a.png", user="local").id, drawn(gallery, settings)
    board = library.boards.create("local", "mine", [upload, asset]).id
    for id in (upload, asset, "f" * 32, "..", "../studio.db", "", "A" * 32):
        for look in (library.source, library.file, library.thumbnail, library.picture, library.get):
            refused(lambda look=look, id=id: look(id, user="eve"), 404)
    for touch in (
        lambda: library.boards.pictures(board, user="eve"),
        lambda: library.boards.add(board, [], user="eve"),
        lambda: library.boards.remove(board, [upload], user="eve"),
        lambda: library.boards.rename(board, "x", user="eve"),
        lambda: library.boards.delete(board, user="eve"),
        lambda: library.resolve(PicturesRequest(board=board), "eve"),
    ):
        refused(touch, 404, "board")
    refused(lambda: library.boards.create("eve", "x", [upload]), 404, "pictures")
    refused(lambda: library.resolve(PicturesRequest(pictures=(asset,)), "eve"), 404, "pictures")
    assert library.delete([upload], user="eve") == 0
    assert (library.boards.all("eve"), library.uploads("eve")) == ([], [])
    assert library.boards.pictures(board, user="local") == (upload, asset)


# -- boards ------------------------------------------------------------------------------------------------------------


def test_a_board_keeps_the_order_in_which_pictures_came(library: Library, gallery: Gallery, settings: Settings) -> None:
    a, b, c = (library.add(picture(colour), "x.png", user="local").id for colour in ("red", "green", "blue"))
    d = drawn(gallery, settings)
    board = library.boards.create("local", "  my \n board ", [c, a, c])
    assert (board.name, board.count) == ("my board", 2)
    assert library.boards.add(board.id, [b, a, d, b], user="local") == 2
    assert library.boards.pictures(board.id, user="local") == (c, a, b, d)
    assert library.boards.remove(board.id, [a, a, "f" * 32], user="local") == 1
    gallery.delete([d], user="local")
    assert library.boards.pictures(board.id, user="local") == (c, b)
    gallery.restore([d], user="local")
    assert library.boards.add(board.id, [a], user="local") == 1
    assert library.boards.pictures(board.id, user="local") == (c, b, d, a)
    library.boards.rename(board.id, "Another", user="local")
    library.boards.create("local", "empty")
    assert [(each.name, each.count) for each in library.boards.all("local")] == [("Another", 4), ("empty", 0)]
    library.boards.delete(board.id, user="local")
    assert [each.name for each in library.boards.all("local")] == ["empty"]
    assert library.get(a, user="local").id == a


def test_bad_boards_are_refused(library: Library) -> None:
    board = library.boards.create("local", "one")
    library.boards.create("eve", "one")
    two = library.boards.create("local", "two")
    assert "'one'" in refused(lambda: library.boards.create("local", " one "), 409, "name")
    refused(lambda: library.boards.rename(two.id, "one", user="local"), 409, "name")
    library.boards.rename(board.id, "one", user="local")
    for name in ("", "  ", "x" * 81):
        refused(lambda name=name: library.boards.create("local", name), 422, "name")
    refused(lambda: library.boards.add(board.id, ["f" * 32], user="local"), 404, "pictures")
    assert [each.name for each in library.boards.all("local")] == ["one", "two"]


class TwoSets(PicturesRequest):
    others: tuple[PictureId, ...] = Field(default=(), max_length=3)
    other_board: Annotated[str, BoardOf("others")] = ""


def test_a_request_gets_the_pictures_of_its_boards(library: Library) -> None:
    ids = [library.add(picture((index, 0, 0)), "x.png", user="local").id for index in range(5)]
    board = library.boards.create("local", "some", ids[1:4])
    request = TwoSets(pictures=(ids[0], ids[2], ids[0]), board=board.id, others=(ids[4],), other_board=board.id)
    assert "4 pictures; one job takes at most 3" in refused(
        lambda: library.resolve(request, "local"), 422, "other_board"
    )
    library.delete([ids[3]], user="local")
    resolved = library.resolve(request, "local")
    assert resolved.pictures == (ids[0], ids[2], ids[1])
    assert resolved.others == (ids[4], ids[1], ids[2])
    assert (resolved.board, resolved.other_board) == ("", "")
    assert library.resolve(resolved, "local") == resolved
    assert library.resolve(PicturesRequest(), "local") == PicturesRequest()
    empty = library.boards.create("local", "empty")
    assert "empty" in refused(lambda: library.resolve(PicturesRequest(board=empty.id), "local"), 422, "board")
    assert ids[3] in refused(lambda: library.resolve(PicturesRequest(pictures=(ids[3],)), "local"), 404, "pictures")
    several = PicturesRequest(pictures=("e" * 32, "f" * 32))
    assert "1 more" in refused(lambda: library.resolve(several, "local"), 404, "pictures")


# -- where pictures came from ------------------------------------------------------------------------------------------


def test_lineage_knows_pictures_and_uploads_and_stays_with_the_owner(
    library: Library, gallery: Gallery, settings: Settings, database: Database
) -> None:
    upload = library.add(picture(), "a.png", user="local")
    foreign = library.add(picture(), "a.png", user="eve")
    parent = drawn(gallery, settings, index=0)
    child = drawn(gallery, settings, index=1, parents=(parent, upload.id, foreign.id, "f" * 32))
    line = library.lineage(child, user="local")
    assert ([each.id for each in line.parents], line.uploads, line.children) == ([parent], (upload,), ())
    for id in (parent, upload.id):
        assert [each.id for each in library.lineage(id, user="local").children] == [child]
    assert library.lineage(foreign.id, user="eve").children == ()
    refused(lambda: library.lineage(child, user="eve"), 404)
    gallery.delete([parent], user="local")
    assert library.lineage(child, user="local").parents == ()
    library.delete([upload.id], user="local")
    with database.write() as session:
        for table in (AssetRow, UploadRow):
            old = update(table).where(table.deleted_at.is_not(None)).values(deleted_at=now() - timedelta(days=31))
            session.execute(old)
    gallery.tidy()
    library.tidy()
    with database.read() as session:
        assert session.scalars(select(LineageRow)).all() == []


def test_masks_are_kept_but_are_no_pictures_of_their_own(library: Library) -> None:
    mask = library.add(picture(), "mask.png", user="local", purpose="mask")
    assert library.uploads("local") == []
    assert library.add(picture(), "again.png", user="local", purpose="mask").id == mask.id
    shown = library.add(picture(), "picture.png", user="local")
    assert shown.id != mask.id
    assert [each.id for each in library.uploads("local")] == [shown.id]
    board = library.boards.create("local", "both", [mask.id, shown.id])
    assert library.boards.pictures(board.id, user="local") == (shown.id,)
    assert library.picture(mask.id, user="local").size == library.picture(shown.id, user="local").size
