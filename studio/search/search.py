"""The questions: words, pictures, both; the same twice; all of them on a map."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import ColumnElement, select

from studio.errors import StudioError
from studio.jobs import Jobs
from studio.models.catalog import Catalog
from studio.search.alike import best_first
from studio.search.answers import Found, Hit, Point, Status
from studio.search.embedder import Embedder, rest
from studio.search.fit import UNRELATED, fitting
from studio.search.indexes import Indexes
from studio.search.texts import Texts
from studio.settings import Settings
from studio.store.database import AssetRow, Database, UploadRow, chunks
from studio.store.embeddings import Embeddings, listed
from studio.store.library import Library

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

WAIT_SECONDS = 20.0
"""How long a query waits for the worker to read words, or a picture that has no vector yet."""
CUT_SECONDS = 5.0
"""How long it waits for the words that say where to stop, read once in the life of a server."""
ASKED_PRIORITY = 20
"""Of the jobs that a query waits for."""
COMPARED = 50_000
"""Near-duplicates are looked for among this many of the newest pictures: the comparisons grow with the square."""
MOST_LETTERS = 2000
MOST_LIKE = 20
MANY = 20_000
"""Pictures that are not counted anew at every look."""
NOTHING = "Nothing here looks like that."


@dataclass(frozen=True)
class _Question:
    """What `Search.find` was asked, checked."""

    user: str
    text: str
    like: tuple[str, ...]
    unlike: str
    limit: int
    model: str
    everything: bool
    narrowed: Mapping[str, Any] = field(default_factory=dict)

    def checked(self, catalog: Catalog) -> _Question:
        """With the model that answers it. Raises `StudioError` for what cannot be self."""
        if not (self.text or self.unlike or self.like):
            raise StudioError("Say what to look for: write some words or choose a picture.", field="text")
        for name, words in (("text", self.text), ("unlike", self.unlike)):
            if len(words) > MOST_LETTERS:
                raise StudioError(f"'{name}' may have at most {MOST_LETTERS} characters; shorten it.", field=name)
        if len(self.like) > MOST_LIKE:
            raise StudioError(f"At most {MOST_LIKE} pictures can be looked for at once; take some away.", field="like")
        if self.text == self.unlike and self.text and not self.like:
            raise _same()
        return replace(self, model=catalog.able(self.model, "embed").id)


class Search:
    """Every method sees only what belongs to the user it is given. Safe to call from any thread."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        library: Library,
        catalog: Catalog,
        jobs: Jobs,
        *,
        exact_limit: int | None = None,
    ) -> None:
        folder = settings.data_dir / "index"
        self._database = database
        self._library = library
        self._catalog = catalog
        self._jobs = jobs
        self._embeddings = Embeddings(database)
        self._indexes = Indexes(database, folder, exact_limit)
        self._texts = Texts(jobs)
        self._embedder = Embedder(
            folder,
            self._embeddings,
            library,
            catalog,
            jobs,
            each_round=self._indexes.build_next,
            forget=self._forget,
        )
        self._lock = threading.Lock()
        self._asked: dict[str, str] = {}
        self._counts: dict[tuple[str, str], tuple[float, tuple[int, int]]] = {}
        self._threads = ThreadPoolExecutor(4, "find")

    def start(self) -> None:
        """Begin to embed what has no vector of the current model."""
        self._embedder.start()

    def stop(self) -> None:
        self._embedder.stop()
        self._indexes.stop()

    # -- questions -----------------------------------------------------------------------------------------------

    def find(self, *, user: str, **wanted: Any) -> Found:
        """`afind` for a thread of its own, which it blocks."""
        return asyncio.run(self.afind(user=user, **wanted))

    async def afind(
        self,
        *,
        user: str,
        text: str = "",
        like: Sequence[str] = (),
        unlike: str = "",
        limit: int = 60,
        model: str = "",
        everything: bool = False,
        capability: str | None = None,
        family: str | None = None,
        starred: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Found:
        """Pictures and moments of clips closest to ``text`` plus the pictures ``like`` minus the words ``unlike``.

        Each part is a unit vector (of several pictures their mean), so they weigh the same. The pictures of ``like``
        are not among the hits; of a clip only its best moment is. Words alone find only what they fit, see
        `studio.search.fit`, unless ``everything`` is wanted. The filters are those of `Gallery.page`; with one of them
        uploads are left out. Words, and pictures that have no vector yet, wait for the worker, `WAIT_SECONDS` at most,
        without holding a thread. Raises `StudioError`: 422 for an empty question, 404 for an unknown picture, 503 while
        the worker is busy.
        """
        filters = {"capability": capability, "family": family, "starred": starred, "since": since, "until": until}
        question = _Question(
            user=user,
            text=text.strip(),
            like=tuple(dict.fromkeys(like)),
            unlike=unlike.strip(),
            limit=max(1, min(limit, 500)),
            model=model,
            everything=everything,
            narrowed={name: value for name, value in filters.items() if value is not None},
        ).checked(self._catalog)
        words = [each for each in (question.text, question.unlike) if each]
        read = [await self._texts.read(question.model, [each], WAIT_SECONDS) for each in words]
        unrelated = await self._unrelated(question)
        await self._look_at(question)
        return await self._aside(lambda: self._answer(question, [each[0] for each in read], unrelated))

    def status(self, user: str, model: str = "") -> Status:
        """How much can be found. What cannot be read does not count. That an index is built again is told once."""
        self._embedder.wake()
        try:
            usual = self._catalog.default_for("embed").id
            model = self._catalog.able(model, "embed").id
        except StudioError as error:
            return Status("", 0, self._count(user, "")[1], "exact", error.message)
        neighbours = self._indexes.of(user, model)
        kind = neighbours.kind
        embedded, total = self._count(user, model)
        unreadable, trouble = self._embedder.trouble(model, user)
        lost = len(self._library.there(sorted(unreadable), user=user))
        notes = [neighbours.take_note()]
        total = max(total - lost, embedded)
        if embedded < total and model != usual:
            notes.append(
                f"{total - embedded:,} of {total:,} pictures have not been looked at by {model}: "
                f"set STUDIO_SEARCH_MODEL={model} to make it the model of the search."
            )
        elif embedded < total:
            notes.append(f"{total - embedded:,} of {total:,} pictures have not been looked at yet.")
            notes.append(trouble)
        if lost:
            notes.append(f"{lost:,} could not be read and cannot be found.")
        return Status(model, embedded, total, kind, " ".join(filter(None, notes)))

    def duplicates(self, user: str, threshold: float = 0.96, *, model: str = "") -> list[list[str]]:
        """Groups of pictures that look almost the same or are the same file: a cosine of ``threshold`` joins two.

        The largest group first; in a group starred pictures first, then larger ones, then older ones. By their vectors
        the newest `COMPARED` pictures are compared. Clips are left out.
        """
        from studio.search.vectors import groups

        if not 0.5 <= threshold <= 1:
            raise StudioError("The threshold must be from 0.5 to 1.", field="threshold")
        ids, vectors = self._embeddings.newest(user, self._catalog.able(model, "embed").id, COMPARED)
        alike = [[ids[place] for place in group] for group in groups(vectors, threshold)]
        return best_first(self._database, user, alike)

    def map(self, user: str, limit: int = 10_000, *, model: str = "") -> list[Point]:
        """The newest ``limit`` pictures along the two directions in which their vectors differ most (PCA). Alike
        pictures lie close together; not every two that lie close are alike. Clips are left out."""
        from studio.search.vectors import plane

        ids, vectors = self._embeddings.newest(
            user, self._catalog.able(model, "embed").id, max(1, min(limit, COMPARED))
        )
        return [
            Point(id, round(float(x), 5), round(float(y), 5)) for id, (x, y) in zip(ids, plane(vectors), strict=True)
        ]

    # -- inside --------------------------------------------------------------------------------------------------

    async def _unrelated(self, question: _Question) -> NDArray[np.float32] | None:
        """What the words are measured against; None where a search does not stop by itself."""
        if question.everything or question.like or not question.text:
            return None
        try:
            return await self._texts.read(question.model, UNRELATED, CUT_SECONDS)
        except StudioError:
            return None

    async def _look_at(self, question: _Question) -> None:
        """See to it that the pictures of the question have vectors. The same question asked again waits for the same
        job."""
        user, model = question.user, question.model

        def ask() -> str:
            known = self._embeddings.known(question.like, model)
            missing = [id for id in question.like if id not in known]
            for id in missing:
                self._library.source(id, user=user)  # raises for what is not this user's
            if not missing:
                return ""
            request = {"pictures": missing, "model": model}
            key = json.dumps([user, request])
            with self._lock:
                if id := self._asked.get(key):
                    return id
                job = self._jobs.submit("embed", request, user=user, source="search", priority=ASKED_PRIORITY)
                self._asked[key] = job.id
                return job.id

        id = await self._aside(ask) if question.like else ""
        if not id:
            return
        job = await self._jobs.await_end(id, user=user, timeout=WAIT_SECONDS)
        if not job.terminal:
            why = self._jobs.why_waiting(model)
            raise StudioError(
                f"This picture has not been looked at yet, because {why}: search again in a moment; "
                "pictures that have been looked at can be searched by at once.",
                status=503,
            )
        with self._lock:
            self._asked = {key: other for key, other in self._asked.items() if other != id}
        if job.status != "done":
            raise StudioError(job.error or "The search was cancelled: search again.", status=503)

    def _answer(
        self, asked: _Question, words: Sequence[NDArray[np.float32]], unrelated: NDArray[np.float32] | None
    ) -> Found:
        import numpy as np

        parts = []
        if asked.like:
            parts.append(_unit(np.mean(self._seen(asked), 0)))
        if asked.text:
            parts.append(_unit(words[0]))
        if asked.unlike:
            parts.append(-_unit(words[-1]))
        query = np.sum(parts, 0)
        if float(np.linalg.norm(query)) < 1e-3:
            raise _same()

        def suits(batch: Sequence[tuple[str, float]]) -> Iterable[bool]:
            if unrelated is None:
                return [True] * len(batch)
            vectors = self._embeddings.moments([id for id, _ in batch], asked.model, user=asked.user)
            known = [vectors.get(each) for each in batch]
            nowhere = np.zeros_like(query)
            stacked = np.stack([nowhere if vector is None else vector for vector in known])
            return fitting(_unit(words[0]), stacked, unrelated)

        hits = self._hits(_unit(query), asked, suits)
        status = self.status(asked.user, asked.model)
        nothing = NOTHING if unrelated is not None and not hits and status.embedded else ""
        return Found(hits, " ".join(filter(None, (nothing, status.note))), status.embedded, status.total)

    def _hits(
        self,
        query: NDArray[np.float32],
        asked: _Question,
        suits: Callable[[Sequence[tuple[str, float]]], Iterable[bool]],
    ) -> tuple[Hit, ...]:
        """Best first, until there are enough or a whole batch has none that suits."""
        mine = select(AssetRow.id).where(*listed(AssetRow, asked.user), *_passes(asked.narrowed))
        queries = [mine] if asked.narrowed else [mine, select(UploadRow.id).where(*listed(UploadRow, asked.user))]
        best: dict[str, Hit] = {}
        seen = set(asked.like)
        for batch in self._indexes.of(asked.user, asked.model).ranked(query, mine if asked.narrowed else None):
            fresh = {id for id, _, _ in batch} - seen
            with self._database.read() as session:
                there = {
                    id
                    for some in chunks(sorted(fresh))
                    for each in queries
                    for id in session.scalars(each.where(each.selected_columns[0].in_(some)))
                }
            candidates = []
            for id, moment, score in batch:  # the best moment of a clip comes first
                if id in there and id not in seen:
                    seen.add(id)
                    candidates.append((id, moment, score))
            if not candidates:
                continue
            right = list(suits([(id, moment) for id, moment, _ in candidates]))
            for (id, moment, score), suited in zip(candidates, right, strict=True):
                if suited:
                    best[id] = Hit(id, round(score, 6), moment)
                    if len(best) == asked.limit:
                        return tuple(best.values())
            if not any(right):
                break
        return tuple(best.values())

    def _seen(self, asked: _Question) -> list[NDArray[np.float32]]:
        """A unit vector of each picture of the question; of a clip the mean of its moments."""
        import numpy as np

        moments: dict[str, list[NDArray[np.float32]]] = {}
        for (id, _), vector in self._embeddings.moments(asked.like, asked.model, user=asked.user).items():
            moments.setdefault(id, []).append(vector)
        if unread := [id for id in asked.like if id not in moments]:
            name = self._library.source(unread[0], user=asked.user).name
            raise StudioError(f"'{name[:60]}' could not be read: choose another picture.", field="like")
        return [_unit(np.mean(moments[id], 0)) for id in asked.like]

    def _count(self, user: str, model: str) -> tuple[int, int]:
        """`Embeddings.counts`; in a large gallery as of some seconds ago."""
        with self._lock:
            until, counted = self._counts.get((user, model), (0.0, (0, 0)))
        began = time.monotonic()
        if began < until:
            return counted
        counted = self._embeddings.counts(user, model)
        if counted[1] > MANY:
            with self._lock:
                self._counts[user, model] = (rest(began), counted)
        return counted

    def _forget(self, model: str) -> None:
        """Other weights lie under its name now."""
        self._indexes.forget(model)
        self._texts.forget(model)
        with self._lock:
            self._counts.clear()

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _same() -> StudioError:
    return StudioError("What to look for and what to avoid are the same: change one of them.", field="unlike")


def _passes(narrowed: Mapping[str, Any]) -> Iterator[ColumnElement[bool]]:
    for name, value in narrowed.items():
        if name == "since":
            yield AssetRow.created_at >= value
        elif name == "until":
            yield AssetRow.created_at < value
        elif name == "starred":
            yield AssetRow.starred.is_(value)
        else:
            yield getattr(AssetRow, name) == value


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
