"""Score, compare and the measures behind them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from safetensors.torch import save_file
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from studio.capabilities import BY_NAME
from studio.errors import Cancelled, StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.models.spec import UNDERSTANDING, PipelineSpec
from studio.reading.measures import Inception, cmmd, frechet, inception_score, kernel_distance, light, likeness, vendi
from tests.viewing import Viewer, id_of, run, scene, starter_catalog

SCORE: Any = BY_NAME["score"]
COMPARE: Any = BY_NAME["compare"]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return starter_catalog(tmp_path_factory.mktemp("score"))


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    return ModelManager(catalog.settings, catalog)


def unit(seed: int, count: int, dimensions: int = 16, towards: float = 0.0) -> NDArray[np.float32]:
    """Random unit vectors, drawn to the first axis by ``towards``."""
    rows = np.random.default_rng(seed).standard_normal((count, dimensions))
    rows[:, 0] += towards
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


# -- the measures --


def test_cmmd_is_the_published_formula_over_all_pairs() -> None:
    one, other = unit(0, 1500), unit(1, 30, towards=1)  # more than one block of rows

    def mean(left: Any, right: Any) -> float:
        apart = ((left[:, None].astype(np.float64) - right[None]) ** 2).sum(-1)
        return float(np.exp(-apart / (2 * 10**2)).mean())

    assert cmmd(one, other) == pytest.approx(1000 * (mean(one, one) + mean(other, other) - 2 * mean(one, other)))
    assert cmmd(one, one) == pytest.approx(0, abs=1e-9)
    assert cmmd(one, other) == pytest.approx(cmmd(other, one))


@pytest.mark.parametrize(("count", "others", "dimensions"), [(400, 300, 16), (5, 6, 64)], ids=["many", "few"])
def test_the_distance_of_gaussians_is_the_closed_form(count: int, others: int, dimensions: int) -> None:
    one, other = unit(2, count, dimensions), unit(3, others, dimensions, towards=2)
    a, b = np.cov(one.T.astype(np.float64)), np.cov(other.T.astype(np.float64))
    values, vectors = np.linalg.eigh(a)
    root = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ b @ root).clip(0)).sum()
    between = ((one.mean(0, dtype=np.float64) - other.mean(0, dtype=np.float64)) ** 2).sum()
    expected = between + np.trace(a) + np.trace(b) - 2 * cross
    assert frechet(one, other) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert frechet(one, one) == pytest.approx(0, abs=1e-6)


def test_the_kernel_distance_is_unbiased_and_the_same_each_time() -> None:
    one, like, other = unit(4, 300), unit(5, 300), unit(6, 200, towards=2)

    def kernel(left: Any, right: Any) -> Any:
        return (left.astype(np.float64) @ right.T / left.shape[1] + 1) ** 3

    found = kernel_distance(one[:200], other)  # a subset as large as the sets leaves nothing to chance
    count = 200
    inside = sum((kernel(each, each).sum() - np.trace(kernel(each, each))) for each in (one[:200], other))
    expected = inside / (count * (count - 1)) - 2 * kernel(one[:200], other).mean()
    assert found["mean"] == pytest.approx(expected, rel=1e-6) and found["std"] == pytest.approx(0, abs=1e-9)
    assert (found["subset_size"], found["subsets"]) == (200, 100)
    assert kernel_distance(one, other) == kernel_distance(one, other)
    assert abs(kernel_distance(one, like)["mean"]) < 0.05 * kernel_distance(one, other)["mean"]


def test_the_vendi_score_counts_what_differs() -> None:
    different = np.eye(16, dtype=np.float32)
    assert vendi(different[:5]) == pytest.approx(5)
    assert vendi(different[[0, 0, 0, 0]]) == pytest.approx(1)
    assert vendi(different[[0, 0, 1, 1]]) == pytest.approx(2)
    assert vendi(different[[0] * 20 + [1] * 20]) == pytest.approx(2)  # more rows than dimensions
    assert likeness(different[:3], different[1:]).tolist() == [0, 1, 1]


def test_the_inception_score_is_one_for_one_class_and_counts_sure_classes() -> None:
    sure = np.eye(8, dtype=np.float32) * 50
    assert inception_score(sure[[0, 0, 0]]) == pytest.approx(1)
    assert inception_score(sure[[0, 1, 2, 0, 1, 2]]) == pytest.approx(3, rel=1e-4)
    assert inception_score(np.zeros((5, 8), np.float32)) == pytest.approx(1)


def test_sharpness_falls_with_blur_and_hardly_with_size() -> None:
    sharp = scene("fox", side=1024)
    blurred = sharp.filter(ImageFilter.GaussianBlur(8))
    half = sharp.resize((512, 512), Image.Resampling.LANCZOS)
    assert light(blurred)["sharpness"] < 0.3 * light(sharp)["sharpness"]
    assert light(half)["sharpness"] == pytest.approx(light(sharp)["sharpness"], rel=0.15)
    assert light(Image.new("RGB", (40, 9), "white")) == {
        "sharpness": 0.0,
        "brightness": 1.0,
        "contrast": 0.0,
        "clipped": 1.0,
    }
    assert light(Image.new("RGB", (2, 1)))["clipped"] == 1.0


# -- score --


def test_a_picture_fits_its_own_prompt_better_than_another_one(catalog: Catalog, models: ModelManager) -> None:
    picture = scene("apple", background="red")
    pictures = {"right": picture, "wrong": picture, "upload": picture, "bad": StudioError("This file is damaged.")}
    prompts = {"right": "an apple on a red background", "wrong": "a fox on a blue background", "bad": "a fox"}
    records = run(SCORE, Viewer(catalog, models, pictures, prompts=prompts))
    scores: list[Any] = [record.data.get("clip_score") for record in records]
    assert scores[0] > scores[1] + 5 and scores[2] is None
    assert 0 <= scores[1] < scores[0] <= 100
    assert records[3].data == {"picture": id_of("bad"), "name": "bad", "error": "This file is damaged."}
    assert records[2].data["sharpness"] == records[0].data["sharpness"] > 0
    with models.use(PipelineSpec("starter-clip", UNDERSTANDING)) as reader:
        cosine = float(reader.pictures([picture])[0] @ reader.texts([prompts["right"]])[0])
    assert scores[0] == pytest.approx(100 * cosine, abs=0.1)
    json.dumps([record.data for record in records])


def test_scoring_goes_on_where_it_stopped(catalog: Catalog, models: ModelManager) -> None:
    pictures = {str(at): scene("apple", seed=at) for at in range(4)}
    context = Viewer(catalog, models, pictures, kept=(0, 1, 3))
    assert [record.index for record in run(SCORE, context)] == [2] and context.opened == ["2"]
    assert run(SCORE, Viewer(catalog, models, pictures, kept=range(4))) == []


# -- compare --


def grounds(*colours: str, at: int = 0) -> dict[str, Any]:
    return {
        f"{colour} {name} {at}": scene(name, background=colour, seed=at)
        for colour in colours
        for name in ("apple", "fox", "car")
    }


def test_a_set_is_nearer_to_its_like_than_to_another(catalog: Catalog, models: ModelManager) -> None:
    red, again, blue = grounds("red", "orange"), grounds("red", "orange", at=1), grounds("blue", "green", "purple")
    context = Viewer(catalog, models, {**red, **again, **blue, "bad": StudioError("This file is damaged.")})

    def compare(one: dict[str, Any], other: dict[str, Any]) -> Any:
        ids = ([id_of(name) for name in one], [id_of(name) for name in (*other, "bad")])
        [record] = run(COMPARE, context, pictures=ids[0], others=ids[1])
        return record

    near, far = compare(red, again), compare(red, blue)
    for measure in ("fid", "cmmd"):
        assert near.data[measure] < 0.5 * far.data[measure], measure
    assert near.data["kid"]["mean"] < far.data["kid"]["mean"]
    assert (far.data["count"], far.data["other_count"], far.data["kid"]["subset_size"]) == (6, 9, 6)
    assert 1 < far.data["vendi"] < 6 and far.data["other_vendi"] > far.data["vendi"]
    assert len(far.data["odd"]) == 6 and far.data["odd"][0]["likeness"] <= far.data["odd"][-1]["likeness"]
    assert [row["name"] for row in far.data["unreadable"]] == ["bad"]
    assert any("chance" in note for note in far.notes) and any("too large" in note for note in far.notes)
    assert any("Starter CLIP" in note for note in far.notes)
    json.dumps(far.data)


def test_equal_sets_are_no_distance_apart(catalog: Catalog, models: ModelManager) -> None:
    context = Viewer(catalog, models, grounds("red", "blue"))
    [record] = run(COMPARE, context, others=context.ids)
    assert record.data["fid"] == pytest.approx(0, abs=1e-4) and record.data["cmmd"] == pytest.approx(0, abs=1e-4)
    assert record.data["vendi"] == record.data["other_vendi"]
    assert context.steps[-1][1] == 12


def test_with_the_weights_of_inception_the_published_measures_are_told_too(tmp_path: Path) -> None:
    class Fresh(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: Any, **__: Any) -> Any:
            """Keep the random weights."""

    torch.save({}, tmp_path / "none.pth")
    torch.manual_seed(0)
    network = Fresh("inception-v3-compat", ["2048"], str(tmp_path / "none.pth"))
    catalog = starter_catalog(tmp_path)
    file = catalog.settings.models_dir / "inception" / "model.safetensors"
    file.parent.mkdir(parents=True)
    save_file(network.state_dict(), file)

    pictures = {"a": scene("apple"), "b": scene("fox"), "bad": StudioError("This file is damaged."), "c": scene("car")}
    context = Viewer(catalog, ModelManager(catalog.settings, catalog), pictures)
    names = ["a", "b", "bad"], ["c", "bad", "a"]
    ids, others = ([id_of(name) for name in some] for some in names)
    [record] = run(COMPARE, context, pictures=ids, others=others)
    found = record.data["inception"]
    inception = Inception(file)
    features = {name: inception.look(pictures[name])[0] for name in "abc"}
    one, other = np.stack([features["a"], features["b"]]), np.stack([features["c"], features["a"]])
    assert one.shape == (2, 2048)
    assert found["fid"] == pytest.approx(frechet(one, other), rel=1e-3, abs=1e-4)
    assert found["kid"]["subset_size"] == 2 and found["score"] >= 1 and found["other_score"] >= 1
    pixels = torch.from_numpy(np.asarray(pictures["a"]).copy()).permute(2, 0, 1)[None]
    assert np.allclose(features["a"], network(pixels)[0][0].numpy(), atol=1e-5)


def test_two_sets_are_needed(catalog: Catalog, models: ModelManager) -> None:
    ids = ["0" * 32, "1" * 32]
    for fields, field in (({"pictures": ids}, "others"), ({"pictures": ids[:1], "others": ids}, "pictures")):
        with pytest.raises(StudioError, match="needs at least 2 pictures") as caught:
            COMPARE.prepare(COMPARE.request(**fields), catalog)
        assert caught.value.field == field
    pictures = {"a": scene("apple"), "b": scene("fox"), "bad": StudioError("This file is damaged.")}
    context = Viewer(catalog, models, pictures)
    with pytest.raises(StudioError, match="Fewer than 2 pictures of the second set can be read"):
        run(COMPARE, context, pictures=[id_of("a"), id_of("b")], others=[id_of("a"), id_of("bad")])
    with pytest.raises(Cancelled):
        run(COMPARE, Viewer(catalog, models, pictures, cancel_at=3), others=context.ids)
