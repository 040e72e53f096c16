"""Finding pictures by what is on them: words, other pictures, both; the same twice; all of them on a map.

The server's side of it. Vectors are made by hidden jobs of the worker (``embed``, ``embed-text``) and kept in the
database; one thread here asks for those that are missing. Comparing needs no worker and no torch. numpy and usearch are
imported at the first question, not at the start of the server.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, union_all
from sqlalchemy.exc import SQLAlchemyError

from studio.errors import StudioError
from studio.store.database import AssetRow, Database, EmbeddingRow, JobRow, UploadRow, chunks
from studio.store.files import write_durably

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from studio.jobs import Job, Jobs
    from studio.models.catalog import Catalog
    from studio.search.vectors import Vectors
    from studio.settings import Settings
    from studio.store.library import Library

log = logging.getLogger(__name__)

MOST_PICTURES = 32
"""In one ``embed`` job; fewer where the machine is slow, so that nobody's drawing waits long behind it."""
JOB_SECONDS = 4.0
"""What an ``embed`` job should take at most."""
WAIT_SECONDS = 20.0
"""How long a query waits for the worker to read words, or a picture that has no vector yet."""
ASKED_PRIORITY = 20
"""Of the jobs that a query waits for."""
COMPARED = 50_000
"""Near-duplicates are looked for among this many of the newest pictures: the comparisons grow with the square."""
REMEMBERED_TEXTS = 500
MOST_LETTERS = 2000
MOST_LIKE = 20
VECTOR_MEMORY = 1_000_000_000
"""Bytes of vectors kept between queries, of all owners together."""
START_SECONDS = 1.0
"""What a process was started for goes first."""
GATHER_SECONDS = 0.2
IDLE_SECONDS = 10.0
"""Between two looks for what is missing, when nothing tells of it."""
MANY = 20_000
"""Pictures that are not counted anew at every look."""
BACKLOG = 5000
"""Ids of an owner that are looked up at once."""


@dataclass(frozen=True)
class Hit:
    id: str
    """Of a gallery picture or an upload."""
    score: float
    """Cosine with the query, -1 to 1."""
    time: float
    """Seconds into a clip; 0 for a picture."""


@dataclass(frozen=True)
class Found:
    hits: tuple[Hit, ...]
    note: str
    """What the user should know, such as pictures that cannot be found yet; often empty."""
    embedded: int
    total: int


@dataclass(frozen=True)
class Point:
    """Place of a picture on the map; both from -1 to 1."""

    id: str
    x: float
    y: float


@dataclass(frozen=True)
class Status:
    model: str
    """The family that makes the vectors; empty where none is on this computer."""
    embedded: int
    total: int
    kind: Literal["exact", "approximate"]
    note: str


@dataclass
class _Work:
    """What the thread knows about one model's missing vectors; forgotten at the end of the process."""

    backlog: dict[str, deque[tuple[str, bool]]] = field(default_factory=dict)
    """Owner -> ids, and whether they are clips."""
    unreadable: dict[str, set[str]] = field(default_factory=dict)
    size: int = 8
    """Pictures of the next job."""
    failures: int = 0
    pause_until: float = 0.0
    scan_after: float = 0.0
    error: str = ""


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
        self._folder = settings.data_dir / "index"
        self._database = database
        self._library = library
        self._catalog = catalog
        self._jobs = jobs
        self._exact_limit = exact_limit
        self._lock = threading.RLock()
        self._vectors: OrderedDict[tuple[str, str], Vectors] = OrderedDict()
        self._texts: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()
        self._asked: dict[str, str] = {}
        self._counts: dict[tuple[str, str], tuple[float, tuple[int, int]]] = {}
        self._work: dict[str, _Work] = {}
        self._over: deque[Job] = deque()
        self._checked: set[str] = set()
        self._turn = ""
        self._builder: threading.Thread | None = None
        self._build_after = 0.0
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        jobs.leases.on_finish(self._finished)

    def start(self) -> None:
        """Begin to embed what has no vector of the current model."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="search", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        for thread in (self._thread, self._builder):
            if thread:
                thread.join()

    # -- questions -----------------------------------------------------------------------------------------------

    def find(
        self,
        *,
        user: str,
        text: str = "",
        like: Sequence[str] = (),
        unlike: str = "",
        limit: int = 60,
        model: str = "",
        capability: str | None = None,
        family: str | None = None,
        starred: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Found:
        """Pictures and moments of clips closest to ``text`` plus the pictures ``like`` minus the words ``unlike``.

        Each part is a unit vector (of several pictures their mean), so they weigh the same. The pictures of ``like``
        are not among the hits; of a clip only its best moment is. The filters are those of `Gallery.page`; with one of
        them uploads are left out. Words, and pictures that have no vector yet, wait for the worker, `WAIT_SECONDS` at
        most. Raises `StudioError`: 422 for an empty question, 404 for an unknown picture, 503 while the worker is busy.
        """
        import numpy as np

        text, unlike, like = text.strip(), unlike.strip(), tuple(dict.fromkeys(like))
        if not (text or unlike or like):
            raise StudioError("Say what to look for: write some words or choose a picture.", field="text")
        for name, words in (("text", text), ("unlike", unlike)):
            if len(words) > MOST_LETTERS:
                raise StudioError(f"'{name}' may have at most {MOST_LETTERS} characters; shorten it.", field=name)
        if len(like) > MOST_LIKE:
            raise StudioError(f"At most {MOST_LIKE} pictures can be looked for at once; take some away.", field="like")
        model = self._catalog.able(model, "embed").id
        parts = []
        if like:
            parts.append(_unit(np.mean(self._seen(like, model, user), 0)))
        read = self._read([words for words in (text, unlike) if words], model, user)
        if text:
            parts.append(read[0])
        if unlike:
            parts.append(-read[-1])
        query = np.sum(parts, 0)
        if float(np.linalg.norm(query)) < 1e-3:
            raise StudioError("What to look for and what to avoid are the same: change one of them.", field="unlike")
        filters = {"capability": capability, "family": family, "starred": starred, "since": since, "until": until}
        narrowed = {name: value for name, value in filters.items() if value is not None}
        hits = self._hits(_unit(query), user, model, max(1, min(limit, 500)), set(like), narrowed)
        status = self.status(user, model)
        return Found(hits, status.note, status.embedded, status.total)

    def status(self, user: str, model: str = "") -> Status:
        """How much can be found. What cannot be read does not count. That an index is built again is told once."""
        self._wake.set()
        try:
            usual = self._catalog.default_for("embed").id
            model = self._catalog.able(model, "embed").id
        except StudioError as error:
            return Status("", 0, self._count(user, "")[1], "exact", error.message)
        vectors = self._of(user, model)
        kind = vectors.kind
        embedded, total = self._count(user, model)
        with self._lock:
            work = self._work.get(model, _Work())
            unreadable = set(work.unreadable.get(user, ()))
        lost = len(self._library.there(sorted(unreadable), user=user))
        notes = [vectors.take_note()]
        total = max(total - lost, embedded)
        if embedded < total and model != usual:
            notes.append(
                f"{total - embedded:,} of {total:,} pictures have not been looked at by {model}: "
                f"set STUDIO_SEARCH_MODEL={model} to make it the model of the search."
            )
        elif embedded < total:
            notes.append(f"{total - embedded:,} of {total:,} pictures have not been looked at yet.")
            notes.append(work.error)
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
        ids, vectors = self._newest(user, self._catalog.able(model, "embed").id, COMPARED)
        alike = [[ids[place] for place in group] for group in groups(vectors, threshold)]
        same: dict[str, list[str]] = {}
        files = union_all(
            select(AssetRow.id, AssetRow.sha256).where(*_alive(AssetRow, user)),
            select(UploadRow.id, UploadRow.sha256).where(*_alive(UploadRow, user)),
        ).subquery()
        twice = select(files.c.sha256).group_by(files.c.sha256).having(func.count() > 1)
        with self._database.read() as session:
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

    def map(self, user: str, limit: int = 10_000, *, model: str = "") -> list[Point]:
        """The newest ``limit`` pictures along the two directions in which their vectors differ most (PCA). Alike
        pictures lie close together; not every two that lie close are alike. Clips are left out."""
        from studio.search.vectors import plane

        ids, vectors = self._newest(user, self._catalog.able(model, "embed").id, max(1, min(limit, COMPARED)))
        return [
            Point(id, round(float(x), 5), round(float(y), 5)) for id, (x, y) in zip(ids, plane(vectors), strict=True)
        ]

    # -- inside: questions ---------------------------------------------------------------------------------------

    def _of(self, user: str, model: str) -> Vectors:
        from studio.search.vectors import EXACT_LIMIT, Vectors

        with self._lock:
            known = self._vectors.get((user, model))
            if known is None:
                limit = EXACT_LIMIT if self._exact_limit is None else self._exact_limit
                known = Vectors(self._database, self._folder, user, model, exact_limit=limit)
                self._vectors[user, model] = known
            self._vectors.move_to_end((user, model))
            while len(self._vectors) > 1 and sum(each.bytes for each in self._vectors.values()) > VECTOR_MEMORY:
                self._vectors.popitem(last=False)
        return known

    def _hits(
        self,
        query: NDArray[np.float32],
        user: str,
        model: str,
        limit: int,
        avoided: set[str],
        narrowed: Mapping[str, Any],
    ) -> tuple[Hit, ...]:
        mine = select(AssetRow.id).where(*_alive(AssetRow, user), *_passes(narrowed))
        queries = [mine] if narrowed else [mine, select(UploadRow.id).where(*_alive(UploadRow, user))]
        best: dict[str, Hit] = {}
        for batch in self._of(user, model).ranked(query, mine if narrowed else None):
            fresh = {id for id, _, _ in batch} - best.keys() - avoided
            with self._database.read() as session:
                there = {
                    id
                    for some in chunks(sorted(fresh))
                    for each in queries
                    for id in session.scalars(each.where(each.selected_columns[0].in_(some)))
                }
            for id, moment, score in batch:  # the best moment of a clip comes first
                if id in there and id not in best:
                    best[id] = Hit(id, round(score, 6), moment)
                    if len(best) == limit:
                        return tuple(best.values())
        return tuple(best.values())

    def _seen(self, ids: Sequence[str], model: str, user: str) -> list[NDArray[np.float32]]:
        """A unit vector of each picture; of a clip the mean of its moments."""
        known = self._stored(ids, model, user)
        missing = [id for id in ids if id not in known]
        for id in missing:
            self._library.source(id, user=user)  # raises for what is not this user's
        if missing:
            self._ask("embed", {"pictures": missing, "model": model}, user, "This picture has not been looked at yet")
            known |= self._stored(missing, model, user)
        if unread := [id for id in ids if id not in known]:
            name = self._library.source(unread[0], user=user).name
            raise StudioError(f"'{name[:60]}' could not be read: choose another picture.", field="like")
        return [known[id] for id in ids]

    def _stored(self, ids: Sequence[str], model: str, user: str) -> dict[str, NDArray[np.float32]]:
        import numpy as np

        query = select(EmbeddingRow.picture_id, EmbeddingRow.vector).where(
            EmbeddingRow.picture_id.in_(ids), EmbeddingRow.model == model, EmbeddingRow.owner == user
        )
        moments: dict[str, list[NDArray[np.float32]]] = {}
        with self._database.read() as session:
            for id, vector in session.execute(query):
                moments.setdefault(id, []).append(np.frombuffer(vector, "<f2").astype(np.float32))
        return {id: _unit(np.mean(vectors, 0)) for id, vectors in moments.items()}

    def _read(self, texts: Sequence[str], model: str, user: str) -> list[NDArray[np.float32]]:
        """Unit vectors of texts, from memory or from the worker."""
        import numpy as np

        with self._lock:
            known = {text: self._texts[model, text] for text in texts if (model, text) in self._texts}
        if missing := [text for text in dict.fromkeys(texts) if text not in known]:
            [record] = self._ask(
                "embed-text", {"texts": missing, "model": model}, user, "The words have not been read yet"
            )
            known |= {
                text: _unit(np.array(vector, np.float32))
                for text, vector in zip(missing, record["vectors"], strict=True)
            }
        with self._lock:
            for text in texts:
                self._texts[model, text] = known[text]
                self._texts.move_to_end((model, text))
            while len(self._texts) > REMEMBERED_TEXTS:
                self._texts.popitem(last=False)
        return [known[text] for text in texts]

    def _ask(self, capability: str, request: dict[str, Any], user: str, waiting: str) -> Sequence[dict[str, Any]]:
        """Results of a job that goes before all others. The same question asked again waits for the same job."""
        key = json.dumps([user, capability, request])
        with self._lock:
            id = self._asked.get(key)
        if id is None:
            id = self._jobs.submit(capability, request, user=user, source="search", priority=ASKED_PRIORITY).id
            with self._lock:
                self._asked[key] = id
        job = self._jobs.wait(id, user=user, timeout=WAIT_SECONDS)
        if not job.terminal:
            when = f" (about {job.eta_seconds:.0f} s more)" if job.eta_seconds else ""
            why = "the model is being loaded" if job.status == "running" else "the studio is busy with another job"
            raise StudioError(
                f"{waiting}, because {why}{when}: search again in a moment; "
                "pictures that have been looked at can be searched by at once.",
                status=503,
            )
        with self._lock:
            self._asked.pop(key, None)
        if job.status != "done":
            raise StudioError(job.error or "The search was cancelled: search again.", status=503)
        return self._jobs.results(id, user=user)

    def _newest(self, user: str, model: str, limit: int) -> tuple[list[str], NDArray[np.float32]]:
        """Ids and unit vectors [n, d] of pictures, newest vectors first."""
        import numpy as np

        pictures = [
            exists().where(table.id == EmbeddingRow.picture_id, *_alive(table, user), *more)
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

    def _count(self, user: str, model: str) -> tuple[int, int]:
        """Pictures and clips that have a vector, and all of them. In a large gallery as of some seconds ago."""
        with self._lock:
            until, counted = self._counts.get((user, model), (0.0, (0, 0)))
        began = time.monotonic()
        if began < until:
            return counted
        embedded = total = 0
        with self._database.read() as session:
            for table in (AssetRow, UploadRow):
                everything = select(func.count()).select_from(table).where(*_alive(table, user))
                total += session.scalar(everything) or 0
                embedded += session.scalar(everything.where(_has_vector(table, model))) or 0
        if total > MANY:
            with self._lock:
                self._counts[user, model] = (_rest(began), (embedded, total))
        return embedded, total

    # -- inside: what is missing ---------------------------------------------------------------------------------

    def _finished(self, job: Job) -> None:
        """Called by the queue for every job that is over."""
        if job.capability == "embed" or job.asset_ids:
            self._over.append(job)
            self._wake.set()

    def _run(self) -> None:
        if self._stop.wait(START_SECONDS):
            return
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self._round()
            except StudioError as error:  # no model is here, the disk is full ...: later perhaps
                log.info("search: %s", error.message)
            except (SQLAlchemyError, OSError):
                log.exception("search")
            self._wake.wait(IDLE_SECONDS)
            self._stop.wait(GATHER_SECONDS)

    def _round(self) -> None:
        """Take in what is over, ask for the next pictures, start the next build."""
        self._build_next()
        model = self._catalog.default_for("embed").id
        with self._lock:
            work = self._work.setdefault(model, _Work())
        while self._over:
            job = self._over.popleft()
            if job.capability == "embed":
                self._settle(job)
            else:
                work.backlog.setdefault(job.owner, deque()).extendleft((id, False) for id in job.asset_ids)
        self._check_weights(model)
        active = select(JobRow.id).where(JobRow.capability == "embed", JobRow.status.in_(("queued", "running")))
        with self._database.read() as session:
            if time.monotonic() < work.pause_until or session.scalar(active.limit(1)):
                return
        if not any(work.backlog.values()):
            self._scan(model, work)
        for owner in _from(self._turn, work.backlog):
            if ids := self._take(owner, model, work):
                self._turn = owner
                try:
                    self._jobs.submit("embed", {"pictures": ids, "model": model}, user=owner, source="search")
                except StudioError as error:
                    self._pause(work, error.message)
                return

    def _settle(self, job: Job) -> None:
        """Learn from an ``embed`` job how many pictures the next may have, and what cannot be read."""
        ids: list[str] = job.request["pictures"]
        with self._lock:
            work = self._work.setdefault(job.request["model"], _Work())
        known = self._with_vector(ids, job.request["model"])
        if job.status == "done":
            work.failures, work.error = 0, ""
            if job.seconds and (len(ids) >= work.size or (len(ids) > 1 and job.seconds > JOB_SECONDS)):
                pace = min(max(JOB_SECONDS / job.seconds, 0.25), 2.0)
                work.size = min(max(round(len(ids) * pace), 1), MOST_PICTURES)
        elif job.status == "failed":
            work.size = max(len(ids) // 4, 1)
            self._pause(work, job.error or "")
        if job.status == "done" or (job.status == "failed" and len(ids) == 1):
            with self._lock:
                work.unreadable.setdefault(job.owner, set()).update(set(ids) - known)
        work.scan_after = 0.0

    def _pause(self, work: _Work, error: str) -> None:
        work.failures += 1
        work.error = error
        work.pause_until = time.monotonic() + min(5.0 * 2**work.failures, 600.0)

    def _scan(self, model: str, work: _Work) -> None:
        """Find what has no vector yet, newest first, clips last."""
        began = time.monotonic()
        if began < work.scan_after:
            return
        work.backlog = {}
        for owner in self._owners():
            lost = work.unreadable.get(owner, set())
            found: list[tuple[str, bool]] = []
            with self._database.read() as session:
                for table, kind in ((AssetRow, None), (UploadRow, "picture"), (UploadRow, "clip")):
                    query = select(table.id).where(*_alive(table, owner), ~_has_vector(table, model))
                    if table is UploadRow:
                        query = query.where(UploadRow.kind == kind)
                    newest = query.order_by(table.created_at.desc()).limit(BACKLOG + len(lost))
                    found += [(id, kind == "clip") for id in session.scalars(newest) if id not in lost]
            if found:
                work.backlog[owner] = deque(found)
        work.scan_after = _rest(began)

    def _owners(self) -> list[str]:
        """Everybody who has pictures; one step in the index for each, however many pictures there are."""
        owners: set[str] = set()
        with self._database.read() as session:
            for table in (AssetRow, UploadRow):
                last = session.scalar(select(func.min(table.owner)))
                while last is not None:
                    owners.add(last)
                    last = session.scalar(select(func.min(table.owner)).where(table.owner > last))
        return sorted(owners)

    def _take(self, owner: str, model: str, work: _Work) -> list[str]:
        """The next ids of an owner: pictures together, a clip alone."""
        queue = work.backlog.get(owner, deque())
        while queue:
            some = [queue.popleft()]
            while queue and not some[0][1] and not queue[0][1] and len(some) < work.size:
                some.append(queue.popleft())
            ids = list(dict.fromkeys(id for id, _ in some))
            wanted = self._library.there(ids, user=owner) - self._with_vector(ids, model)
            if wanted:
                return [id for id in ids if id in wanted]
        return []

    def _with_vector(self, ids: Sequence[str], model: str) -> set[str]:
        query = select(EmbeddingRow.picture_id).where(EmbeddingRow.model == model, EmbeddingRow.picture_id.in_(ids))
        with self._database.read() as session:
            return set(session.scalars(query))

    def _check_weights(self, model: str) -> None:
        """Vectors of other weights under the same name compare with nothing: forget them, and they are made again."""
        if model in self._checked:
            return
        file = self._folder / "models.json"
        try:
            known = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError):
            known = {}
        known = known if isinstance(known, dict) else {}
        mark = _fingerprint(self._catalog.location(model))
        if known.get(model, mark) != mark:
            log.info("search: %s has other weights now; all pictures are looked at again", model)
            with self._database.write() as session:
                session.execute(delete(EmbeddingRow).where(EmbeddingRow.model == model))
            with self._lock:
                for held in (self._vectors, self._texts, self._counts):
                    for key in [key for key in held if model in key]:
                        del held[key]
        if known.get(model) != mark:
            write_durably(file, json.dumps(known | {model: mark}, indent=1).encode())
        self._checked.add(model)

    # -- inside: the approximate index ---------------------------------------------------------------------------

    def _build_next(self) -> None:
        if (self._builder and self._builder.is_alive()) or time.monotonic() < self._build_after:
            return
        with self._lock:
            wanted = next((each for each in self._vectors.values() if each.wants_build), None)
        if wanted:
            self._builder = threading.Thread(target=self._build, args=(wanted,), name="search-index", daemon=True)
            self._builder.start()

    def _build(self, vectors: Vectors) -> None:
        try:
            vectors.build(self._stop)
        except Exception:  # a full disk, most likely; until then queries read the table
            log.exception("the search index could not be built")
            self._build_after = time.monotonic() + 600
        self._wake.set()


def _alive(table: type[AssetRow] | type[UploadRow], user: str) -> tuple[ColumnElement[bool], ...]:
    listed = (UploadRow.purpose == "picture",) if table is UploadRow else ()
    return table.owner == user, table.deleted_at.is_(None), *listed


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


def _has_vector(table: type[AssetRow] | type[UploadRow], model: str) -> ColumnElement[bool]:
    return exists().where(EmbeddingRow.picture_id == table.id, EmbeddingRow.model == model)


def _joined(sets: Iterable[Sequence[str]]) -> list[list[str]]:
    """Groups that share a member made one."""
    of: dict[str, list[str]] = {}
    for each in sets:
        together = list(dict.fromkeys(id for member in each for id in of.get(member, (member,))))
        of.update(dict.fromkeys(together, together))
    return list({id(group): group for group in of.values()}.values())


def _from(turn: str, owners: Iterable[str]) -> list[str]:
    """Owners in their order, beginning after the one whose turn it was."""
    return sorted(owners, key=lambda owner: (owner <= turn, owner))


def _rest(began: float) -> float:
    """When a query that took from ``began`` till now may be made again: a slow one gets a twentieth of the time."""
    moment = time.monotonic()
    return moment + min(20 * (moment - began), 60.0)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)


def _fingerprint(folder: Path) -> str:
    """Of the files that decide what a model says: names, sizes, and the first and last megabyte of each."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".safetensors", ".json", ".txt")):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(1_000_000))
            if size > 1_000_000:
                file.seek(max(size - 1_000_000, 1_000_000))
                digest.update(file.read())
    return digest.hexdigest()
