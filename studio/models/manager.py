"""The only place that loads, moves, patches or evicts weights. It lives in the worker."""

from __future__ import annotations

import gc
import logging
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from studio.errors import StudioError
from studio.models import loading
from studio.models.catalog import Catalog
from studio.models.families import Family, Hardware
from studio.models.hashes import WeightHashes
from studio.models.loaded import Loaded
from studio.models.machine import (
    GB,
    choose_device,
    compute_dtype,
    device_memory,
    device_name,
    host_memory,
    out_of_memory,
    release,
)
from studio.models.snapshot import Snapshot
from studio.models.spec import PipelineSpec, Progress, Resident
from studio.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")


class OutOfMemory(StudioError):
    """Nothing on the ladder helped; the request itself must become smaller."""


@dataclass(eq=False)
class _Row:
    loaded: Loaded
    bytes: int
    device: str
    last_used: float = field(default_factory=time.time)
    tasks: set[str] = field(default_factory=set)
    relief: int = 0
    pins: int = 0
    """Uses that are under way; above 0 it is never put away."""
    clean: Snapshot | None = None
    """Of the row as it was loaded, where it has not been moved since."""

    def move(self, device: str) -> None:
        self.loaded.move(device)
        self.device, self.clean = device, None

    @property
    def family(self) -> Family:
        return self.loaded.family


class ModelManager:
    """Weights of all rows under a memory budget; one job at a time has the accelerator.

    Every method may be called from any thread. `use`, `run`, `load` and `unload` wait for the job that is running;
    `residents` and `hardware` never wait.
    """

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._lock = threading.RLock()
        self._loaded: dict[str, _Row] = {}
        self._hashes = WeightHashes(catalog)
        self.device = choose_device(settings.device)
        self._accelerated = self.device in ("cuda", "xpu")
        """Has memory of its own, so that a model can be parked in main memory. On a Mac and a CPU both are one."""

    # -- what is there --

    def residents(self) -> list[Resident]:
        """Rows in memory, most recently used first."""
        rows = [
            Resident(row.family.id, row.bytes, row.device, row.last_used, tuple(sorted(row.tasks)))
            for row in list(self._loaded.values())
        ]
        return sorted(rows, key=lambda row: -row.last_used)

    def hardware(self) -> Hardware:
        place = self._settings.data_dir
        while not place.exists():
            place = place.parent
        return Hardware(
            device=self.device,
            name=device_name(self.device),
            memory_gb=round(device_memory(self.device) / GB, 1),
            host_memory_gb=round(host_memory() / GB, 1),
            free_disk_gb=round(shutil.disk_usage(place).free / GB, 1),
        )

    def note(self, id: str) -> str:
        """What had to be done so that row ``id`` fits into memory; empty when nothing was."""
        row = self._loaded.get(id)
        return row.loaded.reliefs[row.relief] if row else ""

    def weights_hash(self, id: str) -> str:
        """SHA-256 of the weights that decide; see `WeightHashes`."""
        return self._hashes.of(id)

    # -- using --

    @contextmanager
    def use(self, spec: PipelineSpec, progress: Progress | None = None, *, relief: int = 0) -> Iterator[Any]:
        """The view for ``spec``, on its device: a pipeline with a scheduler of its own, a reader, a tool. Its
        ``extras`` are the views of the other rows of the set, by id.

        Whatever the body does to any of them and their components (hooks, adapters, attention processors, tiling, half
        a run that was cancelled) is undone on exit. A component whose weights were changed in place cannot be undone;
        its row is then loaded afresh at its next use. ``relief`` is a rung of `Loaded.reliefs`; see `run`.
        """
        with self._lock, ExitStack() as undo:
            family = self._catalog.get(spec.family)
            if not family.does(spec.task):
                raise StudioError(f"{family.name} cannot do {spec.task}; choose another model.", field="model")
            rows = [undo.enter_context(self._pinned(id, progress, relief)) for id in dict.fromkeys(_ids(spec))]
            base, *others = rows
            views = {row.family.id: row.loaded.view(PipelineSpec(row.family.id, row.family.kind)) for row in others}
            view = base.loaded.view(spec)
            view.extras = views
            for row in rows:
                undo.callback(self._restore, row, self._snapshot(row))
            base.tasks.add(spec.task)
            for row, shown in ((base, view), *zip(others, views.values(), strict=True)):
                if relief >= 2:
                    row.loaded.relieve(shown, relief, self.device)
            yield view

    def run(self, spec: PipelineSpec, work: Callable[[Any], T], progress: Progress | None = None) -> T:
        """``work(view)`` inside `use`, again with less memory each time it runs out of it.

        Rungs: as it is; all rows that this use does not need put away; less at a time (the VAE tiled and sliced, one
        picture read at once); components moved in only when needed, or the processor (accelerators). ``work`` must be
        repeatable: make generators inside it. Raises `OutOfMemory` at the last rung.
        """
        with self._lock:
            known = [self._loaded[id].relief for id in _ids(spec) if id in self._loaded]
            last = 3 if self._accelerated else 2
            for relief in range(max(known, default=0), last + 1):
                try:
                    with self.use(spec, progress, relief=relief) as view:
                        return work(view)
                except Exception as error:
                    if not out_of_memory(error):
                        raise
                # Only here, after the handler, has the traceback let go of the failed step's tensors.
                self._climb(spec, min(relief + 1, last))
            row = self._loaded.get(spec.family)
        remedy, at = (row.loaded.remedy, row.loaded.field) if row else (Loaded.remedy, Loaded.field)
        raise OutOfMemory(f"This computer has too little memory for this request; {remedy}.", field=at, status=507)

    @contextmanager
    def _pinned(self, id: str, progress: Progress | None, relief: int) -> Iterator[_Row]:
        row = self._ready(id, progress, relief)
        row.pins += 1
        try:
            yield row
        finally:
            row.pins -= 1
            row.last_used = time.time()

    def _snapshot(self, row: _Row) -> Snapshot:
        """How the row is now: as after the last use, unless this one is within another."""
        if row.clean is None or row.pins > 1:
            found = Snapshot(row.loaded.modules(), row.loaded.components)
            if row.pins > 1:
                return found
            row.clean = found
        return row.clean

    def _restore(self, row: _Row, before: Snapshot) -> None:
        if not before.restore() and self._loaded.get(row.family.id) is row:
            log.info("The weights of %s were changed by a job; they are loaded afresh at the next use.", row.family.id)
            self._drop([row])

    # -- loading and evicting --

    def load(self, id: str, progress: Progress | None = None) -> None:
        """Bring row ``id`` onto the device. Raises `StudioError` when its weights are missing or unsound."""
        with self._lock:
            self._ready(id, progress, 0)

    def unload(self, id: str) -> None:
        """Take row ``id`` out of memory; nothing happens when it is not there."""
        with self._lock:
            row = self._loaded.get(id)
            if row is not None:
                self._drop([row])

    def _ready(self, id: str, progress: Progress | None, relief: int) -> _Row:
        """The row, loaded, with room made for it, on the device its relief asks for."""
        family = self._catalog.require(id)
        row = self._loaded.get(family.id)
        if row is not None and row.family != family:
            self._drop([row])
            row = None
        if row is None:
            row = self._load(family, progress, relief)
        row.relief = max(row.relief, relief)
        if relief and not self._accelerated:
            self._put_away(self._idle(self.device, but=row))
        target = row.loaded.waits_on(self.device, row.relief)
        if row.device != target:
            if target == self.device:
                self._make_room(row.bytes, row)
            row.move(target)
        row.last_used = time.time()
        return row

    def _load(self, family: Family, progress: Progress | None, relief: int) -> _Row:
        dtype = compute_dtype(family.dtype, self.device)
        expected, host = loading.expected_bytes(family, self._catalog.location(family.id), dtype), host_memory()
        elsewhere = self._accelerated and family.device == "cpu"
        if expected > host:
            raise OutOfMemory(
                f"{family.name} needs {expected / GB:.0f} GB of memory and this computer has {host / GB:.0f} GB; "
                "choose a smaller model.",
                field="model",
                status=507,
            )
        self._make_room(0 if elsewhere else expected, None)
        started = time.perf_counter()
        loaded = loading.load(family, dtype, self._catalog, progress)
        row = _Row(loaded, loaded.bytes(), "cpu", relief=relief)
        if self._accelerated and row.bytes > self._device_budget():
            row.relief = 3
        target = loaded.waits_on(self.device, row.relief)
        if target != row.device:
            self._make_room(row.bytes, None)
            row.move(target)
        self._loaded[family.id] = row
        log.info(
            "loaded %s: %.2f GB in %.1f s on %s", family.id, row.bytes / GB, time.perf_counter() - started, row.device
        )
        return row

    def _device_budget(self) -> float:
        return self._settings.device_memory_gb * GB or 0.8 * device_memory(self.device)

    def _host_budget(self) -> float:
        return self._settings.host_memory_gb * GB or 0.5 * host_memory()

    def _idle(self, device: str, but: _Row | None) -> list[_Row]:
        """Rows on ``device`` that nobody is using, those unused for longest first."""
        rows = [row for row in self._loaded.values() if row is not but and row.device == device and not row.pins]
        return sorted(rows, key=lambda row: row.last_used)

    def _make_room(self, needed: float, keep: _Row | None) -> None:
        """Evict, least recently used first, until ``needed`` more bytes fit the device's budget and the host's."""
        idle = self._idle(self.device, but=keep)
        held = sum(row.bytes for row in self._loaded.values() if row is not keep and row.device == self.device)
        gone = []
        while idle and held + needed > self._device_budget():
            gone.append(idle.pop(0))
            held -= gone[-1].bytes
        self._put_away(gone)
        if self._accelerated:
            parked = self._idle("cpu", but=keep)
            held = sum(row.bytes for row in self._loaded.values() if row.device == "cpu")
            gone = []
            while parked and held > self._host_budget():
                gone.append(parked.pop(0))
                held -= gone[-1].bytes
            self._drop(gone)

    def _put_away(self, rows: list[_Row]) -> None:
        """Out of the device's memory: into main memory where that is another one."""
        if not self._accelerated:
            self._drop(rows)
            return
        for row in rows:
            row.move("cpu")
        release()

    def _climb(self, spec: PipelineSpec, relief: int) -> None:
        for id in _ids(spec):
            if id in self._loaded:
                self._loaded[id].relief = relief
        self._put_away([row for row in self._idle(self.device, but=None) if row.family.id not in _ids(spec)])
        release()

    def _drop(self, rows: list[_Row]) -> None:
        if not rows:
            return
        modules = []
        for row in rows:
            del self._loaded[row.family.id]
            modules += [weakref.ref(module) for module in row.loaded.modules()]
            row.loaded = row.clean = None  # type: ignore[assignment]
        if any(module() is not None for module in modules):
            # Only where something refers to itself: a collection walks all objects of the libraries.
            gc.collect()
        release()


def _ids(spec: PipelineSpec) -> tuple[str, ...]:
    return (spec.family, *spec.extras)
