"""The catalogue: the built-in rows and what users added from disk."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path

from studio.errors import StudioError
from studio.models.families import COMPLETE, TASKS, Family, Hardware
from studio.models.inspection import inspect_file, inspect_folder, read_json, shaped
from studio.models.rows import MODEL_CLASSES, PIPELINES, ROWS, UNDERSTANDING
from studio.settings import Settings

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Catalog:
    """The built-in rows and what users added (``data_dir/models.json``, shared by the UI and the worker process)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._file = settings.data_dir / "models.json"
        self._lock = threading.RLock()
        self._seen: tuple[int, int] | None = None
        self._local: tuple[Family, ...] = ()
        self._starter_seen: int | None = None
        self._starter = ROWS[0]

    # -- reading --

    @property
    def default(self) -> str:
        """Id of the family used when a request names none."""
        return self.settings.default_family

    def all(self, kind: str = "") -> list[Family]:
        """Every known family (of ``kind`` "diffusion" or "understanding"), built-in rows first, available or not."""
        with self._lock:
            rows = [self._starter_row(), *ROWS[1:], *UNDERSTANDING, *self._locals()]
        return [row for row in rows if kind in ("", row.kind)]

    def get(self, id: str) -> Family:
        """The family called ``id`` ("" is the default). Raises `StudioError` naming the known ones."""
        wanted = id or self.default
        known = self.all()
        for family in known:
            if family.id == wanted:
                return family
        names = ", ".join(family.id for family in known)
        raise StudioError(f"There is no model called '{wanted[:64]}'; choose one of: {names}.", field="model")

    def location(self, id: str) -> Path:
        """Folder (or single .safetensors file) of the family's weights, whether they are there yet or not."""
        family = self.get(id)
        if family.path:
            return Path(family.path)
        if not family.repo:
            return self.settings.starter_dir / family.folder
        return self.settings.models_dir / family.id

    def available(self, id: str) -> bool:
        """Whether all weights are on this disk."""
        family, place = self.get(id), self.location(id)
        if family.repo:
            return (place / COMPLETE).is_file()
        if place.suffix == ".safetensors":
            return place.is_file()
        if family.kind == "understanding":
            return (place / "config.json").is_file() and any(place.glob("*.safetensors"))
        return (place / "model_index.json").is_file() and any((place / family.denoiser).glob("*.safetensors"))

    def require(self, id: str) -> Family:
        """The family, or a `StudioError` that says how to get its weights."""
        family = self.get(id)
        if self.available(family.id):
            return family
        if family.repo:
            fix = f"download it in the Models tab ({family.download_gb:g} GB) or choose another model"
        elif family.local:
            fix = f"put its files back at {family.path} or remove it in the Models tab"
        else:
            fix = f"restore {self.location(family.id)} from the repository, or train it with `make starter`"
        raise StudioError(f"{family.name} is not on this computer yet: {fix}.", field="model", status=409)

    def default_for(self, feature: str) -> Family:
        """The family to use for ``feature`` when a request names none: ``settings.search_model`` where it has the
        feature, else the first that is on this computer, those that come with the studio before all others.

        Raises `StudioError` naming what to download when there is none.
        """
        able = [row for row in self.all("understanding") if row.supports(feature)]
        chosen = [row for row in able if row.id == self.settings.search_model]
        for row in (*chosen, *able):
            if self.available(row.id):
                return row
        if not able:
            raise StudioError(f"No model here can do {feature}.", field="model", status=409)
        names = ", ".join(f"{row.name} ({row.download_gb:g} GB)" for row in able if row.repo)
        raise StudioError(
            f"No model for this is on this computer yet: download one of these in the Models tab: {names}.",
            field="model",
            status=409,
        )

    def able(self, id: str, feature: str) -> Family:
        """The family called ``id``, on this computer and able to do ``feature``; "" is the default for it.

        Raises `StudioError` naming those that can.
        """
        if not id and feature not in TASKS:
            return self.default_for(feature)
        family = self.get(id)
        self.check(family, feature)
        return self.require(family.id)

    def check(self, family: Family, feature: str) -> None:
        """Raise `StudioError` naming those that can do ``feature`` unless ``family`` can."""
        if not family.supports(feature):
            names = ", ".join(row.id for row in self.all() if row.supports(feature))
            raise StudioError(f"{family.name} cannot do {feature}; choose one of: {names}.", field="model")

    def recommend(self, hardware: Hardware) -> Family:
        """The best hub family, free for commercial use, that runs on this machine; the smallest if none fits well."""
        rows = sorted((row for row in ROWS if row.quality and row.commercial), key=lambda row: -row.quality)
        accelerated = hardware.device != "cpu"
        for row in rows:
            # Without an accelerator only the families that need few, small steps give a picture in minutes.
            usable = accelerated or (row.native_size <= 512 and row.steps <= 8)
            # A CPU runs float32: twice the bytes of the accelerator's figure, and it shares them with the system.
            memory = hardware.memory_gb if accelerated else hardware.host_memory_gb / 2
            if usable and row.memory_gb <= memory and row.download_gb * 1.1 <= hardware.free_disk_gb:
                return row
        return rows[-1]

    def config_folder(self, base: str) -> Path | None:
        """A diffusers folder on this disk whose configs and tokenizers fit single files of ``base``."""
        for family in self.all():
            if (
                family.base == base
                and family.pipeline != "LatentConsistencyModelPipeline"
                and self.available(family.id)
            ):
                place = self.location(family.id)
                if place.is_dir():
                    return place
        return None

    # -- what users bring --

    def add_local(self, path: str, *, name: str = "") -> Family:
        """Register a diffusers folder or a single ``.safetensors`` file. Raises `StudioError` for what is unsafe."""
        place = Path(path).expanduser()
        if not place.is_absolute() or not place.exists():
            raise StudioError(
                f"Nothing is at '{path[:200]}'; give the full path of a folder or .safetensors file.", field="path"
            )
        place = place.resolve()
        family = inspect_folder(place) if place.is_dir() else inspect_file(place)
        label = " ".join((name or place.stem).split())[:60] or "model"
        with self._lock:
            known = {row.id for row in self.all()}
            stem = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:48] or "model"
            id, number = stem, 2
            while id in known:
                id, number = f"{stem}-{number}", number + 1
            family = replace(family, id=id, name=label, path=str(place))
            self._write((*self._locals(), family))
        return family

    def remove(self, id: str) -> None:
        """Forget a local family; its files stay where they are. Raises `StudioError` for built-in rows."""
        with self._lock:
            family = self.get(id)
            if not family.local:
                raise StudioError(
                    f"{family.name} is built in and stays; only models added from disk can be removed.", field="model"
                )
            self._write(tuple(row for row in self._locals() if row.id != id))

    # -- files --

    def _locals(self) -> tuple[Family, ...]:
        try:
            state = self._file.stat()
        except FileNotFoundError:
            self._seen, self._local = None, ()
            return ()
        stamp = (state.st_mtime_ns, state.st_size)
        if stamp != self._seen:
            self._local = tuple(_read_rows(self._file))
            self._seen = stamp
        return self._local

    def _write(self, rows: tuple[Family, ...]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        body = json.dumps([{**asdict(row), "features": sorted(row.features)} for row in rows], indent=1)
        part = self._file.with_suffix(f".{os.getpid()}.part")
        part.write_text(body, encoding="utf-8")
        os.replace(part, self._file)
        self._seen = None

    def _starter_row(self) -> Family:
        """The starter's row with the size and the defaults of the pack that is on disk."""
        folder = self.settings.starter_dir
        index = folder / "painter" / "model_index.json"
        stamp = index.stat().st_mtime_ns if index.is_file() else None
        if stamp != self._starter_seen:
            row = ROWS[0]
            if stamp is not None:
                row = shaped(row, folder / "painter")
                vocabulary = folder / "vocabulary.json"
                chosen = read_json(vocabulary).get("default", {}) if vocabulary.is_file() else {}
                row = replace(
                    row,
                    steps=int(chosen.get("steps", row.steps)),
                    guidance=float(chosen.get("guidance", chosen.get("guidance_scale", row.guidance))),
                    sampler=str(chosen.get("sampler", row.sampler)),
                )
            self._starter, self._starter_seen = row, stamp
        return self._starter


def _read_rows(file: Path) -> Iterator[Family]:
    """Rows of ``models.json``; unknown keys of a newer version are dropped, damaged rows skipped."""
    names = {item.name for item in fields(Family)}
    try:
        rows = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise StudioError(f"{file} is damaged; move it away to start with the built-in models.", status=500) from None
    for row in rows if isinstance(rows, list) else []:
        if (
            isinstance(row, dict)
            and _ID.fullmatch(str(row.get("id", "")))
            and row.get("pipeline") in PIPELINES | MODEL_CLASSES
        ):
            known = {key: value for key, value in row.items() if key in names}
            yield Family(**{**known, "features": frozenset(row.get("features", ()))})
