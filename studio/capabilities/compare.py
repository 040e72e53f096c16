"""Compare two sets of pictures: is this synthetic set close to the real one?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field, StringConstraints

from studio.capability import Capability, Context, PicturesRequest, Record
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.reading.measures import Inception, Vectors, cmmd, frechet, inception_score, kernel_distance, likeness, vendi
from studio.reading.reading import Item, Reading, check_pictures, doubted, mostly
from studio.references import BoardOf, PictureId

INCEPTION = "inception/model.safetensors"
"""Below the folder of the models: weights of the network that published values are measured with."""
FEW = 50
ODD_ONES = 8


OtherBoardId = Annotated[str, StringConstraints(max_length=64), BoardOf("others")]


class CompareRequest(PicturesRequest):
    """Two sets of pictures, each a list or a board."""

    others: tuple[PictureId, ...] = Field(
        default=(), max_length=5000, description="Ids of the pictures to compare with, such as the real ones."
    )
    other_board: OtherBoardId = Field(default="", description="Id of a board to compare with.")
    model: str = Field(default="", max_length=64, description="Model id; empty is the model of the search.")


class Compare(Capability):
    """See `CompareRequest`."""

    name = "compare"
    title = "Compare"
    summary = "Measure how close two sets of pictures are, and how varied each is."
    request = CompareRequest
    makes = "records"
    light = 8

    def prepare(self, request: CompareRequest, catalog: Catalog) -> CompareRequest:
        check_pictures(request)
        for field, name, pictures in (("pictures", "first", request.pictures), ("others", "second", request.others)):
            if len(pictures) < 2:
                raise StudioError(f"The {name} set needs at least 2 pictures; it has {len(pictures)}.", field=field)
        return request.model_copy(update={"model": catalog.able(request.model, "embed").id})

    def work(self, request: CompareRequest) -> float:
        return float(len(request.pictures) + len(request.others))

    def run(self, request: CompareRequest, context: Context) -> Iterator[Record]:
        if 0 in context.kept:
            return
        reading = Reading(context, request.model, (*request.pictures, *request.others))
        file = context.settings.models_dir / INCEPTION
        inception = Inception(file) if file.is_file() else None
        read: list[tuple[Item, Vectors | None]] = []
        seen: dict[int, tuple[Vectors, Vectors]] = {}
        for item, vector in reading.vectors():
            if inception and item.image and vector is not None:
                reading.tell()
                seen[item.index] = inception.look(item.image)
            read.append((replace(item, image=None), vector))  # thousands of open pictures would fill the memory
        first = [row for row in read if row[0].index < len(request.pictures)]
        second = [row for row in read if row[0].index >= len(request.pictures)]
        one, other = _stack(first, "first"), _stack(second, "second")
        reading.tell("Comparing")
        notes = [
            f"All measures are on the vectors of {context.catalog.get(request.model).name}: "
            "compare them with each other, not with values of other models or papers."
        ]
        if not inception:
            notes.append("Values as papers print them need the Inception weights; the guide says how to bring them.")
        few, dimensions = min(len(one), len(other)), one.shape[1]
        if few < FEW:
            notes.append(f"With {few} pictures in a set these values mostly show chance; use at least {FEW}.")
        if few <= dimensions:
            notes.append(
                f"FID needs more pictures than the model has dimensions ({dimensions}) and comes out too large with "
                f"{few}; CMMD and KID bear few pictures better."
            )
        yield Record(
            0,
            {
                "model": request.model,
                "dimensions": dimensions,
                "count": len(one),
                "other_count": len(other),
                "fid": round(frechet(one, other), 6),
                "kid": _rounded(kernel_distance(one, other, lambda: reading.tell("Comparing"))),
                "cmmd": round(cmmd(one, other), 4),
                "vendi": round(vendi(one), 3),
                "other_vendi": round(vendi(other), 3),
                "inception": _inception(reading, first, second, seen),
                "odd": _odd(first, one, other),
                "other_odd": _odd(second, other, one),
                **doubted(mostly(item.doubt for item, _ in read)),
                "unreadable": [item.record().data for item, vector in read if vector is None],
            },
            notes=tuple(notes),
        )


def _stack(rows: list[tuple[Item, Vectors | None]], name: str) -> Vectors:
    vectors = [vector for _, vector in rows if vector is not None]
    if len(vectors) < 2:
        raise StudioError(f"Fewer than 2 pictures of the {name} set can be read; choose others.", field="pictures")
    return np.stack(vectors)


def _inception(
    reading: Reading,
    first: list[tuple[Item, Vectors | None]],
    second: list[tuple[Item, Vectors | None]],
    seen: dict[int, tuple[Vectors, Vectors]],
) -> dict[str, Any] | None:
    if not seen:
        return None
    one, other = ([seen[item.index] for item, _ in rows if item.index in seen] for rows in (first, second))
    features, scores = np.stack([row[0] for row in one]), np.stack([row[1] for row in one])
    other_features, other_scores = np.stack([row[0] for row in other]), np.stack([row[1] for row in other])
    return {
        "fid": round(frechet(features, other_features), 4),
        "kid": _rounded(kernel_distance(features, other_features, lambda: reading.tell("Comparing"))),
        "score": round(inception_score(scores), 3),
        "other_score": round(inception_score(other_scores), 3),
    }


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 8) for key, value in values.items()}


def _odd(rows: list[tuple[Item, Vectors | None]], vectors: Vectors, others: Vectors) -> list[dict[str, Any]]:
    """The pictures least like anything in the other set, with the cosine of what is most like them."""
    items = [item for item, vector in rows if vector is not None]
    found = likeness(vectors, others)
    return [
        {"picture": items[at].source.id, "name": items[at].source.name, "likeness": round(float(found[at]), 4)}
        for at in np.argsort(found, kind="stable")[:ODD_ONES]
    ]
