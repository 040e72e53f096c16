"""Restyle: photographs painted over by the networks that come with the studio."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from studio.capabilities.restyle import Restyle, RestyleRequest
from studio.capability import Output
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.models.restyling import STYLES
from studio.settings import Settings
from tests import tiny

ID, OTHER = "0" * 32, "1" * 32


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelManager:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), device="cpu")
    return ModelManager(settings, Catalog(settings))


def cat() -> Image.Image:
    return Image.fromarray(data.chelsea())


def restyled(models: ModelManager, image: Image.Image, **request: Any) -> Output:
    context = tiny.Context(models._catalog, models)
    context.pictures = {ID: image, OTHER: Image.fromarray(data.coffee())}
    prepared = Restyle().prepare(RestyleRequest.model_validate({"picture": ID, **request}), models._catalog)
    [output] = Restyle().run(prepared, context)  # type: ignore[arg-type]
    return output


def pixels(output: Output) -> Any:
    return np.asarray(output.image, int)


def test_styles_differ_and_keep_what_is_there(models: ModelManager) -> None:
    image = cat()
    made = {style: pixels(restyled(models, image, style=style)) for style in ("brush and ink", "mosaic", "woodcut")}
    for style, painted in made.items():
        assert painted.shape == (300, 451, 3)
        assert all(np.abs(painted - other).mean() > 15 for name, other in made.items() if name != style)
        grey, true = painted.mean(axis=2).ravel(), np.asarray(image, int).mean(axis=2).ravel()
        assert np.corrcoef(grey, true)[0, 1] > 0.2
    told = restyled(models, image, style="Mosaic").parameters
    assert (told["style"], told["tool"], told["licence"], told["model"]) == (
        "mosaic",
        "Style transfer",
        "Apache-2.0",
        "style-transfer",
    )


def test_a_number_is_the_style_of_that_name(models: ModelManager) -> None:
    assert len(set(STYLES)) == 26
    assert (pixels(restyled(models, cat(), style=16)) == pixels(restyled(models, cat(), style="mosaic"))).all()


def test_another_picture_lends_its_style_and_is_a_parent(models: ModelManager) -> None:
    image, lent = cat(), np.asarray(data.coffee(), int)
    output = restyled(models, image, style_picture=OTHER)
    painted = pixels(output)
    assert painted.shape == (300, 451, 3) and output.parents == (ID, OTHER)
    before, after = (
        np.abs(each.mean(axis=(0, 1)) - lent.mean(axis=(0, 1))).sum() for each in (np.asarray(image), painted)
    )
    assert after < before, "its colours come nearer"
    assert np.abs(painted - np.asarray(image)).mean() > 10
    assert output.notes == ("It was painted 384 x 255 pixels large and brought to the picture's size.",)


def test_strength_mixes_with_the_picture(models: ModelManager) -> None:
    image = cat()
    none, half, whole = (restyled(models, image, style="electric", strength=each) for each in (0, 0.5, 1))
    assert (pixels(none) == np.asarray(image)).all() and "strength is 0" in none.notes[0]
    assert np.abs(pixels(half) - (np.asarray(image, int) + pixels(whole)) / 2).max() <= 1


@pytest.mark.parametrize("size", [(256, 900), (1301, 1303), (257, 259)])
def test_any_size_comes_back_at_its_own(size: tuple[int, int], models: ModelManager) -> None:
    output = restyled(models, cat().resize(size), style="ember")
    assert output.image.size == size
    assert bool(output.notes) == (max(size) > 1024)


def test_alpha_is_kept(models: ModelManager) -> None:
    image = cat().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    made = restyled(models, image, style="lilac").image
    assert made.mode == "RGBA" and made.getchannel("A").tobytes() == image.getchannel("A").tobytes()


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "either a style or a picture"),
        ({"style": "mosaic", "style_picture": OTHER}, "either a style or a picture"),
        ({"style": "cubism"}, "choose a number from 1 to 26 or one of: wash"),
        ({"style": "27"}, "no style '27'"),
    ],
)
def test_no_style_and_two_are_refused(request_: dict[str, Any], said: str, models: ModelManager) -> None:
    with pytest.raises(StudioError, match=said) as told:
        restyled(models, cat(), **request_)
    assert told.value.field == "style"
