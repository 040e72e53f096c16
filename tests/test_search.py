"""Search by meaning on the real starter CLIP, and the index of large galleries on made-up vectors."""

from __future__ import annotations

import asyncio
import io
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import gradio
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import insert, select

from studio import Studio
from studio.errors import StudioError
from studio.jobs import WorkerState
from studio.search import Found, Search
from studio.search.vectors import Neighbours, groups, plane
from studio.settings import Settings
from studio.store.database import AssetRow, Database, EmbeddingRow, JobRow, now
from studio.store.embeddings import Embeddings
from studio.trust import Trust
from tests.viewing import scene

PHOTOGRAPHS = Path(gradio.__file__).parent / "media_assets" / "images"
NONSENSE = (
    "a photograph of a wedding", "a bicycle race", "quarterly report", "Paris at night", "shaking hands",
    "a microscope", "mountains at sunset", "a kitchen", "stock market", "a chess tournament",
)  # fmt: skip

# -- with the starter CLIP ---------------------------------------------------------------------------------------------

THINGS = {
    "red apple": ("apple", "white"),
    "fox on pink": ("fox", "pink"),
    "fox on blue": ("fox", "blue"),
    "tulip": ("tulip", "white"),
    "car": ("car", "yellow"),
}


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def until(true: Callable[[], object], seconds: float = 400, told: Callable[[], object] = str) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"it never came true: {told()}"
        time.sleep(0.05)


def has_vectors(studio: Studio, *pictures: str) -> bool:
    studio.search.status("local")  # as the page asks for it while somebody looks
    with studio.database.read() as session:
        return len(set(session.scalars(select(EmbeddingRow.picture_id))) & set(pictures)) == len(pictures)


def ids(found: Found) -> list[str]:
    return [hit.id for hit in found.hits]


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """These tests start readers on computers that do something else as well."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WAIT_SECONDS", "CUT_SECONDS"):
            patch.setattr(f"studio.search.search.{name}", 300.0)
        yield


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    studio = Studio(Settings(data_dir=tmp_path_factory.mktemp("search"), min_free_disk_mb=0), preload=False)
    studio.start()
    yield studio
    studio.stop()


@pytest.fixture(scope="module")
def things(studio: Studio) -> dict[str, str]:
    """Name -> id; of what was made here, and of what was handed in."""
    known = {}
    for name, (thing, background) in THINGS.items():
        image = scene(thing, background=background)
        if name == "tulip":
            known[name] = studio.library.add(png(image), "tulip.png", user="local").id
        else:
            known[name] = made(studio, image, prompt=name)
    until(
        lambda: has_vectors(studio, *known.values()),
        told=lambda: (
            studio.search.status("local"),
            studio.executor.state(),
            studio.jobs.list(user="local", hidden=True),
        ),
    )
    return known


def made(studio: Studio, image: Image.Image, *, prompt: str = "", owner: str = "local") -> str:
    released = Trust(studio.settings.model_copy(update={"watermark": False})).release(image, parameters={})
    return studio.gallery.add(
        released,
        owner=owner,
        job_id=secrets.token_hex(16),
        index=0,
        capability="text-to-image",
        family="starter",
        seed=0,
        parameters={"prompt": prompt},
    ).id


def asset(id: str, owner: str) -> AssetRow:
    """A row without a file."""
    return AssetRow(
        id=id, owner=owner, job_id=id, index=0, capability="c", family="f", seed=0, prompt="", width=1, height=1,
        bytes=1, sha256=id, parameters={}, notes=[],
    )  # fmt: skip


def test_words_find_what_was_drawn_and_what_was_handed_in(studio: Studio, things: dict[str, str]) -> None:
    for text, name in (
        ("a red apple", "red apple"),
        ("a tulip", "tulip"),
        ("a car", "car"),
        ("a fox on a pink background", "fox on pink"),
        ("a fox on a blue background", "fox on blue"),
    ):
        found = studio.search.find(user="local", text=text, everything=True)
        assert ids(found)[0] == things[name], text
        assert sorted(ids(found)) == sorted(things.values())
        scores = [hit.score for hit in found.hits]
        assert scores == sorted(scores, reverse=True) and (found.embedded, found.total) == (5, 5)
    assert len(studio.search.find(user="local", text="a tulip", limit=2, everything=True).hits) == 2
    assert studio.jobs.list(user="local") == []  # its own work is not shown


def test_a_picture_finds_those_like_it_without_the_worker(studio: Studio, things: dict[str, str]) -> None:
    before = studio.jobs.list(user="local", hidden=True)
    assert ids(studio.search.find(user="local", like=[things["fox on pink"]]))[0] == things["fox on blue"]
    assert things["fox on pink"] not in ids(studio.search.find(user="local", like=[things["fox on pink"]]))
    assert studio.jobs.list(user="local", hidden=True) == before


def test_a_picture_that_was_just_dropped_is_read_first(studio: Studio, things: dict[str, str]) -> None:
    dropped = studio.library.add(png(scene("apple", background="green")), "mine.png", user="local").id
    found = studio.search.find(user="local", like=[dropped])
    assert ids(found)[0] == things["red apple"]
    job = next(job for job in studio.jobs.list(user="local", hidden=True) if job.request.get("pictures") == [dropped])
    assert job.capability == "embed"
    with studio.database.read() as session:
        assert session.scalars(select(JobRow.priority).where(JobRow.id == job.id)).one() > 0
    studio.library.delete([dropped], user="local")


def test_words_and_pictures_add_up(studio: Studio, things: dict[str, str]) -> None:
    moved = studio.search.find(user="local", like=[things["fox on pink"]], text="a car", unlike="a fox")
    assert ids(moved)[0] == things["car"]
    away = studio.search.find(user="local", text="a fox", unlike="a pink background")
    assert ids(away)[0] == things["fox on blue"]


def test_near_duplicates_are_grouped_with_the_best_one_first(studio: Studio, things: dict[str, str]) -> None:
    assert studio.search.duplicates("local", 0.999) == []
    smaller = studio.library.add(png(scene("car", background="yellow").resize((200, 200))), "car.png", user="local").id
    blank = [made(studio, Image.new("RGB", (256, 256), "white")) for _ in range(2)]
    until(lambda: has_vectors(studio, smaller, *blank))
    found = studio.search.duplicates("local", 0.98)
    assert [things["car"], smaller] in found and blank in found
    studio.gallery.star(blank[1], True, user="local")
    assert blank[::-1] in studio.search.duplicates("local", 0.98)
    studio.gallery.delete(blank, user="local")
    studio.library.delete([smaller], user="local")
    assert not {*blank, smaller} & {id for group in studio.search.duplicates("local", 0.98) for id in group}


def test_the_map_puts_alike_pictures_beside_each_other(studio: Studio, things: dict[str, str]) -> None:
    places = {point.id: np.array([point.x, point.y]) for point in studio.search.map("local")}
    assert set(places) == set(things.values())
    assert np.abs(list(places.values())).max() == 1

    def apart(one: str, other: str) -> float:
        return float(np.linalg.norm(places[things[one]] - places[things[other]]))

    assert apart("fox on pink", "fox on blue") < min(
        apart("fox on pink", each) for each in ("tulip", "car", "red apple")
    )


def test_deleted_pictures_vanish_and_come_back(studio: Studio, things: dict[str, str]) -> None:
    for keeper, id in ((studio.gallery, things["car"]), (studio.library, things["tulip"])):
        keeper.delete([id], user="local")
        found = studio.search.find(user="local", text="a car", everything=True)
        assert id not in ids(found) and len(found.hits) == 4
        assert id not in {point.id for point in studio.search.map("local")}
        keeper.restore([id], user="local")
        assert id in ids(studio.search.find(user="local", text="one car", everything=True))


def test_filters_of_the_gallery_narrow_a_search(studio: Studio, things: dict[str, str]) -> None:
    studio.gallery.star(things["car"], True, user="local")
    assert ids(studio.search.find(user="local", text="a car", starred=True)) == [things["car"]]
    assert things["tulip"] not in ids(studio.search.find(user="local", text="a tulip", family="starter"))
    assert ids(studio.search.find(user="local", text="a tulip", since=now())) == []
    studio.gallery.star(things["car"], False, user="local")


def test_nobody_finds_what_is_another_ones(studio: Studio, things: dict[str, str]) -> None:
    foreign = made(studio, scene("fox", background="pink"), owner="eve")
    until(lambda: has_vectors(studio, foreign))
    assert ids(studio.search.find(user="eve", text="a fox")) == [foreign]
    assert foreign not in ids(studio.search.find(user="local", text="a fox", everything=True))
    assert [point.id for point in studio.search.map("eve")] == [foreign]
    assert all(foreign not in group for group in studio.search.duplicates("local", 0.9))
    with pytest.raises(StudioError, match="no such picture") as caught:
        studio.search.find(user="local", like=[foreign])
    assert caught.value.status == 404


def test_a_clip_is_found_at_the_moment_that_shows_it(studio: Studio, things: dict[str, str]) -> None:
    frames = [scene("tulip", background="green"), scene("car", background="blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=2000)
    clip = studio.library.add(buffer.getvalue(), "walk.gif", user="local")
    assert clip.kind == "clip"
    until(lambda: has_vectors(studio, clip.id))
    moments = {
        text: next(
            hit.time for hit in studio.search.find(user="local", text=text, everything=True).hits if hit.id == clip.id
        )
        for text in ("a tulip on a green background", "a car on a blue background")
    }
    assert list(moments.values()) == [0.0, 2.0]
    assert clip.id not in {point.id for point in studio.search.map("local")}
    studio.library.delete([clip.id], user="local")


def test_what_cannot_be_read_is_told_and_not_asked_for_again(studio: Studio, things: dict[str, str]) -> None:
    broken = secrets.token_hex(16)
    file = studio.settings.data_dir / "pictures" / broken[:2] / f"{broken}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\x89PNG nothing")
    with studio.database.write() as session:
        session.add(asset(broken, "local"))
    until(lambda: "1 could not be read and cannot be found." in studio.search.status("local").note)
    status = studio.search.status("local")
    assert (status.embedded, status.total) == (5, 5)
    asked = [job for job in studio.jobs.list(user="local", hidden=True) if broken in job.request.get("pictures", ())]
    assert len(asked) == 1
    with pytest.raises(StudioError, match="could not be read: choose another"):
        studio.search.find(user="local", like=[broken])
    studio.gallery.delete([broken], user="local")
    until(lambda: studio.search.status("local").note == "")


def test_questions_that_cannot_be_answered_are_refused_in_a_sentence(studio: Studio, things: dict[str, str]) -> None:
    questions: list[tuple[dict[str, Any], str]] = [
        ({}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": "x" * 2001}, "text"),
        ({"text": "a fox", "unlike": "a fox"}, "unlike"),
        ({"like": [secrets.token_hex(16) for _ in range(21)]}, "like"),
        ({"text": "a fox", "model": "starter"}, "model"),
    ]
    for question, field in questions:
        with pytest.raises(StudioError) as caught:
            studio.search.find(user="local", **question)
        assert caught.value.field == field and caught.value.status == 422, question
    with pytest.raises(StudioError, match="threshold"):
        studio.search.duplicates("local", 0.1)


def drawing(studio: Studio) -> str:
    """A long job that has the worker."""
    id = studio.jobs.submit("text-to-image", {"prompt": "an apple", "steps": 100, "count": 4}, user="local").id
    until(lambda: studio.jobs.get(id, user="local").step > 0)
    return id


def test_words_and_new_pictures_are_read_beside_a_drawing(studio: Studio, things: dict[str, str]) -> None:
    id = drawing(studio)
    dropped = studio.library.add(png(scene("tulip", background="pink")), "new.png", user="local").id

    async def ask() -> list[Found]:
        """Many at once, of which every two ask the same."""
        finds = [studio.search.afind(user="local", text=f"{at % 20} cars", everything=True) for at in range(40)]
        return await asyncio.gather(*finds)

    found = asyncio.run(ask())
    assert all(ids(each) == ids(found[at % 20]) for at, each in enumerate(found))
    kinds = {job.capability for job in studio.jobs.list(user="local", hidden=True)}
    assert kinds == {"text-to-image", "embed"}  # words are no jobs
    assert ids(studio.search.find(user="local", like=[dropped]))[0] == things["tulip"]
    caption = studio.jobs.submit("score", {"pictures": [dropped]}, user="local")
    assert studio.jobs.wait(caption.id, user="local", timeout=300).status == "done"
    assert studio.jobs.get(id, user="local").status == "running"
    light = studio.executor.state().light
    assert light is not None and [each.device for each in light.residents] == ["cpu"]
    studio.jobs.cancel(id, user="local")
    studio.library.delete([dropped], user="local")


def reader(studio: Studio) -> tuple[WorkerState, int]:
    """The state of the light lane, which is there once it has read some words, and its process id."""
    studio.search.find(user="local", text="words to begin with", everything=True)
    light = studio.executor.state().light
    assert light is not None and light.pid
    return light, light.pid


def test_words_say_that_they_wait(studio: Studio, things: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    _, pid = reader(studio)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr("studio.search.search.WAIT_SECONDS", 0.2)
    with pytest.raises(StudioError, match="The words have not been read yet") as caught:
        studio.search.find(user="local", text="something never asked before")
    assert caught.value.status == 503
    assert studio.search.find(user="local", like=[things["tulip"]]).hits  # needs no worker
    os.kill(pid, signal.SIGCONT)
    monkeypatch.undo()
    assert studio.search.find(user="local", text="something never asked before", everything=True).hits


def test_words_wait_for_a_reader_that_was_lost(studio: Studio, things: dict[str, str]) -> None:
    light, pid = reader(studio)
    os.kill(pid, signal.SIGSTOP)

    async def ask() -> Found:
        asked = asyncio.ensure_future(studio.search.afind(user="local", text="a yellow car", everything=True))
        await asyncio.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        return await asked

    assert ids(asyncio.run(ask()))[:1] == [things["car"]]
    again = studio.executor.state().light
    assert again is not None and again.restarts == light.restarts + 1


def test_a_search_stops_where_nothing_fits(launch: Callable[..., Studio]) -> None:
    """Pictures of the starter's world and photographs; words for some of them, and words for none."""
    studio = launch(capabilities="studio.capabilities:ALL")
    names = ("apple", "fox", "tulip", "car", "guitar", "rocket", "carrot", "crown", "heart", "penguin")
    known = {
        (name, at): studio.library.add(png(scene(name, background=background, seed=at)), "x.png", user="local").id
        for name in names
        for at, background in enumerate(("white", "blue", "pink"))
    }
    photographs = [
        studio.library.add(png(Image.open(path).convert("RGB")), path.name, user="local").id
        for path in (PHOTOGRAPHS / name for name in ("cheetah.jpg", "cheetah1.jpg", "groot.jpeg", "tower.jpg"))
    ]
    until(lambda: has_vectors(studio, *known.values(), *photographs))
    right = wrong = 0
    for name in names:
        found = set(ids(studio.search.find(user="local", text=f"a {name}")))
        own = {known[name, at] for at in range(3)}
        right += len(found & own)
        wrong += len(found - own)
    assert right >= 0.9 * len(known) and wrong <= len(names)
    empty = 0
    for words in NONSENSE:
        answer = studio.search.find(user="local", text=words)
        assert len(answer.hits) <= 3, words
        assert len(studio.search.find(user="local", text=words, everything=True).hits) == 34
        if not answer.hits:
            empty += 1
            assert answer.note == "Nothing here looks like that."
    assert empty >= 0.7 * len(NONSENSE)


def test_other_weights_under_the_same_name_are_noticed(studio: Studio, things: dict[str, str], tmp_path: Path) -> None:
    """As after an update of the starter models: all pictures are looked at again."""
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "models.json").write_text('{"starter-clip": "of weights that were here before"}')
    moment = now()
    search = second(studio, tmp_path)
    search.start()
    try:

        def again() -> bool:
            with studio.database.read() as session:
                new = session.scalars(select(EmbeddingRow.picture_id).where(EmbeddingRow.created_at > moment))
                return set(new) >= set(things.values())

        until(again)
    finally:
        search.stop()
    assert "before" not in (tmp_path / "index" / "models.json").read_text()


def second(studio: Studio, folder: Path, **changes: Any) -> Search:
    """Another search over the same pictures, with files of its own."""
    settings = studio.settings.model_copy(update={"data_dir": folder})
    return Search(settings, studio.database, studio.library, studio.catalog, studio.jobs, **changes)


# -- large galleries ---------------------------------------------------------------------------------------------------

LIMIT = 300


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings)
    database.open()
    yield database
    database.close()


class Crowd:
    """Random unit vectors with their rows, as many as are put."""

    def __init__(self, database: Database, count: int = 2000, dims: int = 32, model: str = "m") -> None:
        self.database, self.model = database, model
        dice = np.random.default_rng(0)
        self.vectors = dice.standard_normal((count, dims)).astype(np.float16).astype(np.float32)
        self.vectors /= np.linalg.norm(self.vectors, axis=1, keepdims=True)
        self.stored = self.vectors.astype("<f2").astype(np.float32)
        self.ids = [dice.bytes(16).hex() for _ in range(count)]
        self.put_so_far = 0

    def put(self, count: int, *, ago: timedelta = timedelta(0), owner: str = "local") -> None:
        some = range(self.put_so_far, self.put_so_far + count)
        moment = now() - ago
        rows = [
            {
                "picture_id": self.ids[at],
                "model": self.model,
                "time": 0.0,
                "owner": owner,
                "vector": self.vectors[at].astype("<f2").tobytes(),
                "created_at": moment + timedelta(microseconds=at),
            }
            for at in some
        ]
        with self.database.write() as session:
            session.execute(insert(EmbeddingRow), rows)
        self.put_so_far += count

    def nearest(self, at: int, count: int = 10) -> list[str]:
        order = np.argsort(-(self.stored[: self.put_so_far] @ self.stored[at]), kind="stable")
        return [self.ids[place] for place in order[:count]]


def first(vectors: Neighbours, query: np.ndarray, count: int = 10) -> list[str]:
    found: list[str] = []
    for hits in vectors.ranked(query):
        found += [id for id, _, _ in hits]
        if len(found) >= count:
            break
    return found[:count]


def opened(crowd: Crowd, folder: Path) -> Neighbours:
    return Neighbours(crowd.database, folder / "index", "local", crowd.model, exact_limit=LIMIT)


@pytest.fixture
def crowd(database: Database) -> Crowd:
    return Crowd(database)


@pytest.fixture
def built(crowd: Crowd, tmp_path: Path) -> Neighbours:
    """500 vectors behind a graph."""
    crowd.put(500, ago=timedelta(hours=1))
    vectors = opened(crowd, tmp_path)
    vectors.refresh()
    vectors.build(threading.Event())
    assert vectors.kind == "approximate"
    return vectors


def test_small_galleries_are_compared_exactly_and_grow(crowd: Crowd, tmp_path: Path) -> None:
    vectors = opened(crowd, tmp_path)
    assert first(vectors, crowd.stored[0]) == []
    for more in (1, 99, 150):
        crowd.put(more)
        assert first(vectors, crowd.stored[0]) == crowd.nearest(0)
    assert vectors.kind == "exact" and not vectors.wants_build and not (tmp_path / "index").exists()
    assert len(first(vectors, crowd.stored[0], 10**6)) == 250


def test_a_large_gallery_has_a_graph_and_what_is_new_beside_it(crowd: Crowd, built: Neighbours) -> None:
    assert built.bytes == 0  # the graph is mapped, not held
    for at in range(20):
        assert first(built, crowd.stored[at]) == crowd.nearest(at)
    crowd.put(60)
    for at in (3, 510, 559):
        assert first(built, crowd.stored[at]) == crowd.nearest(at)
    everything = first(built, crowd.stored[7], 10**6)
    assert sorted(everything) == sorted(crowd.ids[:560])


def test_the_graph_grows_while_queries_go_on(crowd: Crowd, built: Neighbours, tmp_path: Path) -> None:
    crowd.put(LIMIT + 1, ago=timedelta(minutes=30))
    assert first(built, crowd.stored[1]) == crowd.nearest(1)
    assert built.wants_build
    failed: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            if first(built, crowd.stored[1]) != crowd.nearest(1):
                failed.append("another answer")

    asker = threading.Thread(target=ask)
    asker.start()
    built.build(threading.Event())
    crowd.put(5)
    stop.set()
    asker.join()
    assert failed == [] and not built.wants_build
    assert first(built, crowd.stored[805]) == crowd.nearest(805)
    assert len(list(tmp_path.rglob("*.usearch"))) == 1  # the graph before is gone


def test_a_build_that_is_stopped_changes_nothing(crowd: Crowd, built: Neighbours, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "index").rglob("*.*")}
    crowd.put(LIMIT + 1)
    stop = threading.Event()
    stop.set()
    built.build(stop)
    assert {path: path.read_bytes() for path in (tmp_path / "index").rglob("*.*")} == before


def test_an_import_faster_than_graphs_are_built_is_read_from_the_table(crowd: Crowd, built: Neighbours) -> None:
    crowd.put(3 * LIMIT)
    assert first(built, crowd.stored[1000]) == crowd.nearest(1000)
    assert built.wants_build and built.bytes == 0
    built.build(threading.Event())
    assert first(built, crowd.stored[1000]) == crowd.nearest(1000) and built.kind == "approximate"


def test_another_start_takes_the_graph_as_it_is(crowd: Crowd, built: Neighbours, tmp_path: Path) -> None:
    crowd.put(20)
    again = opened(crowd, tmp_path)
    assert first(again, crowd.stored[510]) == crowd.nearest(510)
    assert (again.kind, again.take_note(), again.wants_build) == ("approximate", "", False)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("graph deleted", "was not there"),
        ("all deleted", "was not there"),
        ("graph truncated", "was damaged"),
        ("one bit", "was damaged"),
        ("manifest garbled", "was damaged"),
        ("another model", "belonged to another model"),
    ],
)
def test_a_lost_or_foreign_index_is_built_again_and_that_is_said_once(
    crowd: Crowd, built: Neighbours, tmp_path: Path, damage: str, why: str
) -> None:
    [graph], [manifest] = tmp_path.rglob("*.usearch"), tmp_path.rglob("manifest.json")
    content = graph.read_bytes()
    if damage == "graph deleted":
        graph.unlink()
    elif damage == "all deleted":
        for path in graph.parent.iterdir():
            path.unlink()
    elif damage == "graph truncated":
        graph.write_bytes(content[: len(content) // 2])
    elif damage == "one bit":
        graph.write_bytes(content[:-1000] + bytes([content[-1000] ^ 1]) + content[-999:])
    elif damage == "manifest garbled":
        manifest.write_text("{")
    else:
        other = Crowd(crowd.database, dims=16, model="other")
        other.put(400)
        foreign = opened(other, tmp_path)
        foreign.refresh()
        foreign.build(threading.Event())
        [folder] = {path.parent for path in tmp_path.rglob("manifest.json")} - {graph.parent}
        for path in graph.parent.iterdir():
            path.unlink()
        for path in folder.iterdir():
            path.rename(graph.parent / path.name)
    again = opened(crowd, tmp_path)
    assert first(again, crowd.stored[4]) == crowd.nearest(4)  # read from the table meanwhile
    assert again.kind == "exact" and again.wants_build
    assert why in again.take_note()
    assert again.take_note() == ""
    again.build(threading.Event())
    assert again.kind == "approximate" and first(again, crowd.stored[4]) == crowd.nearest(4)


def test_the_search_builds_what_it_needs_by_itself_and_says_why(
    studio: Studio, things: dict[str, str], tmp_path: Path
) -> None:
    """With a limit that five vectors exceed."""
    search = second(studio, tmp_path, exact_limit=3)
    search.start()
    try:
        found = search.find(user="local", like=[things["fox on pink"]])
        assert ids(found)[0] == things["fox on blue"]
        assert "was not there: it is being built again" in found.note
        until(lambda: search.status("local").kind == "approximate")
        assert search.status("local").note == ""
        assert ids(search.find(user="local", like=[things["fox on pink"]])) == ids(found)
    finally:
        search.stop()


def test_vectors_of_another_owner_are_not_read(database: Database, tmp_path: Path) -> None:
    crowd = Crowd(database)
    crowd.put(10)
    crowd.put(10, owner="eve")
    assert sorted(first(opened(crowd, tmp_path), crowd.stored[0], 100)) == sorted(crowd.ids[:10])


def test_groups_and_planes() -> None:
    turn = np.radians(np.array([0, 1, 2, 90, 91, 180], np.float32))
    circle = np.stack([np.cos(turn), np.sin(turn)], 1).astype(np.float32)
    assert groups(circle, float(np.cos(np.radians(1.5)))) == [[0, 1, 2], [3, 4]]  # 0 and 2 are joined by 1
    assert groups(np.repeat(circle, 600, 0), 0.9999)[0] == list(range(600))
    assert groups(circle[:1], 0.5) == [] and groups(np.empty((0, 1), np.float32), 0.9) == []
    cloud = np.random.default_rng(1).standard_normal((200, 8)).astype(np.float32) * [9, 5, 1, 1, 1, 1, 1, 1]
    flat = plane(cloud.astype(np.float32))
    wanted = np.linalg.svd(cloud - cloud.mean(0), full_matrices=False)
    projected = (cloud - cloud.mean(0)) @ wanted[2][:2].T
    assert np.allclose(np.abs(flat), np.abs(projected) / np.abs(projected).max(), atol=1e-3)
    assert plane(circle[:1]).tolist() == [[0, 0]]


def test_a_gallery_of_many_is_counted_by_who_owns_it(database: Database) -> None:
    with database.write() as session:
        session.add_all(asset(secrets.token_hex(16), owner) for owner in "aaab")
    idle = Studio(Settings(data_dir=database.data_dir, min_free_disk_mb=0), preload=False)  # not started
    assert (idle.search.status("a").total, idle.search.status("b").total, idle.search.status("c").total) == (3, 1, 0)
    assert idle.search.status("a").note == "3 of 3 pictures have not been looked at yet."


def test_vectors_are_replaced_and_read_back(database: Database) -> None:
    embeddings = Embeddings(database)
    id = "a" * 32
    embeddings.keep("m", {(id, 0.0): np.array([1, 0], np.float32)}, user="local")
    embeddings.keep("m", {(id, 0.0): np.array([0.6, 0.8], np.float32), (id, 1.5): np.ones(2, np.float32)}, user="local")
    found = embeddings.moments([id], "m", user="local")
    assert set(found) == {(id, 0.0), (id, 1.5)}
    assert found[id, 0.0] == pytest.approx([0.6, 0.8], abs=1e-3)
    assert embeddings.moments([id], "m", user="eve") == embeddings.moments([id], "n", user="local") == {}
    embeddings.forget("m")
    assert embeddings.known([id], "m") == set()
