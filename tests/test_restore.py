"""What of a picture's settings is brought back here, and what is said of the rest."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio.capabilities.image_to_image import ImageToImage
from studio.capabilities.text_to_image import TextToImage
from studio.drawing.restore import Report, restore
from studio.media.images import write_png
from studio.media.infotext import infotext
from studio.media.parameters import read_settings
from studio.media.said import Settings
from studio.models.catalog import Catalog
from studio.models.hashes import WeightHashes
from studio.models.rows import ROWS
from studio.settings import Settings as StudioSettings
from tests.test_images import PARAMETERS, encoded, picture
from tests.test_parameters import OURS


@pytest.fixture
def local(tmp_path: Path) -> Catalog:
    """A catalogue with a model "dreamy_v8" from disk."""
    file = tmp_path / "dreamy_v8.safetensors"
    file.write_bytes(b"some weights")
    catalog = Catalog(StudioSettings(data_dir=tmp_path / "data"))
    sd15 = next(row for row in ROWS if row.id == "sd15")
    catalog._write((replace(sd15, id="mine", name="My model", path=str(file), repo=""),))
    return catalog


DIGEST = hashlib.sha256(b"some weights").hexdigest()


def report_of(catalog: Catalog, **told: Any) -> Report:
    whole = {**OURS, "model": "dreamy_v8", "width": 512, "height": 512, **told}
    return restore(Settings("AUTOMATIC1111", {k: v for k, v in whole.items() if v is not None}), TextToImage(), catalog)


class TestRestoring:
    @pytest.mark.parametrize(
        ("said", "hash"),
        [
            ("anything", DIGEST[:10]), ("", DIGEST[:10]), ("anything", DIGEST), ("anything", DIGEST[:10].upper()),
            ("dreamy_v8", None), ("Dreamy-V8", None), ("sub\\dreamy_v8.safetensors [0a1b2c3d4e]", None),
            ("My model", None), ("mine", None),
        ],
    )  # fmt: skip
    def test_a_model_by_hash_then_by_name(self, local: Catalog, said: str, hash: str | None) -> None:
        report = report_of(local, model=said or None, model_hash=hash)
        assert report.values["model"] == "mine"
        assert report.not_restored == []
        assert report.sentence == "Brought back all settings of that picture."

    def test_the_same_name_on_other_weights_is_told(self, local: Catalog) -> None:
        report = report_of(local, model_hash="0123456789")
        assert report.values["model"] == "mine"
        assert [loss.field for loss in report.not_restored] == ["model_hash"]

    def test_hashes_are_remembered(self, local: Catalog) -> None:
        hashes = WeightHashes(local)
        assert hashes.remembered("mine") == ""
        assert hashes.of("mine") == DIGEST == WeightHashes(local).remembered("mine")
        assert hashes.find(DIGEST[:10], ["mine"]) == "mine"
        for odd in ("", "x" * 10, "12", DIGEST[:9] + "z", "0" * 65):
            assert hashes.find(odd, ["mine"]) == ""

    def test_a_model_that_is_not_here(self, local: Catalog) -> None:
        report = report_of(local, model="other")
        assert report.values["model"] == "starter"
        assert "no model here has this name" in report.sentence
        report = report_of(local, model="sd_xl_base_1.0.safetensors")
        assert "Stable Diffusion XL is not on this computer yet" in report.sentence

    @pytest.mark.parametrize(
        ("told", "field", "value"),
        [
            ({"seed": 2**50}, "seed", None),
            ({"seed": -1}, "seed", None),
            ({"sampler": "DPM++ SDE"}, "sampler", None),
            ({"steps": 9999}, "steps", None),
            ({"guidance_scale": 99.0}, "guidance_scale", None),
            ({"width": 2048, "height": 1024}, "size", (1024, 512)),
            ({"width": 100, "height": 100}, "size", (256, 256)),
            ({"width": 512, "height": 333}, "size", (512, 336)),
            ({"width": 10**9, "height": 10**9}, "size", (512, 512)),
            ({"width": -4, "height": 0}, "size", (512, 512)),
            ({"prompt": "x" * 3000}, "prompt", None),
            ({"steps": None}, "steps", None),
            ({"capability": "image-to-image"}, "capability", None),
        ],
    )
    def test_what_cannot_be_is_told(self, local: Catalog, told: dict[str, Any], field: str, value: Any) -> None:
        report = report_of(local, **told)
        assert [loss.field for loss in report.not_restored] == [field]
        if value:
            assert (report.values["width"], report.values["height"]) == value
        assert field not in report.values
        assert field not in report.restored
        assert "all settings" not in report.sentence

    def test_tags_leave_the_prompt_and_are_told(self, local: Catalog) -> None:
        report = report_of(local, prompt="a barn, <lora:detail:0.8>, red <lyco:x:1>")
        assert report.values["prompt"] == "a barn, red"
        assert [(loss.field, loss.said) for loss in report.not_restored] == [("LoRA", "<lora:detail:0.8>, <lyco:x:1>")]

    def test_every_capability_that_draws_can_be_asked(self, local: Catalog) -> None:
        found = Settings("Creative Studio", {**OURS, "model": "mine", "width": 512, "height": 512, "strength": 0.4})
        report = restore(found, ImageToImage(), local)
        assert (report.values["strength"], report.not_restored) == (0.4, [])

    def test_what_the_studio_writes_comes_back_whole(self, local: Catalog) -> None:
        for prompt in (
            "two\nlines",
            "Negative prompt: x",
            "a\nNegative prompt: b\nSteps: 1, Seed: 2, Size: 3",
            "夜 🏠",
            "{a}",
        ):
            own = {
                **OURS,
                "prompt": prompt,
                "model": "mine",
                "width": 512,
                "height": 512,
                "capability": "text-to-image",
            }
            found = read_settings(write_png(picture(), own))
            assert found is not None
            assert found.values == own
            report = restore(found, TextToImage(), local)
            assert report.not_restored == []
            assert {name: report.values[name] for name in OURS} == {name: own[name] for name in OURS}

    def test_our_infotext_alone_comes_back(self) -> None:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + infotext(PARAMETERS).encode("utf-16-be")
        found = read_settings(encoded(picture(), "JPEG", exif=exif))
        assert found is not None
        assert (found.tool, found.values["seed"], found.losses) == ("Creative Studio", PARAMETERS["seed"], ())
