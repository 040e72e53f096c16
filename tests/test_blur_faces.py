"""Blur faces: those of real photographs are found and covered, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from studio.capabilities.blur_faces import CELLS, BlurFaces, BlurFacesRequest
from studio.capability import Output
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.settings import Settings
from tests import tiny

ID = "0" * 32
FACE = (181, 58, 269, 177)
"""Of the astronaut: forehead to chin, cheek to cheek."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelManager:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), device="cpu")
    return ModelManager(settings, Catalog(settings))


def astronaut() -> Image.Image:
    return Image.fromarray(data.astronaut())


def crowd() -> Image.Image:
    """The astronaut three times on a table, her faces 10 to 40 pixels wide."""
    image = Image.fromarray(data.coffee()).resize((1200, 800))
    for at, side in (((900, 500), 100), ((100, 100), 240), ((300, 600), 80)):
        image.paste(astronaut().resize((side, side), Image.Resampling.LANCZOS), at)
    return image


def blurred(models: ModelManager, image: Image.Image, **request: Any) -> Output:
    context = tiny.Context(models._catalog, models)
    context.pictures = {ID: image}
    prepared = BlurFaces().prepare(BlurFacesRequest.model_validate({"picture": ID, **request}), models._catalog)
    [output] = BlurFaces().run(prepared, context)  # type: ignore[arg-type]
    return output


def moved(output: Output, image: Image.Image) -> Any:
    return np.abs(np.asarray(output.image.convert("RGB"), int) - np.asarray(image, int)).sum(axis=2) > 0


@pytest.mark.parametrize("effect", ["blur", "mosaic", "black"])
def test_a_face_is_covered_and_nothing_else(models: ModelManager, effect: str) -> None:
    image = astronaut()
    output = blurred(models, image, effect=effect)
    [(left, top, right, bottom)] = output.parameters["faces"]
    assert np.abs(np.array([left, top, right, bottom]) - FACE).max() < 15
    changed = moved(output, image)
    ys, xs = np.nonzero(changed)
    assert xs.min() > left - 40 and xs.max() < right + 40 and ys.min() > top - 50 and ys.max() < bottom + 50
    assert changed[top:bottom, left:right].mean() > 0.97
    left_over = np.asarray(output.image)[top + 30 : bottom - 30, left + 20 : right - 20].reshape(-1, 3)
    if effect == "black":
        assert not left_over.any()
    if effect == "mosaic":
        assert len(np.unique(left_over, axis=0)) <= CELLS**2
    assert output.notes == ("1 face was found and covered; look whether one was missed before you publish.",)
    assert (output.parameters["tool"], output.parameters["licence"]) == ("CenterFace", "MIT")
    assert output.parents == (ID,)


def test_small_and_large_faces_are_found(models: ModelManager) -> None:
    found = blurred(models, crowd()).parameters["faces"]
    middles = sorted(((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in found)
    expected = [(100 + 105, 100 + 55), (300 + 35, 600 + 18), (900 + 44, 500 + 23)]  # of a head at (225, 118) of 512
    assert np.abs(np.array(middles) - expected).max() < 10
    [(left, _, right, _)] = blurred(models, astronaut().resize((2048, 2048))).parameters["faces"]
    assert right - left == pytest.approx(4 * (FACE[2] - FACE[0]), rel=0.15)


def test_a_face_cut_by_the_edge_is_covered_to_the_edge(models: ModelManager) -> None:
    image = astronaut().crop((190, 0, 512, 512))
    output = blurred(models, image, effect="black")
    [(_, top, right, bottom)] = output.parameters["faces"]
    assert not np.asarray(output.image)[(top + bottom) // 2, : right - 10].any()


def test_what_is_transparent_stays_so(models: ModelManager) -> None:
    image = astronaut()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    output = blurred(models, image)
    assert output.image.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    assert moved(output, image.convert("RGB")).any()


@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket"])
def test_where_no_face_is_nothing_is_done_and_that_is_said(models: ModelManager, name: str) -> None:
    with pytest.raises(StudioError, match="No face was found in this picture, so nothing was covered") as caught:
        blurred(models, Image.fromarray(getattr(data, name)()))
    assert caught.value.field == "picture"


def test_refusals(models: ModelManager) -> None:
    with pytest.raises(StudioError, match="U-2-Net small cannot do faces; choose one of: centerface"):
        BlurFaces().prepare(BlurFacesRequest(picture=ID, model="u2netp"), models._catalog)
