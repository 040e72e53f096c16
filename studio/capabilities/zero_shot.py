"""Zero-shot classification: sort pictures by any labels, without training."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from studio.capability import Capability, Context, Record
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.reading.labels import (
    LabelsRequest,
    check_templates,
    choose_mode,
    label_notes,
    label_vectors,
    merge,
    to_probabilities,
)
from studio.reading.reading import Item, Reading, check_pictures, with_notes

MAX_ROWS = 500_000
"""Labels of all pictures that are kept, at about 80 bytes each."""
MAX_HEAT_PICTURES = 100
HEAT_LABELS = 5
HEAT_SIDE = 64


class ZeroShotRequest(LabelsRequest):
    """Which pictures to sort by which labels."""

    heat_map: bool = Field(
        default=False, description=f"Also show where the {HEAT_LABELS} likeliest labels are seen in each picture."
    )


class ZeroShot(Capability):
    """See `ZeroShotRequest`."""

    name = "zero-shot"
    title = "Sort by labels"
    summary = "Tell which of any labels fits each picture."
    request = ZeroShotRequest
    makes = "records"
    light = 8

    def prepare(self, request: ZeroShotRequest, catalog: Catalog) -> ZeroShotRequest:
        check_pictures(request)
        if not request.labels:
            raise StudioError("Write at least one label, such as: cat, dog.", field="labels")
        check_templates(request.labels, request.templates)
        family = catalog.able(request.model, "embed")
        mode = choose_mode(catalog, family, request.mode)
        if request.heat_map:
            catalog.able(family.id, "heat-map")
            if len(request.pictures) > MAX_HEAT_PICTURES:
                raise StudioError(
                    f"Heat maps are made for at most {MAX_HEAT_PICTURES} pictures at once; choose fewer pictures.",
                    field="heat_map",
                )
        return request.model_copy(update={"model": family.id, "mode": mode})

    def work(self, request: ZeroShotRequest) -> float:
        return float(len(request.pictures))

    def run(self, request: ZeroShotRequest, context: Context) -> Iterator[Record]:
        labels = merge(request.labels)
        kept = min(len(labels), max(20, MAX_ROWS // len(request.pictures)))
        notes = label_notes(request, labels)
        if kept < len(labels):
            notes.append(f"Of {len(labels)} labels the {kept} likeliest of each picture are kept.")
        return with_notes(_sort(request, context, labels, kept), notes)


def _sort(request: ZeroShotRequest, context: Context, labels: Sequence[str], kept: int) -> Iterator[Record]:
    reading = Reading(context, request.model, request.pictures)
    texts = label_vectors(reading, labels, request.templates)
    scale, bias = reading.run(lambda reader: (float(reader.scale), reader.bias))
    for item, vector in reading.vectors():
        if vector is None:
            yield item.record()
            continue
        cosines = texts @ vector
        probabilities = to_probabilities(cosines, request.mode, scale, bias)
        best = np.argsort(-cosines, kind="stable")[:kept].tolist()
        rows = [
            {
                "label": labels[place],
                "probability": round(float(probabilities[place]), 6),
                "cosine": round(float(cosines[place]), 4),
            }
            for place in best
        ]
        heat: dict[str, Any] = {}
        if request.heat_map:
            item, heat["heat"] = _heat(reading, item, texts, labels, best[:HEAT_LABELS])
        yield item.record(top=labels[best[0]], labels=rows, **heat)


def _heat(
    reading: Reading, item: Item, texts: NDArray[np.float32], labels: Sequence[str], places: Sequence[int]
) -> tuple[Item, dict[str, str]]:
    item, maps = reading.about(item, lambda reader, image=item.image: reader.heat(image, texts))
    return item, {labels[place]: _as_png(maps[place]) for place in places} if maps is not None else {}


def _as_png(values: NDArray[np.float32]) -> str:
    """Values [h, w] in 0..1 as the data URI of a grey PNG of 64 pixels a side."""
    image = Image.fromarray((np.clip(values, 0, 1) * 255).round().astype(np.uint8), "L")
    buffer = io.BytesIO()
    image.resize((HEAT_SIDE, HEAT_SIDE), Image.Resampling.BICUBIC).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
