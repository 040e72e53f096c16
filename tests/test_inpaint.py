"""Inpaint and outpaint: something else inside the mask, and outside it not one byte."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from studio import Studio
from studio.capabilities import BY_NAME
from studio.capabilities.inpaint import STRENGTHS
from studio.drawing import blending
from studio.drawing.masks import box_around, feathered, filled, read_mask, seam, whole_cells
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.models.rows import ROWS
from studio.settings import ROOT
from studio.starter.judge import Judge
from studio.trust import read_watermark
from tests import tiny

SOURCE, MASK = "a" * 32, "b" * 32
ABLE = [row.id for row in ROWS if row.supports("inpaint") and row.id in tiny.BUILDERS]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny.catalog(tmp_path_factory.mktemp("inpaint"), *ABLE)


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    return ModelManager(catalog.settings, catalog)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw at 256 px whatever the family: what is tested does not depend on it."""
    monkeypatch.setattr(blending, "size_like", lambda family, width, height: (256, 256))


def scene(width: int = 320, height: int = 288) -> Image.Image:
    noise = np.random.default_rng(1).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def disc(width: int = 320, height: int = 288, box: tuple[int, int, int, int] = (80, 60, 200, 190)) -> Image.Image:
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    return mask


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def run(
    catalog: Catalog, models: ModelManager, tmp_path: Path, *, name: str = "inpaint", mask: Any = None,
    source: Image.Image | None = None, **fields: Any,
) -> Any:  # fmt: skip
    context = tiny.Context(catalog, models, cancel_at=fields.pop("cancel_at", None))
    context.pictures[SOURCE] = source or scene()
    (tmp_path / "mask.png").write_bytes(png(mask or disc()))
    context.file = lambda id: tmp_path / "mask.png"  # pyright: ignore[reportAttributeAccessIssue]
    capability: Any = BY_NAME[name]
    asked = {"prompt": "a frog", "picture": SOURCE, "seed": 7, "steps": 6, "model": "sd15", **fields}
    if name == "inpaint":
        asked["mask"] = MASK
    outputs = list(capability.run(capability.prepare(capability.request(**asked), catalog), context))
    return outputs, context


def changed(output: Any, source: Image.Image) -> Any:
    return (np.asarray(output.image) != np.asarray(source)).any(2)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("family", ABLE)
@pytest.mark.parametrize("mode", list(STRENGTHS))
def test_outside_the_mask_no_byte_changes(
    family: str, mode: str, catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    (output,), _ = run(catalog, models, tmp_path, model=family, mode=mode, steps=8)
    inside = np.asarray(disc()) > 127
    moved = changed(output, scene())
    assert output.image.size == (320, 288)
    assert not moved[~inside].any()
    assert moved[inside].mean() > 0.7
    assert output.parameters["blend"]["outside_changed"] == 0
    assert output.notes[-1].startswith("Outside your mask 0 pixels changed; seam ")
    assert output.parents == (SOURCE,)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("family", ["starter", "flux2-klein-4b"])
def test_the_same_seed_gives_the_same_picture(
    family: str, catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    first, second = (run(catalog, models, tmp_path, model=family, area="whole", count=2)[0] for _ in range(2))
    alone, _ = run(catalog, models, tmp_path, model=family, area="whole", seed=8)
    assert [each.image.tobytes() for each in first] == [each.image.tobytes() for each in second]
    assert first[1].image.tobytes() == alone[0].image.tobytes()
    assert first[0].image.tobytes() != first[1].image.tobytes()


def test_a_thin_line_is_drawn_too_and_a_big_picture_keeps_its_size(
    catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    source, mask = scene(1203, 901), Image.new("L", (1203, 901))
    ImageDraw.Draw(mask).line((500, 400, 700, 400), fill=255, width=2)
    (output,), _ = run(catalog, models, tmp_path, source=source, mask=mask, model="starter")
    moved = changed(output, source)
    assert moved.shape == (901, 1203)
    assert moved[np.asarray(mask) > 0].mean() > 0.5
    assert not moved[np.asarray(mask) == 0].any()


def test_strength_0_gives_the_picture_back_and_says_so(catalog: Catalog, models: ModelManager, tmp_path: Path) -> None:
    (output,), _ = run(catalog, models, tmp_path, strength=0)
    assert output.image.tobytes() == scene().tobytes()
    assert output.notes == ("At strength 0 nothing is drawn: this is the picture as it was.",)


@pytest.mark.usefixtures("small")
def test_a_mask_over_everything_redraws_everything(catalog: Catalog, models: ModelManager, tmp_path: Path) -> None:
    (output,), _ = run(catalog, models, tmp_path, mask=Image.new("L", (320, 288), 255))
    assert changed(output, scene()).mean() > 0.9
    assert "covers the whole picture" in output.notes[-1]


@pytest.mark.parametrize(
    ("fields", "sentence", "field"),
    [
        ({"mask": Image.new("L", (320, 288))}, "mask is empty; paint white", "mask"),
        ({"mask": disc(300, 300)}, "mask has 300 x 300 pixels and the picture 320 x 288", "mask"),
        ({"source": scene(200, 200), "mask": disc(200, 200)}, "at least 256 x 256", "picture"),
        ({"prompt": ""}, "Say in the prompt what to draw", "prompt"),
        ({"width": 512}, "keeps its size", "width"),
        ({"steps": 2, "strength": 0.3}, "only 0 of 2 steps run", "steps"),
        ({"name": "outpaint"}, "on which side", "left"),
        ({"name": "outpaint", "left": 4096, "source": scene(7000, 4000)}, "megapixels", "left"),
    ],
)
def test_what_cannot_be_done_is_said(
    fields: dict[str, Any], sentence: str, field: str, catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    with pytest.raises(StudioError, match=sentence) as caught:
        run(catalog, models, tmp_path, **fields)
    assert caught.value.field == field


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("family", ["starter", "sd15"])
def test_a_picture_goes_on_beyond_its_edges(
    family: str, catalog: Catalog, models: ModelManager, tmp_path: Path
) -> None:
    fields = {"name": "outpaint", "model": family, "left": 40, "bottom": 100, "prompt": ""}
    (output,), _ = run(catalog, models, tmp_path, **fields)
    assert output.image.size == (360, 388)
    assert output.image.crop((40, 0, 360, 288)).tobytes() == scene().tobytes()
    assert np.asarray(output.image)[300:].std() > 3, "nothing was drawn"
    assert output.notes[-1].startswith("In the old picture 0 pixels changed; seam ")
    assert output.parameters["left"] == 40


class TestMasks:
    def test_transparent_is_not_white(self) -> None:
        image = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
        image.putpixel((3, 4), (255, 255, 255, 255))
        mask = read_mask(image, (8, 8))
        assert mask.sum() == 1
        assert mask[4, 3]

    def test_the_box_stays_in_the_picture(self) -> None:
        mask = np.zeros((100, 200), bool)
        mask[90:95, 1:3] = True
        box = box_around(mask, 10, 64)
        assert box.edges == (0, 36, 64, 100)
        assert box_around(mask, 500, 64).edges == (0, 0, 200, 100)

    def test_the_feather_lies_inside_and_reaches_the_middle(self) -> None:
        mask = np.asarray(disc()) > 127
        share = feathered(mask, 12)
        assert (share[~mask] == 0).all()
        assert share[125, 140] == 1
        edge = share[125, 80:96]
        assert (np.diff(edge) > 0).sum() > 10 and edge[2] < 0.4
        thin = np.zeros((50, 50), bool)
        thin[20:23] = True
        assert feathered(thin, 40).max() == 1
        border = np.zeros((50, 50), bool)
        border[:, 30:] = True
        assert (feathered(border, 5)[:, 40:] == 1).all(), "the picture's own edge is no edge of the mask"

    def test_a_hole_is_filled_from_around_it(self) -> None:
        pixels = np.full((200, 300, 3), (10, 120, 200), np.uint8)
        mask = np.zeros((200, 300), bool)
        mask[50:150, 100:200] = True
        pixels[mask] = (255, 0, 0)
        done = filled(pixels, mask)
        assert np.abs(done.astype(int) - (10, 120, 200)).max() <= 10
        assert (filled(pixels, np.ones_like(mask)) == 127).all()

    def test_cells_and_seams(self) -> None:
        mask = Image.new("L", (64, 32))
        mask.putpixel((17, 9), 40)
        cells = np.asarray(whole_cells(mask, 8))
        assert cells.sum() == 255 * 64 and (cells[8:16, 16:24] == 255).all()
        flat = np.full((20, 20, 3), 90, np.uint8)
        half = np.zeros((20, 20), bool)
        half[:, 10:] = True
        assert seam(flat, half) == 0
        flat[half] = 140
        assert 15 < (seam(flat, half) or 0) < 25
        assert seam(flat, np.ones_like(half)) is None


def test_the_judge_sees_what_was_put_in_and_misses_what_was_taken_out(launch: Callable[..., Studio]) -> None:
    studio = launch(capabilities="studio.capabilities:ALL")
    judge = Judge.load(ROOT / "assets/starter/judge")

    def draw(capability: str, **fields: Any) -> str:
        job = studio.jobs.submit(capability, fields, user="local")
        job = studio.jobs.wait(job.id, user="local", timeout=300)
        assert job.status == "done", job.error
        return job.asset_ids[0]

    def seen(id: str) -> str:
        return judge.look(studio.library.picture(id, user="local")).objects[0][0]

    mask = studio.library.add(png(disc(256, 256, (18, 18, 238, 238))), "m.png", user="local", purpose="mask").id
    found: dict[str, list[str]] = {"put in": [], "taken out": []}
    for seed in range(4):
        apple = draw("text-to-image", prompt="an apple on a blue background", seed=seed)
        if seen(apple) != "apple":
            continue
        frog = draw("inpaint", picture=apple, mask=mask, prompt="a frog on a blue background", seed=seed)
        gone = draw("inpaint", picture=apple, mask=mask, mode="remove", seed=seed)
        found["put in"].append(seen(frog))
        found["taken out"].append(seen(gone))
    assert len(found["put in"]) >= 3
    assert found["put in"].count("frog") >= len(found["put in"]) / 2, found
    assert "apple" not in found["put in"] + found["taken out"], found


def test_marks_of_twenty_edits_do_not_pile_up(launch: Callable[..., Studio]) -> None:
    studio = launch(capabilities="studio.capabilities:ALL")
    job = studio.jobs.submit("text-to-image", {"prompt": "an apple", "seed": 3, "steps": 8}, user="local")
    first = current = studio.jobs.wait(job.id, user="local", timeout=300).asset_ids[0]
    mask = studio.library.add(png(disc(256, 256, (90, 90, 160, 160))), "m.png", user="local", purpose="mask").id
    for seed in range(20):
        asked = {"picture": current, "mask": mask, "mode": "remove", "seed": seed, "steps": 4, "strength": 0.5}
        job = studio.jobs.wait(studio.jobs.submit("inpaint", asked, user="local").id, user="local", timeout=300)
        assert job.status == "done", job.error
        (line,) = studio.library.lineage(job.asset_ids[0], user="local").parents
        assert line.id == current
        current = job.asset_ids[0]
    before, after = (studio.library.picture(id, user="local") for id in (first, current))
    outside = np.asarray(disc(256, 256, (90, 90, 160, 160))) == 0
    moved = (np.asarray(after).astype(int) - np.asarray(before))[outside]
    assert 0 < np.abs(moved).max() <= 8
    assert 10 * np.log10(255**2 / (moved**2).mean()) >= 42
    assert read_watermark(after) == studio.gallery.get(current, user="local").parameters["watermark"]["key"]
    # What an edit starts from lies beside the picture and goes with it; nobody else can ask for it.
    assert studio.gallery.unmarked(current, user="local")
    with pytest.raises(StudioError):
        studio.gallery.unmarked(current, user="eve")
    assert read_watermark(studio.library.unmarked(current, user="local")) != read_watermark(after)
