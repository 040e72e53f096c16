"""Watch: what a clip shows, second by second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from PIL.Image import Image
from pydantic import Field

from studio.capability import Capability, Context, Record
from studio.errors import StudioError
from studio.media.clips import Clip
from studio.models.catalog import Catalog
from studio.models.families import Family, Feature
from studio.reading.labels import (
    Labels,
    LabelsRequest,
    check_templates,
    choose_mode,
    label_notes,
    label_vectors,
    labels_field,
    merge,
    to_probabilities,
)
from studio.reading.reading import Reading, check_pictures, doubted, mostly, with_notes

MAX_CLIPS = 100
MAX_FRAMES = 600
SURE = 0.5
"""A frame shows a label that is at least this likely."""
KEY_FRAMES = 4
TAKES = 32
TAKE_SIDE = 448
"""Frames of a whole clip, evenly spread, from which a model of actions takes as many as it was made for."""
MAX_ACTIONS = 5


class WatchRequest(LabelsRequest):
    """Which clips to watch, and what to look for."""

    labels: Labels = labels_field(50)
    every: float = Field(default=1.0, ge=0.1, le=60, description="Seconds between two frames that are looked at.")


class Watch(Capability):
    """See `WatchRequest`. The frames' vectors are kept, so that the search finds the moment."""

    name = "watch"
    title = "Watch"
    summary = "Tell what a clip shows, second by second."
    request = WatchRequest
    makes = "records"
    light = 1

    def prepare(self, request: WatchRequest, catalog: Catalog) -> WatchRequest:
        check_pictures(request, MAX_CLIPS)
        if request.labels:
            check_templates(request.labels, request.templates)
        family = catalog.able(request.model, "embed")
        return request.model_copy(update={"model": family.id, "mode": choose_mode(catalog, family, request.mode)})

    def work(self, request: WatchRequest) -> float:
        return float(len(request.pictures))

    def run(self, request: WatchRequest, context: Context) -> Iterator[Record]:
        labels = merge(request.labels)
        return with_notes(_watch(request, context, labels), label_notes(request, labels))


def _watch(request: WatchRequest, context: Context, labels: Sequence[str]) -> Iterator[Record]:
    reading = Reading(context, request.model, request.pictures)
    texts = label_vectors(reading, labels, request.templates) if labels else None
    scale, bias = reading.run(lambda reader: (float(reader.scale), reader.bias))
    for index, id in enumerate(reading.ids):
        reading.done = index
        if index in context.kept:
            continue
        source = None
        try:
            source = context.source(id)
            if not source.is_clip:
                raise StudioError("This is a picture, not a clip; sort it or ask about it instead.", field="pictures")
            clip = Clip(context.file(id))
            frames: list[dict[str, Any]] = []
            vectors = {}
            for frame, vector in reading.film(clip, request.every, MAX_FRAMES):
                vectors[id, frame.time] = vector
                likely = to_probabilities(texts @ vector, request.mode, scale, bias) if texts is not None else ()
                rows = [
                    {"label": label, "probability": round(float(value), 4)}
                    for label, value in zip(labels, likely, strict=True)
                ]
                frames.append({"time": frame.time, "labels": sorted(rows, key=lambda row: -row["probability"])})
            context.keep_vectors(request.model, vectors)
            parts = segments(frames, clip.seconds)
            yield Record(
                index,
                {
                    "clip": id,
                    "name": source.name,
                    "seconds": round(clip.seconds, 3),
                    "frames": frames,
                    "segments": parts,
                    "description": _describe(reading, clip, parts),
                    "actions": _actions(reading, clip),
                    **doubted(mostly(reading.doubts(_key_frames(clip)))),
                },
            )
        except StudioError as error:
            yield Record(index, {"clip": id, "name": source.name if source else id, "error": error.message})
    reading.done = len(reading.ids)
    reading.tell()


def segments(frames: Sequence[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """Runs of frames with the same likeliest label, from the first frame to the one after; an unsure frame ends one."""
    found: list[dict[str, Any]] = []
    for place, frame in enumerate(frames):
        best = frame["labels"][0] if frame["labels"] else None
        if best is None or best["probability"] < SURE:
            continue
        last = place + 1 == len(frames)
        end = max(round(seconds, 3), frame["time"]) if last else frames[place + 1]["time"]
        if found and found[-1]["label"] == best["label"] and found[-1]["end"] == frame["time"]:
            found[-1]["end"] = end
        else:
            found.append({"label": best["label"], "start": frame["time"], "end": end})
    return found


def _key_frames(clip: Clip) -> list[Image]:
    return [frame.image for frame in clip.frames(clip.seconds / KEY_FRAMES, KEY_FRAMES)]


def _describe(reading: Reading, clip: Clip, parts: Sequence[dict[str, Any]]) -> str:
    """Captions of a few moments, or where no model for captions is here, the labels that were seen."""
    captioner = _first(reading.context.catalog, "caption")
    if captioner is None:
        return "; ".join(f"{_clock(part['start'])} {part['label']}" for part in parts)
    told: list[str] = []
    for frame in clip.frames(clip.seconds / KEY_FRAMES, KEY_FRAMES):
        reading.tell("Describing")
        said = reading.run(lambda reader, image=frame.image: reader.caption(image, "alt"), captioner.id)
        if not told or not told[-1].endswith(f" {said}"):
            told.append(f"{_clock(frame.time)} {said}")
    return "\n".join(told)


def _actions(reading: Reading, clip: Clip) -> list[dict[str, Any]]:
    """What a model of actions sees in the whole clip; empty where none is here."""
    family = _first(reading.context.catalog, "labels", "video")
    if family is None:
        return []
    takes = []
    for frame in clip.frames(clip.seconds / TAKES, TAKES):
        frame.image.thumbnail((TAKE_SIDE, TAKE_SIDE))
        takes.append(frame.image)
    reading.tell("Naming actions")
    [found] = reading.run(lambda reader: reader.labels(takes), family.id)
    return [
        {"label": label, "probability": round(value, 4), "model": family.id}
        for label, value in list(found.items())[:MAX_ACTIONS]
    ]


def _first(catalog: Catalog, *features: Feature) -> Family | None:
    rows = (row for row in catalog.all("understanding") if all(row.supports(feature) for feature in features))
    return next((row for row in rows if catalog.available(row.id)), None)


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"
