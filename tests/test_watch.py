from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from studio.capabilities import BY_NAME
from studio.capabilities.watch import segments
from studio.errors import Cancelled, StudioError
from studio.media.clips import Clip
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from tests import tiny
from tests.viewing import Viewer, id_of, run, scene, starter_catalog

WATCH: Any = BY_NAME["watch"]
LABELS = ["red", "green", "blue"]
TEMPLATES = ["an apple on a {} background"]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return starter_catalog(tmp_path_factory.mktemp("watch"))


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    return ModelManager(catalog.settings, catalog)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two seconds of red, then one of green, then one of blue, in every format."""
    folder = tmp_path_factory.mktemp("clips")
    red, green, blue = (scene("apple", background=colour) for colour in LABELS)
    shown = [red] * 20 + [green] * 10 + [blue] * 10
    made: dict[str, Any] = {}
    for name, code in (("film.mp4", "mp4v"), ("film.webm", "VP80")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*code), 10, (256, 256))
        for image in shown:
            writer.write(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR))
        writer.release()
        made[name] = folder / name
    for name in ("film.gif", "film.webp"):
        red.save(folder / name, save_all=True, append_images=[green, blue], duration=[2000, 1000, 1000])
        made[name] = folder / name
    return made


@pytest.mark.parametrize("name", ["film.mp4", "film.webm", "film.gif", "film.webp"])
def test_frames_carry_their_times(name: str, clips: dict[str, Any]) -> None:
    clip = Clip(clips[name])
    assert clip.seconds == pytest.approx(4, abs=0.05)
    frames = list(clip.frames(every=1, most=100))
    times = [frame.time for frame in frames]
    assert times == ([0, 2, 3] if name in ("film.gif", "film.webp") else [0, 1, 2, 3])
    assert all(frame.image.mode == "RGB" for frame in frames)
    first, last = (np.asarray(frame.image)[4, 4] for frame in (frames[0], frames[-1]))
    assert first[0] > first[2] and last[2] > last[0]
    assert len(list(clip.frames(every=0.1, most=2))) == 2


def test_a_clip_without_an_index_is_counted(clips: dict[str, Any], tmp_path: Path) -> None:
    """As browsers record: no length in the header."""
    body = clips["film.webm"].read_bytes()
    at = body.index(bytes.fromhex("4489"))  # the element "Duration" of the segment's information
    assert body[at + 2] in (0x84, 0x88)
    (tmp_path / "live.webm").write_bytes(body[:at] + b"\xec" + bytes([0x81 + body[at + 2] - 0x80]) + body[at + 3 :])
    clip = Clip(tmp_path / "live.webm")
    assert clip.seconds == pytest.approx(4, abs=0.15)
    assert [frame.time for frame in clip.frames(1, 100)] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_what_is_seen_when(name: str, clips: dict[str, Any], catalog: Catalog, models: ModelManager) -> None:
    context = Viewer(catalog, models, {name: clips[name]})
    [record] = run(WATCH, context, labels=LABELS, templates=TEMPLATES)
    data = record.data
    assert (data["clip"], data["name"]) == (id_of(name), name) and data["seconds"] == pytest.approx(4, abs=0.05)
    assert [part["label"] for part in data["segments"]] == LABELS
    assert [part["start"] for part in data["segments"]] == [0, 2, 3]
    assert [part["end"] for part in data["segments"]] == [2, 3, pytest.approx(4, abs=0.05)]
    for frame in data["frames"]:
        assert sum(row["probability"] for row in frame["labels"]) == pytest.approx(1, abs=1e-3)
    kept = context.vectors["starter-clip"]
    assert [time for _, time in kept] == [frame["time"] for frame in data["frames"]]
    told = data["description"].splitlines()
    assert told[0].startswith("0:00.0 ") and "apple on a red background" in told[0]
    assert len(told) == 3 and "red" not in told[-1] and data["actions"] == []
    json.dumps(data)


def test_no_labels_are_needed_and_pictures_and_broken_files_are_told(
    clips: dict[str, Any], catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clips["film.mp4"].read_bytes()[:3000])
    context = Viewer(
        catalog, models, {"picture": Image.new("RGB", (9, 9)), "broken": broken, "film": clips["film.gif"]}
    )
    records = run(WATCH, context, pictures=[*context.ids, "0" * 32])
    assert [record.index for record in records] == [0, 1, 2, 3]
    assert "not a clip" in records[0].data["error"] and "cannot be read" in records[1].data["error"]
    assert "no such picture" in records[3].data["error"]
    assert records[2].data["segments"] == [] and len(records[2].data["frames"]) == 3
    assert run(WATCH, Viewer(catalog, models, {"film": clips["film.gif"]}, kept=[0])) == []


def test_cancel_stops_in_the_middle_of_a_clip(clips: dict[str, Any], catalog: Catalog, models: ModelManager) -> None:
    class Impatient(Viewer):
        def progress(self, step: int, steps: int, preview: Any = None, message: str = "") -> None:
            super().progress(step, steps, preview, message)
            if message.startswith("Looking at second 1"):
                raise Cancelled

    context = Impatient(catalog, models, {"film": clips["film.mp4"]})
    with pytest.raises(Cancelled):
        run(WATCH, context, every=0.1)
    assert context.vectors == {}


def test_a_captioner_describes_and_a_model_of_actions_names_them(
    clips: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    catalog = tiny.catalog(tmp_path_factory.mktemp("actions"), "starter-clip", "starter-caption", "videomae")
    context = Viewer(catalog, ModelManager(catalog.settings, catalog), {"film": clips["film.gif"]})
    [record] = run(WATCH, context, labels=LABELS)
    assert record.data["description"].startswith("0:00.0 ")
    actions = record.data["actions"]
    assert actions and {row["model"] for row in actions} == {"videomae"}
    assert [row["probability"] for row in actions] == sorted((row["probability"] for row in actions), reverse=True)


def test_segments_end_where_no_label_is_sure() -> None:
    def frame(time: float, **likely: float) -> dict[str, Any]:
        rows = [{"label": label, "probability": value} for label, value in likely.items()]
        return {"time": time, "labels": sorted(rows, key=lambda row: -row["probability"])}

    frames = [frame(0, a=0.9, b=0.1), frame(1, a=0.4, b=0.3), frame(2, a=0.8), frame(3, a=0.7), frame(4, b=0.6)]
    assert segments(frames, 4.5) == [
        {"label": "a", "start": 0, "end": 1},
        {"label": "a", "start": 2, "end": 4},
        {"label": "b", "start": 4, "end": 4.5},
    ]
    assert segments([], 1.0) == [] and segments([{"time": 0, "labels": []}], 1.0) == []


@pytest.mark.parametrize(
    ("fields", "sentence", "field"),
    [
        ({"pictures": []}, "at least one picture", "pictures"),
        ({"templates": ["a"], "labels": "x"}, "needs one {}", "templates"),
        ({"mode": "sigmoid"}, "no independent probabilities", "mode"),
        ({"model": "starter"}, "cannot do embed", "model"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], sentence: str, field: str, catalog: Catalog) -> None:
    with pytest.raises(StudioError, match=sentence) as caught:
        WATCH.prepare(WATCH.request(**{"pictures": ["0" * 32], **fields}), catalog)
    assert caught.value.field == field
