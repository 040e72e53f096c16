"""The only place that loads, moves, patches or evicts weights. It lives in the worker."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import inspect
import itertools
import json
import logging
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

# Read by diffusers when it is first imported: code beside weights is never run.
os.environ.setdefault("DIFFUSERS_DISABLE_REMOTE_CODE", "1")

import psutil
import torch

from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.families import TASKS, Family, Hardware
from studio.models.inspection import check_local, read_header
from studio.models.scheduling import build_scheduler
from studio.models.spec import UNDERSTANDING, PipelineSpec, Resident
from studio.settings import Settings

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

    from studio.models.readers import Reader

log = logging.getLogger(__name__)
T = TypeVar("T")

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and a sentence. May raise `studio.errors.Cancelled`."""

GB = 1e9

RELIEFS = (
    "",
    "Other models were put away to free memory.",
    "Memory is short, so the picture was decoded in tiles.",
    "Memory is short, so parts of the model wait in main memory; this is slower.",
)
"""What each rung of the out-of-memory ladder does, as a note for the user."""

READER_RELIEFS = (
    *RELIEFS[:2],
    "Memory is short, so pictures were read one at a time.",
    "Memory is short, so the pictures were read on the processor; this is slower.",
)
"""The same for models that read pictures."""


class OutOfMemory(StudioError):
    """Nothing on the ladder helped; the request itself must become smaller."""


@dataclass
class _Loaded:
    family: Family
    pipe: DiffusionPipeline | Reader
    """Holds the components; never handed out, so nothing a job does to its pipeline object can stay."""
    bytes: int
    device: str
    last_used: float = field(default_factory=time.time)
    tasks: set[str] = field(default_factory=set)
    relief: int = 0


class ModelManager:
    """Weights of all families under a memory budget; one job at a time has the accelerator.

    Every method may be called from any thread. `use`, `run`, `load` and `unload` wait for the job that is running;
    `residents` and `hardware` never wait.
    """

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._lock = threading.RLock()
        self._loaded: dict[str, _Loaded] = {}
        self._hashes = settings.data_dir / "weights-sha256.json"
        self.device = _choose_device(settings.device)
        self._accelerated = self.device in ("cuda", "xpu")
        """Has memory of its own, so that a model can be parked in main memory. On a Mac and a CPU both are one."""

    # -- what is there --

    def residents(self) -> list[Resident]:
        """Families in memory, most recently used first."""
        rows = [
            Resident(row.family.id, row.bytes, row.device, row.last_used, tuple(sorted(row.tasks)))
            for row in list(self._loaded.values())
        ]
        return sorted(rows, key=lambda row: -row.last_used)

    def hardware(self) -> Hardware:
        host = _host_memory()
        place = self._settings.data_dir
        while not place.exists():
            place = place.parent
        return Hardware(
            device=self.device,
            name=_device_name(self.device),
            memory_gb=round(_device_memory(self.device, host) / GB, 1),
            host_memory_gb=round(host / GB, 1),
            free_disk_gb=round(shutil.disk_usage(place).free / GB, 1),
        )

    def note(self, id: str) -> str:
        """What had to be done so that family ``id`` fits into memory; empty when nothing was."""
        row = self._loaded.get(id)
        if row is None:
            return ""
        return (READER_RELIEFS if row.family.kind == UNDERSTANDING else RELIEFS)[row.relief]

    def weights_hash(self, id: str) -> str:
        """SHA-256 of the weights that decide (of a painter its denoiser's), remembered by path, size and time."""
        place = self._catalog.location(id)
        files = [place] if place.is_file() else sorted((place / self._catalog.get(id).denoiser).glob("*.safetensors"))
        stamps = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        key = hashlib.sha256(repr(stamps).encode()).hexdigest()
        with self._lock:
            try:
                known: dict[str, str] = json.loads(self._hashes.read_text("utf-8"))
            except (OSError, ValueError):
                known = {}
            if key not in known:
                digest = hashlib.sha256()
                for file in files:
                    with file.open("rb") as stream:
                        while block := stream.read(1 << 20):
                            digest.update(block)
                known[key] = digest.hexdigest()
                self._hashes.parent.mkdir(parents=True, exist_ok=True)
                part = self._hashes.with_suffix(f".{os.getpid()}.part")
                part.write_text(json.dumps(known), encoding="utf-8")
                os.replace(part, self._hashes)
            return known[key]

    # -- using --

    @contextmanager
    def use(self, spec: PipelineSpec, progress: Progress | None = None, *, relief: int = 0) -> Iterator[Any]:
        """The pipeline for ``spec``, on its device, with a scheduler of its own; or the reader of an understanding
        family.

        Whatever the body does to the pipeline and its components (hooks, adapters, attention processors, tiling, half
        a run that was cancelled) is undone on exit. A component whose weights were changed in place cannot be undone;
        the family is then loaded afresh at its next use. ``relief`` is a rung of `RELIEFS`; see `run`.
        """
        with self._lock:
            row = self._ready(spec.family, progress, relief)
            known = spec.task == row.family.kind == UNDERSTANDING
            if not known and (spec.task not in TASKS or not row.family.supports(spec.task)):
                raise StudioError(f"{row.family.name} cannot do {spec.task}; choose another model.", field="model")
            view = _view(row, spec)
            before = _Snapshot(row.pipe)
            row.tasks.add(spec.task)
            try:
                if row.family.kind == UNDERSTANDING:
                    view.batch = 1 if relief >= 2 else view.batch
                elif relief >= 2:
                    view.vae.enable_tiling()
                    view.vae.enable_slicing()
                if relief >= 3 and row.family.kind != UNDERSTANDING:
                    view.enable_model_cpu_offload(device=self.device)
                yield view
            finally:
                row.last_used = time.time()
                if not before.restore() and self._loaded.get(row.family.id) is row:
                    log.info(
                        "The weights of %s were changed by a job; they are loaded afresh at the next use.",
                        row.family.id,
                    )
                    self._drop(row)

    def run(self, spec: PipelineSpec, work: Callable[[Any], T], progress: Progress | None = None) -> T:
        """``work(pipe)`` inside `use`, again with less memory each time it runs out of it.

        Rungs: as it is; the other models put away; the VAE tiled and sliced (a reader: one picture at a time);
        components moved in only when needed (accelerators; a reader: on the processor). ``work`` must be repeatable:
        make generators inside it. Raises `OutOfMemory` at the last rung.
        """
        with self._lock:
            row = self._loaded.get(spec.family)
            last = 3 if self._accelerated else 2
            reads = spec.task == UNDERSTANDING
            for relief in range(row.relief if row else 0, last + 1):
                try:
                    with self.use(spec, progress, relief=relief) as pipe:
                        return work(pipe)
                except Exception as error:
                    if not _out_of_memory(error):
                        raise
                # Only here, after the handler, has the traceback let go of the failed step's tensors.
                self._relieve(spec.family, min(relief + 1, last))
        raise OutOfMemory(
            "This computer has too little memory for this request; "
            + ("choose a smaller model." if reads else "make the picture smaller or choose a smaller model."),
            field="model" if reads else "width",
            status=507,
        )

    # -- loading and evicting --

    def load(self, id: str, progress: Progress | None = None) -> None:
        """Bring family ``id`` onto the device. Raises `StudioError` when its weights are missing or unsound."""
        with self._lock:
            self._ready(id, progress, 0)

    def unload(self, id: str) -> None:
        """Take family ``id`` out of memory; nothing happens when it is not there."""
        with self._lock:
            row = self._loaded.get(id)
            if row is not None:
                self._drop(row)

    def _ready(self, id: str, progress: Progress | None, relief: int) -> _Loaded:
        """The family, loaded, with room made for it, on the device its relief asks for."""
        family = self._catalog.require(id)
        row = self._loaded.get(family.id)
        if row is not None and row.family != family:
            self._drop(row)
            row = None
        if row is None:
            row = self._load(family, progress, relief)
        row.relief = max(row.relief, relief)
        if relief and not self._accelerated:
            self._evict_others(row)
        target = self._place(row.relief)
        if row.device != target:
            if target == self.device:
                self._make_room(row.bytes, row)
            _move(row.pipe, target)
            row.device = target
        row.last_used = time.time()
        return row

    def _place(self, relief: int) -> str:
        """Where the weights of a family wait between runs."""
        return "cpu" if relief >= 3 else self.device

    def _load(self, family: Family, progress: Progress | None, relief: int) -> _Loaded:
        dtype = self._dtype(family)
        place = self._catalog.location(family.id)
        stored = _weight_files(place)
        shapes = [shape for file in stored for shape in read_header(file).values()]
        expected = sum(math.prod(shape) for shape in shapes) * dtype.itemsize
        host = _host_memory()
        if expected > host:
            raise OutOfMemory(
                f"{family.name} needs {expected / GB:.0f} GB of memory and this computer has {host / GB:.0f} GB; "
                "choose a smaller model.",
                field="model",
                status=507,
            )
        if family.local:
            check_local(family)
        self._make_room(expected, None)
        started = time.perf_counter()
        _quiet()
        try:
            if family.kind == UNDERSTANDING:
                pipe = _read_from(family, place, dtype, progress)
            elif place.is_dir():
                pipe = _from_folder(family, place, dtype, progress)
            else:
                pipe = _from_file(family, place, dtype, self._catalog, progress)
        except (OSError, ValueError, KeyError, RuntimeError, AttributeError, TypeError, ImportError) as error:
            if _out_of_memory(error):
                raise
            log.warning("loading %s failed", family.id, exc_info=True)
            fix = "check where it came from" if family.local else "delete and download it again in the Models tab"
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
            raise StudioError(
                f"{family.name} cannot be loaded ({reason}); {fix}.", field="model", status=500
            ) from error
        if family.local:
            _check_finite(family, pipe)
        size = sum(_bytes(module) for module in _modules(pipe))
        row = _Loaded(family, pipe, size, "cpu")
        if self.device != "cpu":
            if self._accelerated and size > self._device_budget():
                row.relief = 3
            elif relief < 3:
                self._make_room(size, None)
                _move(pipe, self.device)
                row.device = self.device
        self._loaded[family.id] = row
        log.info("loaded %s: %.2f GB in %.1f s on %s", family.id, size / GB, time.perf_counter() - started, row.device)
        return row

    def _dtype(self, family: Family) -> torch.dtype:
        if self.device == "cpu":
            return torch.float32
        if family.dtype == "bfloat16" and self.device == "cuda" and not torch.cuda.is_bf16_supported():
            return torch.float16
        return getattr(torch, family.dtype)

    def _device_budget(self) -> float:
        asked = self._settings.device_memory_gb * GB
        return asked or 0.8 * _device_memory(self.device, _host_memory())

    def _host_budget(self) -> float:
        return self._settings.host_memory_gb * GB or 0.5 * _host_memory()

    def _make_room(self, needed: float, keep: _Loaded | None) -> None:
        """Evict, least recently used first, until ``needed`` more bytes fit the device's budget and the host's."""

        def oldest(device: str) -> list[_Loaded]:
            rows = [row for row in self._loaded.values() if row is not keep and row.device == device]
            return sorted(rows, key=lambda row: row.last_used)

        waiting = oldest(self.device)
        while waiting and sum(row.bytes for row in waiting) + needed > self._device_budget():
            row = waiting.pop(0)
            if self._accelerated:
                _move(row.pipe, "cpu")
                row.device = "cpu"
            else:
                self._drop(row)
        if self._accelerated:
            parked = oldest("cpu")
            while parked and sum(row.bytes for row in parked) > self._host_budget():
                self._drop(parked.pop(0))
        _release()

    def _evict_others(self, keep: _Loaded | None) -> None:
        for row in list(self._loaded.values()):
            if row is not keep and row.device == self.device:
                if self._accelerated:
                    _move(row.pipe, "cpu")
                    row.device = "cpu"
                else:
                    self._drop(row)

    def _relieve(self, id: str, relief: int) -> None:
        row = self._loaded.get(id)
        if row is not None:
            row.relief = relief
        self._evict_others(row)
        _release()

    def _drop(self, row: _Loaded) -> None:
        del self._loaded[row.family.id]
        row.pipe = None  # type: ignore[assignment]
        _release()


# -- one use --


def _view(row: _Loaded, spec: PipelineSpec) -> Any:
    """A pipeline object of its own over the shared components."""
    if row.family.kind == UNDERSTANDING:
        return cast("Reader", row.pipe).view()
    import diffusers

    view = getattr(diffusers, TASKS[spec.task]).from_pipe(row.pipe)
    # from_pipe shares the scheduler, which keeps the state of a run: two users of one break each other.
    view.scheduler = build_scheduler(spec.sampler or row.family.sampler, row.pipe.scheduler.config)  # type: ignore[attr-defined]
    view.set_progress_bar_config(disable=True)
    if getattr(view, "watermark", None) is not None:
        # SDXL's own mark survives no JPEG; `studio.trust` puts in one that does.
        view.watermark = None
    return view


_CONTAINERS = (
    "_parameters",
    "_buffers",
    "_modules",
    "_non_persistent_buffers_set",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


class _Snapshot:
    """The object graph of all components: which attributes, children, hooks and tensors every module has.

    Putting it back undoes everything that patches modules from outside (hooks, PEFT layers, attention processors,
    overridden ``forward``, tiling flags), whoever did it. About 5 microseconds per module: 15 ms for SDXL.
    """

    def __init__(self, pipe: Any) -> None:
        self._roots = _modules(pipe)
        self._modules: list[tuple[torch.nn.Module, dict[str, Any], list[tuple[str, Any]]]] = []
        self._tensors: list[tuple[torch.Tensor, int, torch.dtype]] = []
        for root in self._roots:
            for module in root.modules():
                state = dict(module.__dict__)
                held = [(name, state[name]) for name in _CONTAINERS if name in state]
                self._modules.append((module, state, [(name, value.copy() if value else None) for name, value in held]))
                tensors = [*module._parameters.values(), *module._buffers.values()]
                self._tensors += [(each, each._version, each.dtype) for each in tensors if each is not None]
        self._tokenizers = [
            (value, len(value))
            for name, value in pipe.components.items()
            if name.startswith("tokenizer") and value is not None
        ]
        self._devices = [_device_of(root) for root in self._roots]

    def restore(self) -> bool:
        """Put everything back. False when weights or a vocabulary were changed in place, which cannot be undone."""
        # PEFT merges adapters through ``.data``, which the version counters below do not see.
        same = not any(getattr(module, "merged_adapters", None) for root in self._roots for module in root.modules())
        for root in self._roots:
            if getattr(root, "_hf_hook", None) is not None:
                from accelerate.hooks import remove_hook_from_module

                remove_hook_from_module(root, recurse=True)
        for module, state, inner in self._modules:
            now = module.__dict__
            for name in [name for name in now if name not in state]:
                del now[name]
            for name, value in state.items():
                if now.get(name) is not value:
                    now[name] = value
            for name, saved in inner:
                held = now[name]
                if saved is None:
                    if held:
                        held.clear()
                elif isinstance(held, dict):
                    if len(held) != len(saved) or any(held.get(key) is not saved[key] for key in saved):
                        held.clear()
                        held.update(saved)
                elif held != saved:
                    held.clear()
                    held |= saved
        for tensor, version, dtype in self._tensors:
            same = same and tensor._version == version
            if tensor.dtype != dtype:
                tensor.data = tensor.data.to(dtype)
        for root, device in zip(self._roots, self._devices, strict=True):
            if _device_of(root) != device:
                root.to(device)
        return same and all(len(tokenizer) == size for tokenizer, size in self._tokenizers)


# -- components --


def _modules(pipe: Any) -> list[torch.nn.Module]:
    seen: dict[int, torch.nn.Module] = {}
    for value in pipe.components.values():
        if isinstance(value, torch.nn.Module):
            seen[id(value)] = value
    return list(seen.values())


def _bytes(module: torch.nn.Module) -> int:
    """Bytes of the storages behind a module, each counted once."""
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in (*module.parameters(), *module.buffers())
    }
    return sum(storages.values())


def _device_of(module: torch.nn.Module) -> torch.device:
    tensors = itertools.chain(module.parameters(), module.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def _move(pipe: Any, device: str) -> None:
    for module in _modules(pipe):
        module.to(device)


def _weight_files(place: Path) -> list[Path]:
    """The safetensors files that loading ``place`` will read."""
    if place.is_file():
        return [place]
    if not (place / "model_index.json").is_file():
        return sorted(place.glob("*.safetensors"))
    index = json.loads((place / "model_index.json").read_text("utf-8"))
    return [file for name in _components(place, index) for file in sorted((place / name).glob("*.safetensors"))]


def _components(place: Path, index: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Name -> (library, class) of the components that have weights."""
    found = {}
    for name, source in index.items():
        if name.startswith("_") or name == "safety_checker" or not isinstance(source, list) or source[0] is None:
            continue
        if any((place / name).glob("*.safetensors")):
            found[name] = (source[0], source[1])
    return found


def _from_folder(family: Family, place: Path, dtype: torch.dtype, progress: Progress | None) -> DiffusionPipeline:
    import diffusers
    import transformers

    index = json.loads((place / "model_index.json").read_text("utf-8"))
    sources = _components(place, index)
    sizes = {name: sum(file.stat().st_size for file in (place / name).glob("*.safetensors")) for name in sources}
    total, done = sum(sizes.values()), 0
    components: dict[str, Any] = {}
    for name, (library, cls) in sources.items():
        if progress:
            progress(done, total, f"Loading {family.name}: {name.replace('_', ' ')}")
        if library not in ("diffusers", "transformers"):
            raise StudioError(
                f"Component '{name}' of {family.name} comes from '{library}'; it is refused.", field="model"
            )
        names = [file.name for file in (place / name).glob("*.safetensors")]
        options: dict[str, Any] = {
            "dtype": dtype,
            "use_safetensors": True,
            "local_files_only": True,
            "variant": "fp16" if all(".fp16" in file for file in names) else None,
        }
        owner = getattr(diffusers if library == "diffusers" else transformers, cls)
        components[name] = owner.from_pretrained(str(place), subfolder=name, **options).eval()
        done += sizes[name]
    if progress:
        progress(done, total, f"Loading {family.name}")
    pipeline = getattr(diffusers, family.pipeline)
    return pipeline.from_pretrained(
        str(place),
        **components,
        **_without_checker(pipeline),
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    )


def _read_from(family: Family, place: Path, dtype: torch.dtype, progress: Progress | None) -> Reader:
    from studio.models.readers import load

    total = sum(file.stat().st_size for file in _weight_files(place))
    if progress:
        progress(0, total, f"Loading {family.name}")
    reader = load(family, place, dtype)
    if progress:
        progress(total, total, f"Loading {family.name}")
    return reader


def _from_file(
    family: Family, file: Path, dtype: torch.dtype, catalog: Catalog, progress: Progress | None
) -> DiffusionPipeline:
    import diffusers

    config = catalog.config_folder(family.base)
    if config is None:
        donor = next(row for row in catalog.all() if row.base == family.base and row.repo)
        raise StudioError(
            f"A single file holds no tokenizer; to use {family.name}, first download {donor.name} "
            f"({donor.download_gb:g} GB) in the Models tab.",
            field="model",
            status=409,
        )
    size = file.stat().st_size
    if progress:
        progress(0, size, f"Loading {family.name}")
    pipeline = getattr(diffusers, family.pipeline)
    pipe = pipeline.from_single_file(
        str(file), config=str(config), dtype=dtype, local_files_only=True, **_without_checker(pipeline)
    )
    if progress:
        progress(size, size, f"Loading {family.name}")
    return pipe


def _without_checker(pipeline: type) -> dict[str, Any]:
    """Arguments that leave out SD 1.x's own checker: it paints pictures black; `studio.trust` checks every picture."""
    names = inspect.signature(pipeline.__init__).parameters
    wanted = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return {name: value for name, value in wanted.items() if name in names}


def _check_finite(family: Family, pipe: DiffusionPipeline | Reader) -> None:
    for module in _modules(pipe):
        for name, tensor in module.named_parameters():
            if not torch.isfinite(tensor).all():
                raise StudioError(
                    f"The weights of {family.name} are broken ('{name}' is not a number); get the model again.",
                    field="model",
                )


# -- machine --


def _choose_device(asked: str) -> str:
    here = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "xpu": hasattr(torch, "xpu") and torch.xpu.is_available(),
        "cpu": True,
    }
    if asked == "auto":
        return next(name for name, found in here.items() if found)
    if not here[asked]:
        found = ", ".join(name for name, yes in here.items() if yes)
        raise StudioError(
            f"STUDIO_DEVICE asks for '{asked}', which PyTorch does not find here; use auto or: {found}.", status=500
        )
    return asked


def _device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    if device == "xpu":
        return torch.xpu.get_device_name()
    if device == "mps":
        return "Apple GPU"
    return f"CPU, {psutil.cpu_count(logical=False) or psutil.cpu_count() or 1} cores"


def _device_memory(device: str, host: float) -> float:
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    if device == "xpu":
        return torch.xpu.get_device_properties(0).total_memory
    return host


def _host_memory() -> float:
    """Bytes of main memory this process may use: a container's limit counts."""
    total = float(psutil.virtual_memory().total)
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, float(Path(file).read_text()))
        except (OSError, ValueError):
            continue
    return total


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in text or "MPS backend out of memory" in text)


def _release() -> None:
    """Give freed memory back to the device and to the system."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
    elif hasattr(torch, "xpu") and torch.xpu.is_available():
        torch.xpu.empty_cache()
    if sys.platform == "linux":
        # glibc keeps freed weights in its arenas otherwise: RSS would grow with every swap.
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _quiet() -> None:
    """The libraries' own bars and prompt echoes do not belong into our log: a 200 kB prompt would be printed twice."""
    import diffusers.utils.logging as diffusers_log
    import transformers.utils.logging as transformers_log

    for library in (diffusers_log, transformers_log):
        library.set_verbosity_error()
        library.disable_progress_bar()
