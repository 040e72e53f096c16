from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.capabilities import BY_NAME
from studio.errors import Cancelled, StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.models.spec import UNDERSTANDING, PipelineSpec
from tests import tiny
from tests.viewing import Viewer, id_of, run, scene, starter_catalog

EMBED: Any = BY_NAME["embed"]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return starter_catalog(tmp_path_factory.mktemp("embed"))


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    return ModelManager(catalog.settings, catalog)


def flat(colour: str) -> Image.Image:
    return Image.new("RGB", (64, 64), colour)


def gif(at: Path, *colours: str) -> Path:
    """One second of each colour."""
    frames = [flat(colour) for colour in colours]
    frames[0].save(at, save_all=True, append_images=frames[1:], duration=1000)
    return at


def test_vectors_are_kept_and_the_picture_nearest_to_the_words_is_the_right_one(
    catalog: Catalog, models: ModelManager
) -> None:
    colours = ("red", "green", "blue", "yellow")
    context = Viewer(catalog, models, {colour: scene("apple", background=colour) for colour in colours})
    assert run(EMBED, context) == []
    kept = context.vectors["starter-clip"]
    assert list(kept) == [(id_of(colour), 0.0) for colour in colours]
    pictures = np.stack(list(kept.values()))
    assert np.allclose(np.linalg.norm(pictures, axis=1), 1, atol=1e-4)

    with models.use(PipelineSpec("starter-clip", UNDERSTANDING)) as reader:
        words = reader.texts([f"an apple on a {colour} background" for colour in colours])
    assert words.shape == pictures.shape and np.allclose(np.linalg.norm(words, axis=1), 1, atol=1e-4)
    assert (words @ pictures.T).argmax(1).tolist() == [0, 1, 2, 3]


def test_what_cannot_be_read_is_told_and_the_rest_is_kept(
    catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"no clip")
    pictures: dict[str, Any] = {
        "bad": StudioError("This file is not a readable picture."),
        "good": flat("red"),
        "clip": gif(tmp_path / "clip.gif", "red", "blue"),
        "damaged": damaged,
    }
    context = Viewer(catalog, models, pictures)
    records = run(EMBED, context, pictures=[*context.ids, "0" * 32])
    assert [(record.index, record.data["name"]) for record in records] == [(0, "bad"), (3, "damaged"), (4, "0" * 32)]
    assert "not a readable picture" in records[0].data["error"] and "cannot be read" in records[1].data["error"]
    kept = context.vectors["starter-clip"]
    assert set(kept) == {(id_of("good"), 0.0), (id_of("clip"), 0.0), (id_of("clip"), 1.0)}
    assert np.allclose(kept[id_of("good"), 0.0], kept[id_of("clip"), 0.0], atol=0.05)


def test_the_same_vector_alone_and_in_a_batch_and_whatever_the_batch(catalog: Catalog, models: ModelManager) -> None:
    pictures = {str(at): scene("fox", background="pink", seed=at) for at in range(3)}
    pictures |= {f"large-{at}": scene("fox", seed=at, side=2100) for at in range(5)}  # 4.4 megapixels: 3 a batch
    together = Viewer(catalog, models, pictures)
    run(EMBED, together)
    alone = Viewer(catalog, models, {"large-4": pictures["large-4"]})
    run(EMBED, alone)
    key = (id_of("large-4"), 0.0)
    assert len(together.vectors["starter-clip"]) == 8
    assert np.allclose(together.vectors["starter-clip"][key], alone.vectors["starter-clip"][key], atol=1e-4)


def test_cancel_stops_before_the_next_picture(catalog: Catalog, models: ModelManager) -> None:
    context = Viewer(catalog, models, {str(at): flat("red") for at in range(5)}, cancel_at=2)
    with pytest.raises(Cancelled):
        run(EMBED, context)
    assert context.opened == ["0", "1"]


def test_refusals(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="at least one picture"):
        EMBED.prepare(EMBED.request(), catalog)
    with pytest.raises(StudioError, match=r"Stable Diffusion 1.5 cannot do embed; choose one of: .*starter-clip"):
        EMBED.prepare(EMBED.request(pictures=["0" * 32], model="sd15"), catalog)
    with pytest.raises(StudioError, match="download one of these in the Models tab") as caught:
        EMBED.prepare(EMBED.request(pictures=["0" * 32]), Catalog(tiny.settings(tmp_path)))
    assert caught.value.status == 409


def test_a_picture_that_fails_in_a_batch_is_told_and_the_rest_of_it_is_kept(
    catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.png"
    scene("apple").resize((300, 300)).save(whole)
    (tmp_path / "torn.png").write_bytes(whole.read_bytes()[:5000])
    with Image.open(tmp_path / "torn.png") as torn:  # fails when its pixels are asked for
        nothing = Image.new("RGB", (0, 4))  # fails in the model
        pictures = {"red": flat("red"), "torn": torn, "nothing": nothing, "blue": flat("blue")}
        context = Viewer(catalog, models, pictures)
        told = {record.data["picture"]: record.data["error"] for record in run(EMBED, context)}
    assert set(told) == {id_of("torn"), id_of("nothing")}
    assert told[id_of("torn")] == "This file cannot be opened (OSError); hand it in again."
    assert "cannot read this picture" in told[id_of("nothing")]
    assert list(context.vectors["starter-clip"]) == [(id_of("red"), 0.0), (id_of("blue"), 0.0)]
