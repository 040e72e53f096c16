"""What may run beside a drawing: small answers somebody waits for, by models that fit in main memory."""

from __future__ import annotations

import math

from studio.capability import Capability, Request
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.weights import WEIGHTS, disk_bytes, read_header, visible
from studio.settings import Settings


class LightLane:
    """The rule of the light lane, which runs on the processor, in single precision, whatever the accelerator is."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._catalog = catalog
        self._most = settings.light_memory_gb * 1e9
        self._sizes: dict[str, float] = {}

    def takes(self, capability: Capability, request: Request, priority: int) -> bool:
        """Whether a prepared request may run there: a small one that somebody waits for."""
        model = str(getattr(request, "model", ""))
        small = 0 < capability.work(request) <= capability.light and priority >= 0
        return small and self._most > 0 and (not model or self.fits(model))

    def search_model(self) -> str:
        """The family that reads words for the search, where it may run here; "" otherwise."""
        try:
            model = self._catalog.default_for("embed").id
        except StudioError:
            return ""
        return model if self.fits(model) else ""

    def fits(self, family: str) -> bool:
        """Whether the family's weights, 4 bytes a number (of ONNX as on the disk), are small enough to be held a second
        time."""
        try:
            place = self._catalog.location(family)
            key = str(place)
            if key not in self._sizes:
                files = [place] if place.is_file() else [file for file in visible(place) if file.suffix in WEIGHTS]
                onnx = [file for file in files if file.suffix == ".onnx"]
                plain = [file for file in files if file not in onnx]
                shapes = [shape for file in plain for shape in read_header(file).shapes.values()]
                if not shapes and not onnx:  # not downloaded yet
                    return False
                self._sizes[key] = 4.0 * sum(math.prod(shape) for shape in shapes) + disk_bytes(onnx)
        except (StudioError, OSError):
            return False
        return self._sizes[key] <= self._most
