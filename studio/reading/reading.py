"""One job's way through the pictures it was given: opened one at a time, read in batches, told step by step.

What every capability that reads pictures needs: the model by its feature, progress and cancel at each picture, what an
earlier attempt has kept left out, and a picture that cannot be opened told in its own record while the rest goes on.
Models are reached through the job's `Context`; torch stays inside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from studio.capability import Context, PicturesRequest, Record, Source
from studio.errors import StudioError
from studio.media.clips import Clip, Frame

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

BATCH = 16
BATCH_PIXELS = 16_000_000
"""Open pictures wait in memory for their batch: 16 of a megapixel each, or one of a camera's."""
FILM_BATCH = 8
LINES = 256
"""Lines of text that a model reads between two looks at whether the job was cancelled."""


def check_pictures(request: PicturesRequest, most: int = 5000) -> None:
    """Raise `StudioError` unless ``request``, its board already replaced by what is in it, names 1 to ``most``."""
    if not request.pictures:
        raise StudioError("Choose at least one picture, or a board with pictures in it.", field="pictures")
    if len(request.pictures) > most:
        raise StudioError(
            f"At most {most} {'picture' if most == 1 else 'pictures'} can be given here; "
            f"choose fewer than these {len(request.pictures)}.",
            field="pictures",
        )


@dataclass(frozen=True)
class Item:
    """One picture of a request: open, or with the sentence that says why it is not."""

    index: int
    source: Source
    image: Image | None
    error: str = ""

    def record(self, **data: Any) -> Record:
        """The answer about this picture; the sentence alone where it could not be opened."""
        said = {"error": self.error} if self.error else data
        return Record(self.index, {"picture": self.source.id, "name": self.source.name, **said})


class Reading:
    """The pictures ``ids`` of a running job and the model that reads them. Make one in `Capability.run`."""

    def __init__(self, context: Context, model: str, ids: Sequence[str]) -> None:
        self.context = context
        self.model = model
        self.ids = tuple(ids)
        self.done = 0
        self.tell()

    def tell(self, message: str = "") -> None:
        """Report where the job is. Raises `studio.errors.Cancelled` once its owner has cancelled."""
        self.context.progress(self.done, len(self.ids), message=message)

    def run(self, work: Callable[[Any], T], model: str = "") -> T:
        """``work(reader)`` with the job's model, or another one; repeated by the manager where memory runs out."""
        from studio.models.spec import UNDERSTANDING, PipelineSpec

        def loading(done: int, total: int, message: str) -> None:
            self.tell(message + (f" ({done / total:.0%})" if total else ""))

        def watched(reader: Any) -> T:
            reader.tick = lambda: self.tell("Thinking")  # after each word of an answer
            return work(reader)

        return self.context.models.run(PipelineSpec(model or self.model, UNDERSTANDING), watched, loading)

    def open(self, index: int) -> Item:
        """Picture ``index`` of the request, whatever state it is in."""
        source = Source(self.ids[index], self.ids[index])
        try:
            source = self.context.source(source.id)
            if source.is_clip:
                return Item(index, source, None, "This is a clip; it can be looked at with 'watch'.")
            return Item(index, source, self.context.picture(source.id))
        except StudioError as error:
            return Item(index, source, None, error.message)

    def batches(self, most: int = BATCH) -> Iterator[list[Item]]:
        """All pictures that no earlier attempt has kept, at most ``most`` and `BATCH_PIXELS` at a time."""
        waiting: list[Item] = []
        pixels = 0
        for index in range(len(self.ids)):
            self.done = index
            if index in self.context.kept:
                continue
            self.tell()
            item = self.open(index)
            size = item.image.width * item.image.height if item.image else 0
            if waiting and (len(waiting) == most or pixels + size > BATCH_PIXELS):
                yield waiting
                waiting, pixels = [], 0
            waiting.append(item)
            pixels += size
        if waiting:
            self.done = len(self.ids)
            yield waiting
        self.done = len(self.ids)
        self.tell()

    def items(self) -> Iterator[Item]:
        """`batches` of one: for models that take seconds over a picture, so that each answer is kept at once."""
        for batch in self.batches(1):
            yield from batch

    def look(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Unit vectors [pictures, d]."""
        return self.run(lambda reader: reader.pictures(images))

    def vectors(self) -> Iterator[tuple[Item, NDArray[np.float32] | None]]:
        """Every picture of `batches` with its unit vector [d], or None where it could not be opened."""
        for batch in self.batches():
            images = [item.image for item in batch if item.image is not None]
            found = iter(self.look(images) if images else ())
            for item in batch:
                yield item, (next(found) if item.image is not None else None)

    def film(self, clip: Clip, every: float, most: int) -> Iterator[tuple[Frame, NDArray[np.float32]]]:
        """The frames that `Clip.frames` gives, each with its unit vector [d]."""
        frames = clip.frames(every, most)
        while waiting := list(itertools.islice(frames, FILM_BATCH)):
            self.tell(f"Looking at second {waiting[0].time:.0f} of {clip.seconds:.0f}")
            yield from zip(waiting, self.look([frame.image for frame in waiting]), strict=True)

    def read(self, lines: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [lines, d] of texts."""
        parts = []
        for start in range(0, len(lines), LINES):
            if start:
                self.tell(f"Reading the words ({start} of {len(lines)})")
            some = list(lines[start : start + LINES])
            parts.append(self.run(lambda reader, some=some: reader.texts(some)))
        return np.concatenate(parts)


def with_notes(records: Iterable[Record], notes: Sequence[str]) -> Iterator[Record]:
    """``records``, the first of them carrying ``notes``: they are said once for a whole job."""
    for record in records:
        yield replace(record, notes=(*record.notes, *notes)) if notes else record
        notes = ()
