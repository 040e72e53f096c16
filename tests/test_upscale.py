"""Upscale: shipped and brought networks, tiles, alpha, limits, files that are not what they seem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

from studio.capabilities.upscale import Upscale, UpscaleRequest
from studio.capability import Output
from studio.errors import Cancelled, StudioError
from studio.models.catalog import Catalog
from studio.settings import Settings
from tests import tiny

ID = "0" * 32


def drawing(size: int = 256) -> Image.Image:
    """A cup with outlines, drawn large and brought down."""
    image = Image.new("RGB", (4 * size, 4 * size), "#f4d35e")
    pen = ImageDraw.Draw(image)
    pen.ellipse([size, 0.8 * size, 3 * size, 3.2 * size], fill="#ee964b", outline="black", width=size // 12)
    pen.rectangle([1.4 * size, 1.6 * size, 2.2 * size, 2.4 * size], fill="#0d3b66", outline="black", width=size // 16)
    return image.resize((size, size), Image.Resampling.BOX)


def enlarge(catalog: Catalog, image: Image.Image, context: tiny.Context | None = None, **more: Any) -> Output:
    context = context or tiny.Context(catalog)
    context.pictures[ID] = image
    request = Upscale().prepare(UpscaleRequest(picture=ID, **more), catalog)
    [output] = Upscale().run(request, context)  # type: ignore[arg-type]
    return output


@pytest.fixture
def shipped(settings: Settings) -> Catalog:
    return Catalog(settings.model_copy(update={"device": "cpu"}))


@pytest.mark.parametrize(("id", "least"), [("drawing-upscaler", 26), ("crisp-upscaler", 23)])
def test_drawings_are_enlarged_truly_and_crisper_than_by_lanczos(id: str, least: float, shipped: Catalog) -> None:
    true = drawing()
    small = true.resize((64, 64), Image.Resampling.BOX)
    made = enlarge(shipped, small, scale=4, upscaler=id).image
    plain = small.resize(true.size, Image.Resampling.LANCZOS)
    assert made.size == (256, 256) and made.mode == "RGB"
    assert peak_signal_noise_ratio(np.asarray(true), np.asarray(made)) > least

    def crisp(image: Image.Image) -> float:
        return float(np.abs(np.diff(np.asarray(image.convert("L"), float), 2)).mean())

    assert crisp(made) > 1.2 * crisp(plain)


def test_a_photograph_twice_as_wide_stays_the_same_photograph(shipped: Catalog) -> None:
    true = Image.fromarray(data.astronaut()).crop((128, 0, 384, 256))
    output = enlarge(shipped, true.resize((128, 128), Image.Resampling.BOX), scale=2)
    assert output.image.size == (256, 256)
    assert peak_signal_noise_ratio(np.asarray(true), np.asarray(output.image)) > 28
    told = output.parameters
    assert (told["model"], told["upscaler"], told["licence"]) == (
        "drawing-upscaler",
        "Drawing upscaler",
        "BSD-3-Clause",
    )
    assert len(told["model_hash"]) == 64 and told["scale"] == 2 and output.parents == (ID,)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("own", [2, 3, 4])
def test_any_network_makes_any_scale_in_tiles_without_a_seam(
    own: int, scale: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = tiny.catalog(tmp_path)
    tiny.Upscaler(own).save_pretrained(tmp_path, "mine.safetensors")
    image = Image.fromarray(data.chelsea()).resize((150, 131))
    whole = enlarge(catalog, image, scale=scale, upscaler=str(tmp_path / "mine.safetensors"))
    assert whole.image.size == (150 * scale, 131 * scale)
    monkeypatch.setattr("studio.models.upscaling.TILE", 40)
    context = tiny.Context(catalog)
    tiled = enlarge(catalog, image, context, scale=scale, upscaler=str(tmp_path / "mine.safetensors"))
    assert np.abs(np.asarray(whole.image, int) - np.asarray(tiled.image, int)).max() <= 1
    assert context.steps[1:] == [(tile, 16) for tile in range(17)]


def test_the_scale_is_a_number_or_its_text() -> None:
    for given in (4, "4"):
        assert UpscaleRequest.model_validate({"picture": ID, "scale": given}).scale == 4
    for given in (3, "x", "", 2.5, None, "9" * 5000):
        with pytest.raises(ValueError, match="scale"):
            UpscaleRequest.model_validate({"picture": ID, "scale": given})


def test_its_owner_may_cancel_between_two_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.models.upscaling.TILE", 40)
    with pytest.raises(Cancelled):
        catalog = tiny.catalog(tmp_path, "drawing-upscaler")
        enlarge(catalog, drawing(160), tiny.Context(catalog, cancel_at=3))


def test_alpha_is_kept_and_hidden_colours_do_not_bleed(shipped: Catalog) -> None:
    image = Image.new("RGBA", (80, 72), (255, 0, 255, 0))
    ImageDraw.Draw(image).ellipse([20, 16, 60, 56], fill=(30, 120, 200, 255))
    made = np.asarray(enlarge(shipped, image, scale=4).image, int)
    assert made.shape == (288, 320, 4)
    assert (made[:40, :, 3] == 0).all() and (made[130:160, 140:180, 3] == 255).all()
    seen = made[made[..., 3] > 60][:, :3]
    assert np.abs(seen - [30, 120, 200]).max() < 60, "no magenta rim"
    plain = enlarge(shipped, drawing(64).convert("RGBA"), scale=4).image
    assert plain.mode == "RGBA" and plain.getchannel("A").getextrema() == (255, 255)


@pytest.mark.parametrize(
    ("size", "scale", "said"),
    [((63, 80), 4, "at least 64 x 64"), ((1, 300), 4, "at least 64"), ((1300, 1300), 4, "a smaller one or a smaller")],
)
def test_results_too_small_or_too_large_are_refused(
    size: tuple[int, int], scale: int, said: str, tmp_path: Path
) -> None:
    with pytest.raises(StudioError, match=said) as told:
        enlarge(tiny.catalog(tmp_path, "drawing-upscaler"), Image.new("RGB", size), scale=scale)
    assert told.value.field == "picture"


def test_a_file_is_found_by_path_in_a_folder_and_by_name_in_the_models_folder(tmp_path: Path) -> None:
    catalog = tiny.catalog(tmp_path)
    models = catalog.settings.models_dir
    (models / "folder").mkdir(parents=True)
    tiny.Upscaler(dense=True).save_pretrained(models, "4x-Mine.safetensors")
    tiny.Upscaler().save_pretrained(models / "folder")
    for named in ("4x-Mine", "4x-Mine.safetensors", str(models / "4x-Mine.safetensors")):
        made = enlarge(catalog, drawing(64), scale=4, upscaler=named)
        assert made.image.size == (256, 256) and made.parameters["upscaler"] == "4x-Mine"
        assert made.parameters["requested"]["upscaler"] == str(models / "4x-Mine.safetensors")
        assert UpscaleRequest.model_validate(made.parameters["requested"]).model == "4x-Mine"
    assert enlarge(catalog, drawing(64), scale=4, upscaler="folder").parameters["upscaler"] == "model"


def unknown(place: Path) -> None:
    save_file({"a.weight": torch.zeros(3, 3)}, place / "x.safetensors")


def huge(place: Path) -> None:
    tiny.Upscaler(32).save_pretrained(place, "x.safetensors")


def grey(place: Path) -> None:
    tiny.Upscaler(4, 1, dense=True).save_pretrained(place, "x.safetensors")


def broken(place: Path) -> None:
    tiny.Upscaler().save_pretrained(place, "x.safetensors")
    (place / "x.safetensors").write_bytes((place / "x.safetensors").read_bytes()[:-40])


def half(place: Path) -> None:
    weights = tiny.Upscaler().network.state_dict()
    save_file({key: weights[key] for key in ("body.0.weight", "body.1.weight")}, place / "x.safetensors")


def nan(place: Path) -> None:
    weights = tiny.Upscaler().network.state_dict()
    save_file({key: value * float("nan") for key, value in weights.items()}, place / "x.safetensors")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (unknown, "of no network for upscaling that spandrel knows"),
        (half, "of no network for upscaling that spandrel knows"),
        (huge, "32 times as wide"),
        (grey, "1 channels into 1"),
        (broken, "is not a sound safetensors file"),
        (nan, "is not a number"),
    ],
)
def test_a_file_that_cannot_enlarge_is_refused_in_one_sentence(make: Any, said: str, tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(StudioError, match=said) as told:
        enlarge(tiny.catalog(tmp_path), drawing(64), scale=4, upscaler=str(tmp_path / "x.safetensors"))
    assert "\n" not in told.value.message


def test_names_that_lead_to_no_upscaler_are_refused_at_once(tmp_path: Path) -> None:
    catalog = tiny.catalog(tmp_path, "u2netp")
    (tmp_path / "net.pth").write_bytes(b"\x80\x04.")
    (tmp_path / "empty").mkdir()
    for named, said in {
        str(tmp_path / "net.pth"): "pickles can run code",
        str(tmp_path / "nowhere.safetensors"): "Nothing is at",
        "./net.safetensors": "give the full path",
        str(tmp_path / "empty"): "holds no files",
        "../../etc/passwd": "give the full path",
        "nothing": "no model called 'nothing'",
        "u2netp": "cannot do upscale; choose one of: drawing-upscaler",
        "crisp-upscaler": "make tools",
    }.items():
        with pytest.raises(StudioError, match=said) as told:
            Upscale().prepare(UpscaleRequest(picture=ID, upscaler=named), catalog)
        assert told.value.field == "upscaler"
    with pytest.raises(StudioError, match="no model called"):
        catalog.get(str(tmp_path / "net.pth"))
