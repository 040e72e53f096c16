"""Pictures of the starter world, and the context in which a capability looks at them without a queue around it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.capability import Capability, Record, Source
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.references import slots
from studio.settings import ROOT
from studio.starter.art import Art
from studio.starter.world import World
from tests import tiny

SIDE = 256


@functools.cache
def world() -> World:
    return World(Art.load(ROOT / "tests" / "starter" / "sprites"), free=False)


def scene(*names: str, background: str = "white", style: str = "", seed: int = 0, side: int = SIDE) -> Image.Image:
    """A picture of one object, or of two beside each other."""
    layout: Any = "single" if len(names) == 1 else "left_right"
    made = world().compose(layout, names, style or world().styles[0], background, seed)
    return world().picture(made, side)


def id_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def starter_catalog(root: Path, **more: Any) -> Catalog:
    """A studio under ``root`` with the starter models of the repository."""
    return Catalog(tiny.settings(root, starter_dir=ROOT / "assets" / "starter", **more))


class Viewer(tiny.Context):
    """``pictures``: name -> picture, or the path of a clip, or the error that opening it raises."""

    def __init__(
        self,
        catalog: Catalog,
        models: ModelManager,
        pictures: Mapping[str, Image.Image | Path | StudioError],
        *,
        prompts: Mapping[str, str] | None = None,
        kept: Iterable[int] = (),
        cancel_at: int | None = None,
    ) -> None:
        super().__init__(catalog, models, cancel_at=cancel_at)
        self.kept = frozenset(kept)
        self.prompts = prompts or {}
        self.names = {id_of(name): name for name in pictures}
        self.stored = {id_of(name): picture for name, picture in pictures.items()}
        self.vectors: dict[str, dict[tuple[str, float], NDArray[np.float32]]] = {}
        self.opened: list[str] = []

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self.stored)

    @property
    def stored_by_name(self) -> dict[str, Any]:
        return {self.names[id]: picture for id, picture in self.stored.items()}

    def source(self, id: str) -> Source:
        if id not in self.stored:
            raise StudioError("There is no such picture: it may have been deleted for good.", status=404)
        name = self.names[id]
        return Source(id, name, self.prompts.get(name, ""), is_clip=isinstance(self.stored[id], Path))

    def picture(self, id: str, *, alpha: bool = False) -> Image.Image:
        self.opened.append(self.names[id])
        found = self.stored[id]
        if isinstance(found, StudioError):
            raise found
        assert isinstance(found, Image.Image)
        return found if alpha else found.convert("RGB")

    def file(self, id: str) -> Path:
        found = self.stored[id]
        assert isinstance(found, Path)
        return found

    def keep_vectors(self, model: str, vectors: Mapping[tuple[str, float], NDArray[np.float32]]) -> None:
        self.vectors.setdefault(model, {}).update(vectors)


def run(capability: Capability, context: Viewer, **fields: Any) -> list[Record]:
    """Validate, prepare and run a request about all pictures of ``context`` unless ``fields`` say otherwise."""
    if "pictures" in slots(capability.request):
        fields = {"pictures": context.ids, **fields}
    request = capability.prepare(capability.request(**fields), context.catalog)
    return [record for record in capability.run(request, context) if isinstance(record, Record)]
