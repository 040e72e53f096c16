"""Nothing leaves but through `Trust.release`: judged, watermarked so that it can be read back, stamped."""

from __future__ import annotations

import ast
import copy
import dataclasses
import hashlib
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks.watermark import KINDS, measure
from studio.errors import StudioError
from studio.media.images import read_parameters
from studio.settings import ROOT, Settings
from studio.store.database import Database
from studio.store.gallery import Gallery
from studio.trust import Released, Trust, Verdict, read_watermark
from studio.trust import watermark as marks
from studio.trust.safety import ClassifierChecker, judge

PARAMETERS: dict[str, Any] = {"capability": "text-to-image", "prompt": "a scene", "seed": 7}
KEY = marks.make_key(b"a test")
DATA = Path(__file__).parent / "watermark"


def scene(seed: int, side: int = 256) -> Image.Image:
    """Flat art as the starter draws it: one background colour, a few smoothly shaded shapes with hard edges."""
    generator = np.random.default_rng(seed)

    def colour() -> tuple[int, int, int]:
        red, green, blue = (int(level) for level in generator.integers(0, 256, 3))
        return red, green, blue

    image = Image.new("RGB", (side, side), colour())
    for _ in range(generator.integers(1, 4)):
        mask = Image.new("L", image.size)
        left, top = (int(at) for at in generator.integers(0, side * 3 // 4, 2))
        box = (left, top, left + int(generator.integers(side // 8, side // 2)), top + side // 3)
        draw = ImageDraw.Draw(mask)
        (draw.ellipse if generator.random() < 0.7 else draw.rectangle)(box, fill=255)
        shade = Image.linear_gradient("L").resize(image.size)
        image.paste(
            Image.composite(Image.new("RGB", image.size, colour()), Image.new("RGB", image.size, colour()), shade),
            mask=mask,
        )
    return image


PURE = {
    name: Image.new("RGB", (256, 256), name) for name in ("white", "black", "red", "yellow", "blue", "cyan", "lime")
}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return Trust(Settings(data_dir=tmp_path_factory.mktemp("data")))


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def resaved(image: Image.Image, format: str, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format, quality=quality)
    return Image.open(buffer)


class TestRelease:
    def test_a_release_is_a_png_with_watermark_and_both_metadata_chunks(self, trust: Trust) -> None:
        released = trust.release(scene(1), parameters=PARAMETERS)
        image = opened(released.png)
        assert (image.format, image.size) == ("PNG", (256, 256)) == ("PNG", (released.width, released.height))
        assert released.sha256 == hashlib.sha256(released.png).hexdigest()
        key = released.watermark["key"]
        assert read_watermark(image) == key
        assert released.parameters == PARAMETERS | {"watermark": {"method": "dctQim", "key": key}}
        assert read_parameters(released.png) == released.parameters
        assert str(image.info["parameters"]).startswith("a scene")

    def test_the_same_input_gives_the_same_bytes_and_another_a_new_key(self, trust: Trust) -> None:
        first = trust.release(scene(1), parameters=PARAMETERS)
        assert trust.release(scene(1), parameters=PARAMETERS).png == first.png
        assert trust.release(scene(1), parameters=PARAMETERS | {"seed": 8}).watermark["key"] != first.watermark["key"]
        assert trust.release(scene(2), parameters=PARAMETERS).watermark["key"] != first.watermark["key"]

    def test_it_can_be_switched_off(self, tmp_path: Path) -> None:
        released = Trust(Settings(data_dir=tmp_path, watermark=False)).release(scene(1), parameters=PARAMETERS)
        assert released.watermark == {}
        assert released.parameters == PARAMETERS
        assert np.array_equal(np.asarray(opened(released.png)), np.asarray(scene(1)))

    def test_transparency_is_kept(self, trust: Trust) -> None:
        image = scene(3)
        image.putalpha(Image.linear_gradient("L"))
        released = opened(trust.release(image, parameters=PARAMETERS).png)
        assert np.array_equal(np.asarray(released)[..., 3], np.asarray(image)[..., 3])
        assert read_watermark(released) is not None

    def test_a_picture_too_small_for_the_watermark_is_refused(self, trust: Trust) -> None:
        with pytest.raises(StudioError, match="at least 256 x 256"):
            trust.release(scene(1, side=128), parameters=PARAMETERS)


class TestWatermark:
    @pytest.mark.parametrize("seed", range(12))
    def test_it_survives_jpeg_on_flat_art_of_256_pixels(self, trust: Trust, seed: int) -> None:
        released = trust.release(scene(seed), parameters=PARAMETERS)
        image, key = opened(released.png), released.watermark["key"]
        assert released.watermark["bits_right"] >= 30
        assert [read_watermark(resaved(image, "JPEG", quality)) for quality in (90, 75)] == [key, key]

    @pytest.mark.parametrize("name", PURE)
    def test_pure_colours_hold_it_too(self, trust: Trust, name: str) -> None:
        released = trust.release(PURE[name], parameters=PARAMETERS)
        assert read_watermark(resaved(opened(released.png), "JPEG", 75)) == released.watermark["key"]

    @pytest.mark.parametrize("kind", ["photographs", "flat colours", "line art"])
    def test_it_cannot_be_seen_and_survives_jpeg(self, kind: str) -> None:
        measured = [measure(picture, seed) for seed, picture in enumerate(KINDS[kind][0](20))]
        assert max(each.moved for each in measured) <= 8  # grey levels
        assert np.mean([each.seen for each in measured if each.seen is not None]) <= 0.6  # CIEDE2000 on flat areas
        assert [seed for seed, each in enumerate(measured) if not each.read["JPEG 75"]] == []

    def test_noise_does_not_move_a_pixel_too_far(self) -> None:
        dice = np.random.default_rng(0)
        for pixels in (dice.integers(0, 256, (256, 264, 3)), dice.integers(0, 2, (256, 264, 3)) * 255):
            picture = Image.fromarray(pixels.astype(np.uint8))
            marked = marks.embed(picture, KEY).image
            assert np.abs(np.asarray(marked, int) - pixels).max() <= 8
            assert marks.read(resaved(marked, "JPEG", 90)) == KEY

    def test_a_large_picture_is_marked_strip_by_strip(self) -> None:
        picture = scene(4).resize((2600, 1203), Image.Resampling.BICUBIC)
        marked = marks.embed(picture, KEY).image
        assert marks.read(resaved(marked, "JPEG", 75)) == KEY
        assert np.array_equal(np.asarray(marked)[1200:], np.asarray(picture)[1200:])  # no whole block there

    def test_a_marked_picture_can_be_marked_again(self) -> None:
        picture = scene(2)
        other = marks.make_key(b"another")
        again = marks.embed(marks.embed(picture, KEY).image, other).image
        assert marks.read(resaved(again, "JPEG", 75)) == other
        assert np.abs(np.asarray(again, int) - np.asarray(picture)).max() <= 8

    @pytest.mark.parametrize("name", ["flat.png", "photograph.jpg"])
    def test_pictures_of_the_first_release_are_read(self, name: str) -> None:
        """Marked by the invisible-watermark package; the photograph was saved as JPEG 75 afterwards."""
        assert read_watermark(Image.open(DATA / name)) == "cedd4a4f"

    def test_an_unmarked_picture_has_no_key(self) -> None:
        for seed in range(40):
            assert read_watermark(scene(seed)) is None
            generator = np.random.default_rng(seed)
            cells = generator.integers(0, 256, (*generator.integers(2, 64, 2), 3), dtype=np.uint8)
            assert read_watermark(Image.fromarray(cells).resize((256, 320), Image.Resampling.BICUBIC)) is None
        assert read_watermark(scene(1, side=64)) is None

    def test_nothing_is_released_when_it_cannot_be_read_back(
        self, trust: Trust, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(marks, "_encode", lambda rgb, bits: rgb)  # an encoder that does nothing
        with pytest.raises(StudioError, match="watermark could not be written"):
            trust.release(scene(1), parameters=PARAMETERS)

    def test_keys_are_spread(self) -> None:
        keys = {marks.make_key(str(number).encode()) for number in range(2000)}
        assert len(keys) > 1990
        assert all(len(bytes.fromhex(key)) == 4 for key in keys)


class Scripted:
    """A checker that does what it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    def check(self, image: Image.Image) -> Any:
        self.asked += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class TestSafety:
    def test_allow_lets_the_picture_through_and_is_recorded(self, settings: Settings) -> None:
        checker = Scripted(Verdict("allow", {"nsfw": 0.1}, "tiny"))
        released = Trust(settings, checker).release(scene(1), parameters=PARAMETERS)
        assert released.verdict == {"decision": "allow", "scores": {"nsfw": 0.1}, "model": "tiny"}
        assert checker.asked == 1

    @pytest.mark.parametrize(
        "answer",
        [
            Verdict("block", {"nsfw": 0.9}),
            Verdict("error"),
            Verdict("allow", {"nsfw": float("nan")}),
            Verdict("allow", {"nsfw": float("inf")}),
            Verdict("maybe"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            None,
            "allow",
            True,
            RuntimeError("broken"),
            MemoryError(),
            SystemExit(0),
        ],
        ids=repr,
    )
    def test_anything_else_stops_it(self, settings: Settings, answer: Any) -> None:
        checker = Scripted(answer)
        with pytest.raises(StudioError) as caught:
            Trust(settings, checker).release(scene(1), parameters=PARAMETERS)
        assert checker.asked == 1
        assert "safety checker" in caught.value.message

    def test_a_checker_that_hangs_stops_it(self) -> None:
        class Hanging:
            def check(self, image: Image.Image) -> Verdict:
                time.sleep(5)
                return Verdict("allow")

        with pytest.raises(StudioError, match="no answer"):
            judge(Hanging(), scene(1), timeout=0.1)

    @pytest.mark.parametrize("content", [None, "{}", '{"model_type": "vit"}'], ids=["missing", "empty", "no-weights"])
    def test_a_configured_model_that_does_not_load_stops_everything(
        self, settings: Settings, tmp_path: Path, content: str | None
    ) -> None:
        folder = tmp_path / "model"
        if content is not None:
            folder.mkdir()
            (folder / "config.json").write_text(content)
        strict = settings.model_copy(update={"safety_model": str(folder)})
        with pytest.raises(StudioError, match="STUDIO_SAFETY_MODEL"):
            Trust(strict).release(scene(1), parameters=PARAMETERS)

    def test_a_real_classifier_judges_by_its_nsfw_label(self, settings: Settings, tmp_path: Path) -> None:
        save_classifier(tmp_path / "model", {0: "normal", 1: "NSFW"})
        verdict = ClassifierChecker(tmp_path / "model").check(scene(1))
        assert set(verdict.scores) == {"normal", "nsfw"}
        assert sum(verdict.scores.values()) == pytest.approx(1)
        score = verdict.scores["nsfw"]
        assert ClassifierChecker(tmp_path / "model", threshold=score - 0.01).check(scene(1)).decision == "block"
        assert ClassifierChecker(tmp_path / "model", threshold=score + 0.01).check(scene(1)).decision == "allow"

    def test_a_classifier_without_that_label_stops_everything(self, settings: Settings, tmp_path: Path) -> None:
        save_classifier(tmp_path / "model", {0: "cat", 1: "dog"})
        with pytest.raises(StudioError, match="'nsfw'"):
            judge(ClassifierChecker(tmp_path / "model"), scene(1))


def save_classifier(folder: Path, labels: dict[int, str]) -> None:
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
        id2label=labels,
        label2id={label: number for number, label in labels.items()},
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


class TestNoWayAround:
    def test_a_released_cannot_be_made_elsewhere(self, trust: Trust) -> None:
        real = trust.release(scene(1), parameters=PARAMETERS)
        fields = {field.name: getattr(real, field.name) for field in dataclasses.fields(real)}
        for attempt in (
            lambda: Released(**fields),
            lambda: Released(**fields, seal=object()),
            lambda: dataclasses.replace(real, png=b"other"),
        ):
            with pytest.raises((TypeError, ValueError)):
                attempt()
        with pytest.raises(dataclasses.FrozenInstanceError):
            copy.copy(real).png = b"other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]

    def test_the_gallery_takes_nothing_else(self, settings: Settings) -> None:
        database = Database(settings)
        database.open()
        try:
            gallery = Gallery(settings, database)
            about: Any = {"owner": "local", "job_id": "0" * 32, "index": 0, "capability": "x", "family": "", "seed": 0}
            for other in (scene(1), b"\x89PNG", object(), None):
                with pytest.raises(TypeError):
                    gallery.add(other, **about, parameters={})  # type: ignore[arg-type]  # pyright: ignore
            assert gallery.page(user="local").total == 0
            assert not list(settings.data_dir.rglob("*.png"))
        finally:
            database.close()

    def test_no_capability_reaches_the_gallery_or_writes_files(self) -> None:
        for path in sorted((ROOT / "studio" / "capabilities").glob("*.py")):
            for name in imported(path):
                owners = ("studio.store.gallery", "studio.store.database", "studio.trust", "studio.worker")
                assert not name.startswith(owners), path
            assert not list(writes(path)), path

    def test_no_other_module_writes_picture_files(self) -> None:
        """Pictures are encoded by images and trust and written by the gallery; the recipes of the starter draw art."""
        may = {"images.py", "gallery.py", "trust", "starter"}
        seen = 0
        for path in sorted((ROOT / "studio").rglob("*.py")):
            if path.relative_to(ROOT / "studio").parts[0] not in may:
                seen += 1
                assert [line for line, what in writes(path) if what == "picture"] == [], path
        assert seen > 10

    def test_these_checks_would_find_it(self, tmp_path: Path) -> None:
        bad = tmp_path / "bad.py"
        bad.write_text(
            "from studio.store.gallery import Gallery\ndef f(image):\n    image.save('x.png')\n    open('y', 'wb')\n"
        )
        assert list(imported(bad)) == ["studio.store.gallery"]
        assert sorted(what for _, what in writes(bad)) == ["file", "picture"]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def writes(path: Path) -> Iterator[tuple[int, str]]:
    """(line, "picture" or "file") of calls that encode a picture or write a file; BytesIO buffers are memory."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    buffers = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func).endswith("BytesIO")
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0].id if node.args and isinstance(node.args[0], ast.Name) else ""
        if ast.unparse(node.func) in (
            "np.save",
            "index.save",
            "torch.save",
            "safetensors.numpy.save",
        ):  # vectors and weights
            continue
        if (name == "save" and first not in buffers) or name in ("imwrite", "imsave", "tofile", "save_image"):
            yield node.lineno, "picture"
        elif name in ("write_bytes", "write_text") or (
            name == "open" and any("w" in ast.unparse(arg) for arg in node.args[1:])
        ):
            yield node.lineno, "file"
