"""One job's way through the pictures it was given: opened one at a time, read in batches, told step by step.

What every capability that reads pictures needs: the model by its feature, progress and cancel at each picture, what an
earlier attempt has kept left out, and a picture that cannot be opened, or on which the model fails, told in its own
record while the rest goes on. Models are reached through the job's `Context`; torch stays inside it.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from studio.capability import Context, PicturesRequest, Record, Source
from studio.errors import Cancelled, StudioError, is_poisoned
from studio.media.clips import Clip, Frame
from studio.reading.doubt import doubt_of, warning

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

T = TypeVar("T")

BATCH = 16
BATCH_PIXELS = 16_000_000
"""Open pictures wait in memory for their batch: 16 of a megapixel each, or one of a camera's."""
FILM_BATCH = 8
LINES = 256
"""Lines of text that a model reads between two looks at whether the job was cancelled."""


class Unread(StudioError):
    """The model was there and failed on what it was given: this picture's misfortune, not the job's."""


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
    doubt: str | None = None
    """Of a model that knows a toy world: why its answer is a guess, or "" for a picture of that world."""

    def record(self, **data: Any) -> Record:
        """The answer about this picture; the sentence alone where it could not be opened."""
        said = {"error": self.error} if self.error else {**data, **doubted(self.doubt)}
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
        """``work(reader)`` with the job's model, or another one; repeated by the manager where memory runs out.

        Raises `Unread` for whatever goes wrong inside ``work``, but a device that is broken for good.
        """
        from studio.models.spec import UNDERSTANDING, PipelineSpec

        def loading(done: int, total: int, message: str) -> None:
            self.tell(message + (f" ({done / total:.0%})" if total else ""))

        at_work = False

        def watched(reader: Any) -> T:
            nonlocal at_work
            at_work = True
            reader.tick = lambda: self.tell("Thinking")  # after each word of an answer
            return work(reader)

        try:
            return self.context.models.run(PipelineSpec(model or self.model, UNDERSTANDING), watched, loading)
        except Cancelled:
            raise
        except Exception as error:
            if not at_work or is_poisoned(error):
                raise
            if isinstance(error, StudioError):
                raise Unread(error.message, field=error.field, status=error.status) from error
            log.warning("a model failed on what it was given", exc_info=True)
            raise Unread(_sentence(error, self.context.catalog.get(model or self.model).name)) from error

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
        except (OSError, ValueError, MemoryError) as error:
            log.warning("%s cannot be opened", source.id, exc_info=True)
            return Item(index, source, None, f"This file cannot be opened ({type(error).__name__}); hand it in again.")

    def batches(self, most: int = BATCH, *, doubt: bool = True) -> Iterator[list[Item]]:
        """All pictures that no earlier attempt has kept, at most ``most`` and `BATCH_PIXELS` at a time.

        Of a model that knows a toy world each carries its `Item.doubt`, unless ``doubt`` is off.
        """
        for batch in self._batches(most):
            seen = [item for item in batch if item.image is not None]
            told = self.doubts([item.image for item in seen if item.image is not None]) if doubt and seen else ()
            known = {item.index: why for item, why in zip(seen, told, strict=False)}
            yield [replace(item, doubt=known.get(item.index)) for item in batch]

    def doubts(self, images: Sequence[Image]) -> Sequence[str | None]:
        """`Item.doubt` of each picture; empty for a model of the real world."""
        catalog = self.context.catalog
        family = catalog.get(self.model)
        if not family.world or not catalog.available(family.world):
            return ()
        known = doubt_of(catalog.location(family.world))
        if known is None:
            return ()
        try:
            outside = known.outside(self.run(lambda reader: reader.texture(images), family.world))
        except Unread:  # the model itself says so when it is asked
            return ()
        why = warning(family, catalog)
        return [why if each else "" for each in outside]

    def _batches(self, most: int) -> Iterator[list[Item]]:
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

    def about(self, item: Item, work: Callable[[Any], T]) -> tuple[Item, T | None]:
        """``work(reader)`` about one open picture; the item with a sentence and None where the model fails on it."""
        try:
            return item, self.run(work)
        except Unread as error:
            return replace(item, image=None, error=error.message), None

    def looked(self, items: Sequence[Item]) -> list[tuple[Item, NDArray[np.float32] | None]]:
        """Each of ``items`` with its unit vector [d], or None and a sentence where it is not open or cannot be read.

        Read together; one by one where that fails.
        """
        seen = [(item, item.image) for item in items if item.image is not None]
        try:
            vectors = list(self.look([image for _, image in seen])) if seen else []
            found = {item.index: (item, vector) for (item, _), vector in zip(seen, vectors, strict=True)}
        except Unread:
            alone = [
                (item, self.about(item, lambda reader, image=image: reader.pictures([image])[0]))
                for item, image in seen
            ]
            found = {item.index: answer for item, answer in alone}
        return [found.get(item.index, (item, None)) for item in items]

    def vectors(self) -> Iterator[tuple[Item, NDArray[np.float32] | None]]:
        """Every picture of `batches` with its unit vector [d], or None where it cannot be opened or read."""
        for batch in self.batches():
            yield from self.looked(batch)

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


def doubted(doubt: str | None) -> dict[str, Any]:
    """What a record says of an `Item.doubt`."""
    if doubt is None:
        return {}
    return {"outside_world": True, "doubt": doubt} if doubt else {"outside_world": False}


def mostly(doubts: Iterable[str | None]) -> str | None:
    """The `Item.doubt` that more than half of many have; None where none is known."""
    known = sorted(each for each in doubts if each is not None)
    return known[len(known) // 2] if known else None


def with_notes(records: Iterable[Record], notes: Sequence[str]) -> Iterator[Record]:
    """``records``, the first of them carrying ``notes``: they are said once for a whole job."""
    for record in records:
        yield replace(record, notes=(*record.notes, *notes)) if notes else record
        notes = ()


def _sentence(error: Exception, model: str) -> str:
    """What a library says, in a sentence of ours."""
    said = " ".join(str(error).split())[:160].rstrip(" .:;,")
    return (
        f"{model} cannot read this picture ({said or type(error).__name__}); crop or scale it, or choose another model."
    )
