"""The side that draws and reads: runs jobs where the weights are."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import select

from studio.capability import Capability, Context, Output, Record
from studio.errors import Cancelled, StudioError, is_poisoned
from studio.models.catalog import Catalog
from studio.models.spec import UNDERSTANDING, PipelineSpec
from studio.settings import Settings
from studio.store.database import Database, JobRow, ResultRow, now
from studio.store.embeddings import Embeddings
from studio.store.gallery import Gallery
from studio.store.library import Library
from studio.store.words import Words
from studio.trust import Trust
from studio.worker.context import JobContext
from studio.worker.messages import Answer, Begun, Done, Failed, Idle, Kept, Ready, Report, Said, Stopped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from studio.models.manager import ModelManager

log = logging.getLogger(__name__)


def find_capabilities(path: str) -> tuple[Capability, ...]:
    """What ``package.module:NAME`` holds."""
    module, _, name = path.partition(":")
    return tuple(getattr(importlib.import_module(module), name))


class Runner:
    """Runs one job at a time. Heavy libraries are imported at the first need of them."""

    def __init__(self, settings: Settings, capabilities: str) -> None:
        self.settings = settings
        self.database = Database(settings)
        self.gallery = Gallery(settings, self.database)
        self.library = Library(settings, self.database, self.gallery)
        self.words = Words(self.database)
        self.embeddings = Embeddings(self.database)
        self.catalog = Catalog(settings)
        self._capabilities = {each.name: each for each in find_capabilities(capabilities)}
        self._trust: Trust | None = None
        self._models: ModelManager | None = None
        self._lock = threading.Lock()

    @property
    def models(self) -> ModelManager:
        with self._lock:  # words are read by another thread than jobs
            if self._models is None:
                from studio.models.manager import ModelManager

                self._models = ModelManager(self.settings, self.catalog)
            return self._models

    def run(self, job_id: str, send: Callable[[Report], None], cancelled: Callable[[], bool]) -> None:
        """Run a leased job to its end and tell what happens: begun, progress, kept, then done, failed or stopped.

        Raises only for a device that is broken beyond this process.
        """
        send(Begun(job_id))
        try:
            notes = self._draw(job_id, send, cancelled)
        except Cancelled:
            send(Stopped(job_id))
        except StudioError as error:
            send(Failed(job_id, error.message, error.field))
        except Exception as error:
            log.exception("job %s", job_id)
            if is_poisoned(error):
                raise
            said = f"Something went wrong inside the studio ({type(error).__name__}: {str(error)[:200]})"
            send(Failed(job_id, f"{said}: the log has the details; try other settings or another model."))
        else:
            send(Done(job_id, notes))

    def command(self, op: str, family: str, send: Callable[[Answer], None]) -> str:
        """Load or unload a family. Returns a sentence when that did not work, else ""."""
        try:
            if op == "unload":
                self.models.unload(family)
            else:

                def loading(done: int, total: int, message: str) -> None:
                    send(Said(message + (f" ({done / total:.0%})" if total else "")))

                loading(0, 0, f"Loading {self.catalog.get(family).name}")
                self.models.load(family, loading)
        except StudioError as error:
            return error.message
        except Exception as error:
            log.exception("%s %s", op, family)
            if is_poisoned(error):
                raise
            return f"The model {family} could not be {op}ed ({type(error).__name__}: {str(error)[:200]})."
        return ""

    def read(self, family: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [texts, d]. Waits for a job that has the model; raises `StudioError` when that cannot be."""
        try:
            spec = PipelineSpec(self.catalog.able(family, "embed").id, UNDERSTANDING)
            return self.models.run(spec, lambda reader: reader.texts(list(texts)))
        except StudioError:
            raise
        except Exception as error:
            log.exception("reading words with %s", family)
            if is_poisoned(error):
                raise
            raise StudioError(
                f"The words could not be read ({type(error).__name__}: {str(error)[:200]}): try other words, "
                "or another model.",
                status=503,
            ) from error

    def ready(self) -> Ready:
        """What is in memory; without models in use nothing is imported to find out."""
        if self._models is None:
            return Ready([], None)
        return Ready(self._models.residents(), self._models.hardware())

    def idle(self, message: str = "") -> Idle:
        known = self.ready()
        return Idle(known.residents, known.hardware, message)

    def is_cancelled(self, job_id: str) -> bool:
        """Ask the database; works across a fork, where no flag in memory does."""
        with self.database.read() as session:
            return bool(session.scalar(select(JobRow.cancel_requested).where(JobRow.id == job_id)))

    def _draw(self, job_id: str, send: Callable[[Report], None], cancelled: Callable[[], bool]) -> list[str]:
        with self.database.read() as session:
            job = session.scalars(select(JobRow).where(JobRow.id == job_id)).one()
            answered = select(ResultRow.index, ResultRow.notes).where(ResultRow.job_id == job_id)
            answers = dict(session.execute(answered.order_by(ResultRow.index)).tuples().all())
        capability = self._capabilities[job.capability]
        context = JobContext(self, job, send, cancelled, frozenset(answers))
        kept = self.gallery.of_job(job_id)  # by an attempt whose worker died
        notes = [note for those in answers.values() for note in those]
        request = capability.request.model_validate(job.request)
        pictures = 0
        with contextlib.closing(as_generator(capability.run(request, cast(Context, context)))) as outputs:
            for output in outputs:
                context.check()
                notes += output.notes
                if isinstance(output, Record):
                    if output.index in answers:
                        continue
                    self._keep_record(output, job)
                    answers[output.index] = list(output.notes)
                else:
                    index, pictures = pictures, pictures + 1
                    if index in kept:
                        continue
                    self._keep_picture(output, index, job)
                send(Kept(job_id))
        return notes

    def _keep_record(self, record: Record, job: JobRow) -> None:
        json.dumps(record.data, allow_nan=False)  # a value that no JSON reader takes must not reach the database
        with self.database.write() as session:
            session.add(
                ResultRow(
                    job_id=job.id,
                    index=record.index,
                    owner=job.owner,
                    data=record.data,
                    notes=list(record.notes),
                    created_at=now(),
                )
            )

    def _keep_picture(self, output: Output, index: int, job: JobRow) -> None:
        self._trust = self._trust or Trust(self.settings)
        released = self._trust.release(output.image, parameters=output.parameters)
        self.gallery.add(
            released,
            owner=job.owner,
            job_id=job.id,
            index=index,
            capability=job.capability,
            family=str(output.parameters.get("model") or job.family),  # a grid may draw with several
            seed=output.seed,
            parameters=released.parameters,
            parents=output.parents,
            notes=output.notes,
            unmarked=output.image if output.parents and released.watermark else None,
        )


def as_generator(outputs: Iterator[Any]) -> Any:
    """``run`` may return any iterator; closing needs a generator."""
    return outputs if hasattr(outputs, "close") else (output for output in outputs)
