"""The process that owns one accelerator and runs jobs, and the supervisor that keeps it alive.

`Supervisor` lives in the server and imports no torch. It starts ``python -m studio.worker`` and talks to it over the
child's stdin and stdout in frames: two big-endian 32-bit lengths, a JSON header, bytes (a preview, or none). The end of
that pipe, or the death of the server, ends the child. `InProcessExecutor` is the same contract inside one process.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, cast

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from studio.capability import Capability, Context, Output, Record, Source
from studio.errors import Cancelled, StudioError
from studio.models.catalog import Catalog
from studio.models.families import Hardware
from studio.settings import ROOT, Settings
from studio.store.database import Database, JobRow, ResultRow, now
from studio.store.gallery import Gallery
from studio.store.library import Library
from studio.store.words import Words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from studio.jobs import Jobs
    from studio.models.manager import ModelManager
    from studio.trust import Trust

log = logging.getLogger(__name__)

Send = Callable[[dict[str, Any], bytes], None]
PREVIEW_SIDE = 384
PREVIEW_EVERY = 0.1
"""Seconds between previews: faster than the eye wants them, they only cost time."""
BEAT_EVERY = 1.0
POISONED = 70
"""Exit code after a device error that only a new process gets rid of."""


@dataclass(frozen=True)
class ResidentModel:
    """One family whose weights are in memory: what `studio.models.manager.Resident` says, as the server knows it."""

    family: str
    bytes: int
    device: str
    last_used: float
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class WorkerState:
    status: Literal["starting", "ready", "busy", "stopped"]
    pid: int | None = None
    device: str = ""
    hardware: Hardware | None = None
    residents: tuple[ResidentModel, ...] = ()
    message: str = ""
    """One sentence for the user when there is something to say: a model being loaded, a worker that does not start."""
    last_beat: float | None = None
    """``time.time()`` of the last sign of life."""
    restarts: int = 0


class Executor(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None:
        """Come to rest; a job that was running is given back to the queue."""
        ...

    def submitted(self) -> None:
        """There is something in the queue."""
        ...

    def cancel(self, job_id: str) -> None:
        """Stop a running job at its next step."""
        ...

    def command(self, op: Literal["load", "unload"], family: str) -> None:
        """Load or unload a family between two jobs; `state` tells how it goes."""
        ...

    def state(self) -> WorkerState: ...


def find_capabilities(path: str) -> tuple[Capability, ...]:
    """What ``package.module:NAME`` holds."""
    module, _, name = path.partition(":")
    return tuple(getattr(importlib.import_module(module), name))


# -- the side that draws -------------------------------------------------------------------------------------------


class Runner:
    """Runs one job at a time where the accelerator is. Heavy libraries are imported at the first need of them."""

    def __init__(self, settings: Settings, capabilities: str) -> None:
        self.settings = settings
        self.database = Database(settings)
        self.gallery = Gallery(settings, self.database)
        self.library = Library(settings, self.database, self.gallery)
        self.words = Words(self.database)
        self.catalog = Catalog(settings)
        self._capabilities = {each.name: each for each in find_capabilities(capabilities)}
        self._trust: Trust | None = None

    @cached_property
    def models(self) -> ModelManager:
        from studio.models.manager import ModelManager

        return ModelManager(self.settings, self.catalog)

    def run(self, job_id: str, send: Send, cancelled: Callable[[], bool]) -> None:
        """Run a leased job to its end and tell what happens: progress, output, then done, failed or cancelled.

        Raises only for a device that is broken beyond this process.
        """
        try:
            notes = self._draw(job_id, send, cancelled)
        except Cancelled:
            send({"type": "cancelled", "id": job_id}, b"")
        except StudioError as error:
            send({"type": "failed", "id": job_id, "error": error.message, "field": error.field}, b"")
        except Exception as error:
            log.exception("job %s", job_id)
            if _is_poisoned(error):
                raise
            said = f"Something went wrong inside the studio ({type(error).__name__}: {str(error)[:200]})"
            fix = "the log has the details; try other settings or another model"
            send({"type": "failed", "id": job_id, "error": f"{said}: {fix}.", "field": None}, b"")
        else:
            send({"type": "done", "id": job_id, "notes": notes}, b"")

    def command(self, op: str, family: str, send: Send) -> str:
        """Load or unload a family. Returns a sentence when that did not work, else ""."""
        try:
            if op == "unload":
                self.models.unload(family)
            else:

                def loading(done: int, total: int, message: str) -> None:
                    share = f" ({done / total:.0%})" if total else ""
                    send({"type": "state", "message": message + share}, b"")

                loading(0, 0, f"Loading {self.catalog.get(family).name}")
                self.models.load(family, loading)
        except StudioError as error:
            return error.message
        except Exception as error:
            log.exception("%s %s", op, family)
            if _is_poisoned(error):
                raise
            return f"The model {family} could not be {op}ed ({type(error).__name__}: {str(error)[:200]})."
        return ""

    def residency(self) -> dict[str, Any]:
        """What the accelerator holds, for `WorkerState`; without models in use nothing is imported to find out."""
        if "models" not in self.__dict__:
            return {"residents": [], "hardware": None}
        residents = [
            asdict(ResidentModel(each.family, each.bytes, each.device, each.last_used, tuple(each.tasks)))
            for each in self.models.residents()
        ]
        return {"residents": residents, "hardware": asdict(self.models.hardware())}

    def is_cancelled(self, job_id: str) -> bool:
        """Ask the database; works across a fork, where no flag in memory does."""
        with self.database.read() as session:
            return bool(session.scalar(select(JobRow.cancel_requested).where(JobRow.id == job_id)))

    def _draw(self, job_id: str, send: Send, cancelled: Callable[[], bool]) -> list[str]:
        with self.database.read() as session:
            job = session.scalars(select(JobRow).where(JobRow.id == job_id)).one()
            answered = select(ResultRow.index, ResultRow.notes).where(ResultRow.job_id == job_id)
            answers = dict(session.execute(answered.order_by(ResultRow.index)).tuples().all())
        capability = self._capabilities[job.capability]
        context = _JobContext(self, job, send, cancelled, frozenset(answers))
        kept = self.gallery.of_job(job_id)  # by an attempt whose worker died
        notes = [note for those in answers.values() for note in those]
        request = capability.request.model_validate(job.request)
        pictures = 0
        with contextlib.closing(_as_generator(capability.run(request, cast(Context, context)))) as outputs:
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
                send({"type": "output", "id": job_id}, b"")
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
        from studio.trust import Trust

        self._trust = self._trust or Trust(self.settings)
        released = self._trust.release(output.image, parameters=output.parameters)
        self.gallery.add(
            released,
            owner=job.owner,
            job_id=job.id,
            index=index,
            capability=job.capability,
            family=job.family,
            seed=output.seed,
            parameters=released.parameters,
            parents=output.parents,
            notes=output.notes,
        )


class _JobContext:
    """The `Context` of one job; ``models`` is a property, so that torch is imported at its first use."""

    def __init__(
        self, runner: Runner, job: JobRow, send: Send, cancelled: Callable[[], bool], kept: frozenset[int]
    ) -> None:
        self._runner = runner
        self._job = job
        self._send = send
        self._cancelled = cancelled
        self._previewed = 0.0
        self.settings = runner.settings
        self.catalog = runner.catalog
        self.kept = kept
        self.words = runner.words.of(job.owner)

    @property
    def models(self) -> ModelManager:
        return self._runner.models

    def source(self, id: str) -> Source:
        return self._runner.library.source(id, user=self._job.owner)

    def picture(self, id: str) -> Image:
        return self._runner.library.picture(id, user=self._job.owner)

    def file(self, id: str) -> Path:
        return self._runner.library.file(id, user=self._job.owner)

    def keep_vectors(self, model: str, vectors: Mapping[tuple[str, float], NDArray[np.float32]]) -> None:
        self._runner.library.keep_vectors(model, vectors, user=self._job.owner)

    def check(self) -> None:
        if self._cancelled():
            raise Cancelled

    def progress(self, step: int, steps: int, preview: Image | None = None, message: str = "") -> None:
        self.check()
        blob = b""
        if preview is not None and time.monotonic() - self._previewed >= PREVIEW_EVERY:
            self._previewed = time.monotonic()
            blob = _small_webp(preview)
        self._send({"type": "progress", "id": self._job.id, "step": step, "steps": steps, "message": message}, blob)


def _as_generator(outputs: Iterator[Any]) -> Any:
    """``run`` may return any iterator; closing needs a generator."""
    return outputs if hasattr(outputs, "close") else (output for output in outputs)


def _small_webp(image: Image) -> bytes:
    small = image.convert("RGB")
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=75, method=0)
    return buffer.getvalue()


def _is_poisoned(error: Exception) -> bool:
    """A device error after which every further call in this process fails: not running out of memory."""
    name = type(error).__name__
    return name == "AcceleratorError" or ("CUDA error" in str(error) and "OutOfMemory" not in name)


# -- frames ----------------------------------------------------------------------------------------------------------


def _write_frame(pipe: IO[bytes], header: dict[str, Any], blob: bytes = b"") -> None:
    text = json.dumps(header).encode()
    pipe.write(struct.pack(">II", len(text), len(blob)) + text + blob)
    pipe.flush()


def _read_frame(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next frame; None at the end of the pipe, also in the middle of a frame."""
    lengths = pipe.read(8)
    if len(lengths) < 8:
        return None
    size, extra = struct.unpack(">II", lengths)
    text, blob = pipe.read(size), pipe.read(extra)
    return (json.loads(text), blob) if len(text) == size and len(blob) == extra else None


# -- the child -------------------------------------------------------------------------------------------------------


def main() -> None:
    """``python -m studio.worker``: started by `Supervisor` only."""
    commands, reports = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # whatever prints must not break a frame
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the server, which ends the pipe
    first = _read_frame(commands)
    if first is None:
        return
    start = first[0]
    _die_with_parent(start["parent"])
    if hasattr(os, "nice"):
        os.nice(5)  # the page, the API and whatever else runs on this computer answer first
    sys.path[:] = start["path"]
    logging.basicConfig(level=start["log_level"], format="%(asctime)s worker %(levelname)s %(name)s: %(message)s")
    writing = threading.Lock()

    def send(header: dict[str, Any], blob: bytes = b"") -> None:
        try:
            with writing:
                _write_frame(reports, header, blob)
        except OSError:
            os._exit(0)  # the server is gone

    try:
        runner = Runner(Settings(**start["settings"]), start["capabilities"])
        if start["warm"]:
            runner.models.hardware()  # imports torch and finds the device
    except Exception as error:
        log.exception("the worker cannot start")
        send({"type": "fatal", "error": f"{type(error).__name__}: {str(error)[:300]}"})
        sys.exit(1)

    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    cancelled: set[str] = set()

    def listen() -> None:
        while frame := _read_frame(commands):
            if frame[0]["type"] == "cancel":
                cancelled.add(frame[0]["id"])
            else:
                tasks.put(frame[0])
        os._exit(0)

    def beat() -> None:
        while True:
            time.sleep(BEAT_EVERY)
            send({"type": "beat"})

    threading.Thread(target=listen, daemon=True).start()
    threading.Thread(target=beat, daemon=True).start()
    send({"type": "ready", **runner.residency()})
    while True:
        task = tasks.get()
        try:
            if task["type"] == "run":
                id = task["id"]
                runner.run(id, send, lambda id=id: id in cancelled)
                cancelled.discard(id)
                send({"type": "idle", "message": "", **runner.residency()})
            else:
                message = runner.command(task["type"], task["family"], send)
                send({"type": "idle", "message": message, **runner.residency()})
        except Exception:
            log.exception("the device is broken: a new worker takes over")
            os._exit(POISONED)


def _die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when the server dies; elsewhere the end of the pipe does it."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(0)


# -- the server's side -----------------------------------------------------------------------------------------------


class Supervisor:
    """One worker process: started, watched, replaced. One thread decides; `state` may be read anywhere."""

    def __init__(
        self,
        settings: Settings,
        jobs: Jobs,
        *,
        capabilities: str,
        preload: bool = True,
        hang_seconds: float = 120.0,
        first_step_seconds: float = 600.0,
        backoff: tuple[float, ...] = (0.0, 1.0, 5.0, 15.0, 60.0),
    ) -> None:
        """``preload`` imports torch and loads the default family before anyone asks. A worker is replaced when a job
        makes no step for max(``hang_seconds``, 20 median steps), or for ``first_step_seconds`` before its second step.
        ``backoff`` holds the seconds before each new start while none succeeds."""
        self._settings = settings
        self._jobs = jobs
        self._capabilities = capabilities
        self._preload = preload
        self._hang_seconds = hang_seconds
        self._first_step_seconds = first_step_seconds
        self._backoff = backoff
        self._inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._state = WorkerState("stopped")
        self._process: subprocess.Popen[bytes] | None = None
        self._commands: deque[tuple[str, str]] = deque()
        self._job_id: str | None = None
        self._heard_at = 0.0
        self._look_at = 0.0
        self._start_at = 0.0
        self._deaths = 0
        self._failed_starts = 0
        self._commanded = False
        self._fatal = ""
        self._reason = ""
        self._unsettled: deque[Callable[[], None]] = deque()
        """Ends of jobs that the database does not know yet; they are tried again until it does."""

    def start(self) -> None:
        self._state = WorkerState("starting")
        self._thread = threading.Thread(target=self._main, name="supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread:
            self._inbox.put(("stop", None))
            self._thread.join()
            self._thread = None

    def submitted(self) -> None:
        self._inbox.put(("submitted", None))

    def cancel(self, job_id: str) -> None:
        self._inbox.put(("cancel", job_id))

    def command(self, op: Literal["load", "unload"], family: str) -> None:
        self._inbox.put(("command", (op, family)))

    def state(self) -> WorkerState:
        return self._state

    def _main(self) -> None:
        going = True
        while going:
            try:
                what, value = self._inbox.get(timeout=0.25)
            except queue.Empty:
                what, value = "", None
            try:
                going = what != "stop"
                self._take(what, value)
                self._settle()
                if going:
                    self._watch()
                    self._work()
            except Exception:  # a full disk, a busy database: the supervisor outlives them all
                log.exception("supervisor")
                time.sleep(0.25)
        self._end_process()
        if self._job_id:
            with contextlib.suppress(SQLAlchemyError):  # else the next start finds it
                self._jobs.give_back(self._job_id)
            self._job_id = None
        self._state = WorkerState("stopped", restarts=self._state.restarts)

    def _take(self, what: str, value: Any) -> None:
        if what == "frame" and value[0] is self._process:
            self._heard(*value[1:])
        elif what == "end" and value is self._process:
            self._died()
        elif what == "submitted":
            self._look_at = 0.0
        elif what == "cancel" and value == self._job_id:
            self._send({"type": "cancel", "id": value})
        elif what == "command":
            self._commands.append(value)

    def _heard(self, header: dict[str, Any], blob: bytes) -> None:
        kind = header["type"]
        self._state = replace(self._state, last_beat=time.time())
        if self._job_id is None or header.get("id") == self._job_id:
            self._heard_at = time.monotonic()
        if kind in ("ready", "idle", "state"):
            self._note(header)
        if kind == "ready":
            if self._failed_starts >= 3:
                self._state = replace(self._state, message="")
            self._failed_starts = 0
            self._become("ready")
            if self._preload:  # once: if it kills the worker, the next one starts without
                self._preload = False
                self._commands.append(("load", self._settings.default_family))
        elif kind == "idle":
            self._deaths, self._commanded = 0, False
            self._become("ready")
        elif kind == "fatal":
            self._fatal = header["error"]
        elif header.get("id") == self._job_id and self._job_id:
            end = _relay(self._jobs, header, blob)
            if end:
                self._unsettled.append(end)
                self._job_id = None

    def _note(self, header: dict[str, Any]) -> None:
        changes: dict[str, Any] = {"message": header.get("message", self._state.message)}
        if "residents" in header:
            changes["residents"] = tuple(
                ResidentModel(**{**each, "tasks": tuple(each["tasks"])}) for each in header["residents"]
            )
        if header.get("hardware"):
            changes["hardware"] = Hardware(**header["hardware"])
            changes["device"] = header["hardware"]["device"]
        self._state = replace(self._state, **changes)

    def _become(self, status: Literal["starting", "ready", "busy", "stopped"]) -> None:
        self._state = replace(self._state, status=status)
        self._look_at = 0.0

    def _settle(self) -> None:
        while self._unsettled:
            self._unsettled[0]()
            self._unsettled.popleft()

    def _watch(self) -> None:
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._start_process()
        elif not self._reason:
            patience = self._patience()
            if time.monotonic() - self._heard_at > patience:
                self._reason = f"The worker made no progress for {patience:.0f} seconds"
                log.warning("%s: it is replaced", self._reason)
                self._process.kill()

    def _patience(self) -> float:
        """Seconds of silence, of its job or else of its heartbeat, after which the worker counts as hung."""
        if self._state.status == "starting":
            return self._first_step_seconds
        if self._job_id is None:
            return self._hang_seconds
        pace = self._jobs.step_seconds(self._job_id)
        return self._first_step_seconds if pace is None else max(self._hang_seconds, 20 * pace)

    def _work(self) -> None:
        if self._state.status != "ready" or self._unsettled:
            return
        if self._commands:
            op, family = self._commands.popleft()
            self._commanded = True
            self._become("busy")
            self._send({"type": op, "family": family})
        elif time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + 5.0
            job = self._jobs.lease()
            if job:
                self._job_id, self._heard_at, self._reason = job.id, time.monotonic(), ""
                self._become("busy")
                self._send({"type": "run", "id": job.id})

    def _start_process(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        process = subprocess.Popen(
            [sys.executable, "-m", "studio.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._process, self._fatal, self._reason, self._heard_at = process, "", "", time.monotonic()
        self._state = replace(self._state, status="starting", pid=process.pid, residents=())
        self._send(
            {
                "type": "start",
                "parent": os.getpid(),
                "path": sys.path,
                "settings": self._settings.model_dump(mode="json"),
                "capabilities": self._capabilities,
                "warm": self._preload or self._state.hardware is not None,
                "log_level": log.getEffectiveLevel(),
            }
        )
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        with process.stdout:
            while frame := _read_frame(process.stdout):
                self._inbox.put(("frame", (process, *frame)))
        self._inbox.put(("end", process))

    def _send(self, header: dict[str, Any]) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError):  # it is dying; the end of its pipe says so
                _write_frame(self._process.stdin, header)

    def _died(self) -> None:
        code = self._end_process()
        self._failed_starts += self._state.status == "starting"
        killed = code in (-9, 137)  # by the kernel, or by hand
        reason = self._reason or ("The worker was killed (memory may have run out)" if killed else "The worker stopped")
        log.warning("%s with exit code %s", reason, code)
        self._deaths += 1
        delay = self._backoff[min(self._deaths, len(self._backoff)) - 1]
        self._start_at = time.monotonic() + delay
        message = ""
        if self._commanded:
            self._commanded = False
            message = f"{reason} while it loaded a model: choose a smaller one, or unload another first."
        elif self._failed_starts >= 3:
            cause = f" ({self._fatal})" if self._fatal else ""
            message = f"The worker does not start{cause}: read its log, mend the cause, and it is tried again."
        self._state = replace(
            self._state, status="starting", pid=None, residents=(), message=message, restarts=self._state.restarts + 1
        )
        if self._job_id:
            self._unsettled.append(partial(self._jobs.lost, self._job_id, reason))
            self._job_id = None

    def _end_process(self) -> int | None:
        """Close the pipe, which ends the child at once, and make sure that it did."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.stdin:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            return process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _relay(jobs: Jobs, header: dict[str, Any], blob: bytes) -> Callable[[], None] | None:
    """Pass on what the drawing side reports; returns how to end the job once that is the report."""
    kind, id = header["type"], header["id"]
    if kind == "progress":
        jobs.progress(id, header["step"], header["steps"], header["message"], blob or None)
    elif kind == "output":
        jobs.output(id)
    elif kind == "done":
        return partial(jobs.done, id, header["notes"])
    elif kind == "failed":
        return partial(jobs.fail, id, header["error"], header["field"])
    elif kind == "cancelled":
        return partial(jobs.cancelled, id)
    return None


# -- one process -----------------------------------------------------------------------------------------------------


class InProcessExecutor:
    """The same contract in this process, for ZeroGPU Spaces, where only a decorated function may use the accelerator.

    A hang cannot be ended here, and a crash takes the server along; the next start runs the job again.
    """

    def __init__(self, settings: Settings, jobs: Jobs, *, capabilities: str, preload: bool = True) -> None:
        self._settings = settings
        self._jobs = jobs
        self._capabilities = capabilities
        self._preload = preload
        self._wake = threading.Event()
        self._stopping = False
        self._commands: deque[tuple[str, str]] = deque([("load", settings.default_family)] if preload else [])
        self._thread: threading.Thread | None = None
        self._state = WorkerState("stopped")

    def start(self) -> None:
        self._state = WorkerState("starting", pid=os.getpid())
        self._stopping = False
        self._thread = threading.Thread(target=self._main, name="executor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    def submitted(self) -> None:
        self._wake.set()

    def cancel(self, job_id: str) -> None:
        """Nothing to send: the running job asks the database at each step."""

    def command(self, op: Literal["load", "unload"], family: str) -> None:
        self._commands.append((op, family))
        self._wake.set()

    def state(self) -> WorkerState:
        return replace(self._state, last_beat=time.time())

    def _main(self) -> None:
        global _runner
        _runner = runner = Runner(self._settings, self._capabilities)
        stream = _on_accelerator(_stream)
        self._state = replace(self._state, status="ready")
        while not self._stopping:
            try:
                if not self._once(runner, stream):
                    self._wake.wait(5.0)
                    self._wake.clear()
            except Exception:
                log.exception("executor")
                time.sleep(0.25)
        runner.database.engine.dispose()
        self._state = WorkerState("stopped")

    def _once(self, runner: Runner, stream: Callable[[str], Iterator[tuple[dict[str, Any], bytes]]]) -> bool:
        if self._commands:
            op, family = self._commands.popleft()
            self._state = replace(self._state, status="busy")
            self._rest(runner, runner.command(op, family, lambda header, _: self._say(header["message"])))
            return True
        job = self._jobs.lease()
        if job is None:
            return False
        self._state = replace(self._state, status="busy")
        end: Callable[[], None] | None = None
        try:
            with contextlib.closing(_as_generator(stream(job.id))) as reports:
                for header, blob in reports:
                    end = _relay(self._jobs, header, blob)
                    if self._stopping and end is None:
                        break
        except Exception:
            log.exception("job %s", job.id)
            end = partial(self._jobs.fail, job.id, "The accelerator is in a broken state: restart the studio.")
        end = end or partial(self._jobs.give_back, job.id)
        while True:
            try:
                end()
                break
            except SQLAlchemyError:
                log.exception("job %s", job.id)
                if self._stopping:
                    break
                time.sleep(1.0)
        self._rest(runner, "")
        return True

    def _say(self, message: str) -> None:
        self._state = replace(self._state, message=message)

    def _rest(self, runner: Runner, message: str) -> None:
        known = runner.residency()
        self._state = replace(
            self._state,
            status="ready",
            message=message,
            residents=tuple(ResidentModel(**each) for each in known["residents"]),
            hardware=Hardware(**known["hardware"]) if known["hardware"] else None,
            device=known["hardware"]["device"] if known["hardware"] else "",
        )


_runner: Runner | None = None
"""Of the `InProcessExecutor`: ZeroGPU calls `_stream` in a fork, which sees globals but takes only plain arguments."""


def _stream(job_id: str) -> Iterator[tuple[dict[str, Any], bytes]]:
    """What `Runner.run` reports, as a generator; closing it stops the job at its next step."""
    assert _runner
    runner = _runner
    reports: queue.SimpleQueue[tuple[dict[str, Any], bytes] | Exception | None] = queue.SimpleQueue()
    closed = threading.Event()

    def draw() -> None:
        try:
            runner.run(
                job_id, lambda *report: reports.put(report), lambda: closed.is_set() or runner.is_cancelled(job_id)
            )
            reports.put(None)
        except Exception as error:
            reports.put(error)

    thread = threading.Thread(target=draw, name="draw", daemon=True)
    thread.start()
    try:
        while (report := reports.get()) is not None:
            if isinstance(report, Exception):
                raise report
            yield report
    finally:
        closed.set()
        thread.join()


def _on_accelerator(function: Callable[[str], Iterator[Any]]) -> Callable[[str], Iterator[Any]]:
    """Mark what needs the accelerator, where the ``spaces`` package asks for it."""
    try:
        spaces = importlib.import_module("spaces")
    except ImportError:
        return function
    return spaces.GPU(duration=120)(function)
