"""The catalogue: the built-in rows and what users added from disk."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Literal, cast, get_args

from pydantic import TypeAdapter, ValidationError

from studio.errors import StudioError
from studio.models.brought import upscaler
from studio.models.families import COMPLETE, TASKS, Family, Feature, Hardware, Kind, Prediction
from studio.models.inspection import check_donor, inspect_file, inspect_folder, local_place, read_json, shaped
from studio.models.rows import MODEL_CLASSES, PIPELINES, ROWS, TOOLS, UNDERSTANDING
from studio.settings import Settings

log = logging.getLogger(__name__)

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ROW = TypeAdapter(Family)


class Catalog:
    """The built-in rows and what users added (``data_dir/models.json``, shared by the UI and the worker process)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._file = settings.data_dir / "models.json"
        self._lock = threading.RLock()
        self._seen: tuple[int, int] | None = None
        self._local: tuple[Family, ...] = ()
        self._skipped: tuple[str, ...] = ()
        self._packs: dict[str, tuple[int | None, Family]] = {}

    # -- reading --

    @property
    def default(self) -> str:
        """Id of the family used when a request names none."""
        return self.settings.default_family

    def all(self, kind: Kind | Literal[""] = "") -> list[Family]:
        """Every known family (of ``kind``), built-in rows first, available or not."""
        with self._lock:
            rows = [*map(self._packed, ROWS), *UNDERSTANDING, *TOOLS, *self._locals()]
        return [row for row in rows if kind in ("", row.kind)]

    @property
    def skipped(self) -> tuple[str, ...]:
        """One sentence for each entry of ``models.json`` that could not be read."""
        with self._lock:
            self._locals()
            return self._skipped

    def get(self, id: str) -> Family:
        """The family called ``id`` ("" is the default), or an upscaler's file that is named (see `upscaler`).

        Raises `StudioError` naming the known ones."""
        wanted = id or self.default
        known = self.all()
        for family in known:
            if family.id == wanted:
                return family
        with suppress(StudioError):
            if brought := upscaler(wanted, self.settings.models_dir):
                return brought
        names = ", ".join(family.id for family in known)
        raise StudioError(f"There is no model called '{wanted[:64]}'; choose one of: {names}.", field="model")

    def location(self, id: str) -> Path:
        """Folder (or single .safetensors file) of the family's weights, whether they are there yet or not."""
        family = self.get(id)
        if family.path:
            return Path(family.path)
        if family.folder:
            home = self.settings.tools_dir if family.kind == "tool" else self.settings.starter_dir
            return home / family.folder
        return self.settings.models_dir / family.id

    def available(self, id: str) -> bool:
        """Whether all weights are on this disk."""
        family, place = self.get(id), self.location(id)
        if family.fetched:
            return (place / COMPLETE).is_file()
        if place.suffix.lower() == ".safetensors":
            return place.is_file()
        if family.package:
            return all((place / name).is_file() for name in family.package.kept)
        index = place / ("model_index.json" if family.denoiser else "config.json")
        return index.is_file() and any((place / family.denoiser).glob("[!.]*.safetensors"))

    def require(self, id: str) -> Family:
        """The family, or a `StudioError` that says how to get its weights."""
        family = self.get(id)
        if self.available(family.id):
            return family
        if family.fetched:
            fix = f"download it in the Models tab ({family.download}) or choose another model"
        elif family.local:
            fix = f"put its files back at {family.path} or remove it in the Models tab"
        else:
            again = "fetch it with `make tools`" if family.kind == "tool" else "train it with `make starter`"
            fix = f"restore {self.location(family.id)} from the repository, or {again}"
        raise StudioError(f"{family.name} is not on this computer yet: {fix}.", field="model", status=409)

    def default_for(self, feature: Feature) -> Family:
        """The family to use for ``feature`` when a request names none: ``settings.search_model`` where it has the
        feature, else the first that is on this computer, those that come with the studio before all others.

        Raises `StudioError` naming what to download when there is none.
        """
        able = [row for row in self.all() if row.supports(feature)]
        chosen = [row for row in able if row.id == self.settings.search_model]
        for row in (*chosen, *able):
            if self.available(row.id):
                return row
        if not able:
            raise StudioError(f"No model here can do {feature}.", field="model", status=409)
        names = ", ".join(f"{row.name} ({row.download})" for row in able if row.fetched)
        raise StudioError(
            f"No model for this is on this computer yet: download one of these in the Models tab: {names}.",
            field="model",
            status=409,
        )

    def able(self, id: str, feature: Feature) -> Family:
        """The family called ``id``, on this computer and able to do ``feature``; "" is the default for it.

        Raises `StudioError` naming those that can.
        """
        if not id and feature not in TASKS:
            return self.default_for(feature)
        family = self.get(id)
        self.check(family, feature)
        return self.require(family.id)

    def upscaler(self, named: str) -> Family:
        """What to enlarge with: the id of a row, or a file that `studio.models.brought.upscaler` finds; "" is the
        default. Raises `StudioError` with what is wrong with the file, or naming the rows that can."""
        try:
            if named and not any(row.id == named for row in self.all()):
                upscaler(named, self.settings.models_dir)
            return self.able(named, "upscale")
        except StudioError as error:
            raise StudioError(error.message, field="upscaler", status=error.status) from None

    def check(self, family: Family, feature: Feature) -> None:
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

    def lender(self, base: str, but: str = "") -> Family | None:
        """A family whose whole diffusers folder is on this disk: its configs, tokenizers and components fit models of
        ``base``."""
        for family in self.all("diffusion"):
            # What takes no sampler was distilled, and its denoiser reads more than the usual one.
            usual = family.supports("samplers") or not any(row.supports("samplers") for row in ROWS if row.base == base)
            whole = not family.borrowed and self.available(family.id) and self.location(family.id).is_dir()
            if family.base == base and family.id != but and usual and whole:
                return family
        return None

    def how_to_lend(self, base: str) -> str:
        """What to do so that `lender` finds one."""
        donor = next(row for row in ROWS if row.base == base and row.repo)
        return f"first download {donor.name} ({donor.download_gb:g} GB) in the Models tab"

    # -- what users bring --

    def add_local(self, path: str, *, name: str = "", prediction: str = "") -> Family:
        """Register a diffusers or transformers folder or a single ``.safetensors`` file. What is accepted draws.

        ``prediction``: what a checkpoint that does not tell was trained to predict, "epsilon" or "v_prediction".
        Raises `StudioError` for what is unsafe, damaged, of another kind, or lacks a part that nothing here can lend.
        """
        if prediction not in get_args(Prediction):
            raise StudioError(
                "The prediction is either epsilon or v_prediction; leave it out to have it told from the file.",
                field="prediction",
            )
        place = local_place(path)
        family = inspect_folder(place) if place.is_dir() else inspect_file(place, cast(Prediction, prediction))
        family = self._lent(family, place)
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

    def _lent(self, family: Family, place: Path) -> Family:
        """``family`` with a word on what it borrows. Raises `StudioError` when that is not on this disk."""
        if place.is_dir() and not family.borrowed:
            return family
        lacks = " and no ".join(name.replace("_", " ") for name in family.borrowed)
        donor = self.lender(family.base)
        if donor is None:
            raise StudioError(
                f"{place.name} has no {lacks or 'tokenizer'}: {self.how_to_lend(family.base)}, then add it again.",
                field="path",
                status=409,
            )
        if place.is_dir() and not check_donor(place, family.denoiser, self.location(donor.id)):
            raise StudioError(
                f"{place.name} has no {lacks}, and those of {donor.name} do not fit it; fetch the whole model.",
                field="path",
            )
        note = f" It has no {lacks} of its own and uses that of {donor.name}." if lacks else ""
        return replace(family, summary=family.summary + note)

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
            self._seen, self._local, self._skipped = None, (), ()
            return ()
        stamp = (state.st_mtime_ns, state.st_size)
        if stamp != self._seen:
            self._local, self._skipped = _read_rows(self._file)
            self._seen = stamp
            for sentence in self._skipped:
                log.warning(sentence)
        return self._local

    def _write(self, rows: tuple[Family, ...]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        body = json.dumps([{**asdict(row), "features": sorted(row.features)} for row in rows], indent=1)
        part = self._file.with_suffix(f".{os.getpid()}.part")
        part.write_text(body, encoding="utf-8")
        os.replace(part, self._file)
        self._seen = None

    def _packed(self, row: Family) -> Family:
        """``row``; one that comes with the studio has the size and the defaults of the pack that is on disk."""
        if not row.folder:
            return row
        folder = self.settings.starter_dir
        index = folder / row.folder / "model_index.json"
        stamp = index.stat().st_mtime_ns if index.is_file() else None
        seen = self._packs.get(row.id)
        if seen is not None and seen[0] == stamp:
            return seen[1]
        found = row
        if stamp is not None:
            found = shaped(row, folder / row.folder)
            vocabulary = folder / "vocabulary.json"
            chosen = read_json(vocabulary).get("default", {}) if vocabulary.is_file() else {}
            found = replace(
                found,
                steps=int(chosen.get("steps", row.steps)),
                guidance=float(chosen.get("guidance", chosen.get("guidance_scale", row.guidance))),
                sampler=str(chosen.get("sampler", row.sampler)),
            )
        self._packs[row.id] = stamp, found
        return found


def _read_rows(file: Path) -> tuple[tuple[Family, ...], tuple[str, ...]]:
    """The rows of ``models.json``, and a sentence for each entry that is none. What a newer version wrote beyond
    today's fields and features is dropped."""
    names = {item.name for item in fields(Family)}
    try:
        entries = json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        raise StudioError(f"{file} is damaged; move it away to start with the built-in models.", status=500) from None
    rows: dict[str, Family] = {}
    skipped = []
    for number, entry in enumerate(entries if isinstance(entries, list) else [], 1):
        known = {key: value for key, value in entry.items() if key in names} if isinstance(entry, dict) else {}
        told = known.get("features")
        if isinstance(told, list):
            known["features"] = [each for each in told if each in get_args(Feature)]
        try:
            row = _ROW.validate_python(known)
            sound = _ID.fullmatch(row.id) and row.pipeline in PIPELINES | MODEL_CLASSES and row.path
        except ValidationError:
            row, sound = None, False
        if row is None or not sound or row.id in rows:
            label = str(known.get("name") or known.get("id") or f"Entry {number}")[:60]
            skipped.append(f"{label} in {file.name} is not complete and was left out; add the model again.")
        else:
            rows[row.id] = row
    return tuple(rows.values()), tuple(skipped)
