"""Small networks through the model manager: one budget, one undo, one eviction with painters and readers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.errors import StudioError
from studio.jobs import LightLane
from studio.models.catalog import Catalog
from studio.models.families import COMPLETE
from studio.models.manager import ModelManager
from studio.models.rows import ROWS, TOOLS, UNDERSTANDING
from studio.models.spec import TOOL, PipelineSpec
from studio.settings import Settings
from tests import tiny

MATTING = ["u2netp", "modnet"]
RED, GREEN = np.array([220, 30, 30], np.uint8), np.array([30, 160, 60], np.uint8)


def manager(root: Path, *ids: str, **more: Any) -> ModelManager:
    catalog = tiny.catalog(root, *ids, **more)
    return ModelManager(catalog.settings, catalog)


def ball(width: int = 400, height: int = 300) -> Image.Image:
    """A red disc on green, its middle in the right half."""
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(x - 0.7 * width, y - 0.5 * height) < 0.3 * height
    return Image.fromarray(np.where(inside[..., None], RED, GREEN))


def test_rows_of_tools_are_complete_and_pinned() -> None:
    rows = (*ROWS, *UNDERSTANDING, *TOOLS)
    assert len({row.id for row in rows}) == len(rows)
    for row in TOOLS:
        assert row.kind == "tool" and row.licence and row.summary and row.commercial
        assert row.package and row.fetched == bool(row.download_gb) == (not row.folder)
        assert all(len(digest) == 64 for _, digest in row.package.files) and row.licence in row.package.credit


def test_what_comes_with_the_studio_is_there_whole_small_and_on_a_card() -> None:
    catalog = Catalog(Settings())
    card = (catalog.settings.tools_dir / "README.md").read_text("utf-8")
    for row in TOOLS:
        if row.folder:
            place = catalog.location(row.id)
            assert catalog.available(row.id) and f"`{row.folder}`" in card and row.licence in card
            assert all(file.stat().st_size < 9_500_000 for file in place.iterdir())
            assert row.package and all(digest in card for _, digest in row.package.files)
            if row.package.form == "plain":
                found = {hashlib.sha256((place / name).read_bytes()).hexdigest() for name in row.package.kept}
                assert found == {digest for _, digest in row.package.files}
    assert {each.name for each in catalog.settings.tools_dir.iterdir()} == {
        "README.md",
        *(row.folder for row in TOOLS if row.folder),
    }


@pytest.mark.parametrize("id", MATTING)
@pytest.mark.parametrize("size", [(400, 300), (90, 700), (1300, 900)])
def test_an_onnx_row_is_loaded_counted_and_cuts_out(id: str, size: tuple[int, int], tmp_path: Path) -> None:
    models = manager(tmp_path, id)
    picture = ball(*size)
    with models.use(PipelineSpec(id, TOOL)) as tool:
        matte = tool.matte(picture)
    assert matte.mode == "L" and matte.size == picture.size
    levels, red = np.asarray(matte, int), np.asarray(picture)[..., 0] > 128
    assert levels[red].mean() > 200 and levels[~red].mean() < 60
    [resident] = models.residents()
    assert (resident.family, resident.device, resident.tasks) == (id, "cpu", ("tool",))
    content = (models._catalog.location(id) / f"{id}.onnx").read_bytes()
    assert resident.bytes == len(content)
    assert models.weights_hash(id) == hashlib.sha256(content).hexdigest()


def test_a_picture_of_one_colour_has_nothing_to_cut_out(tmp_path: Path) -> None:
    with manager(tmp_path, "u2netp").use(PipelineSpec("u2netp", TOOL)) as tool:
        assert tool.matte(Image.new("RGB", (50, 50), "black")).getextrema() == (0, 0)


def test_the_upscaler_is_a_row_like_the_others(tmp_path: Path) -> None:
    models = manager(tmp_path, "drawing-upscaler")
    with models.use(PipelineSpec("drawing-upscaler", TOOL)) as tool:
        whole = tool.upscale(ball(), 4)
        tool.components["model"].register_forward_hook(lambda module, args, output: output * 0)
        assert not np.asarray(tool.upscale(ball(), 4)).any()
        tool.tile = 7
    assert whole.size == (4 * 400, 4 * 300)
    with models.use(PipelineSpec("drawing-upscaler", TOOL)) as tool:
        assert tool.tile > 7 and tool.upscale(ball(), 4).tobytes() == whole.tobytes(), "what a job did is undone"
    with models.use(PipelineSpec("drawing-upscaler", TOOL), relief=2) as tool:
        parts = np.asarray(tool.upscale(ball(), 4), int)
    assert np.abs(parts - np.asarray(whole, int)).max() <= 1
    assert "small parts" in models.note("drawing-upscaler")


def test_a_painter_and_a_tool_share_one_budget_and_one_eviction(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15", "drawing-upscaler", "u2netp")
    for id in ("u2netp", "drawing-upscaler", "sd15"):
        models.load(id)
    sizes = {row.family: row.bytes for row in models.residents()}
    assert len(sizes) == 3, "all fit"

    small = manager(tmp_path / "small", *sizes, device_memory_gb=sizes["sd15"] / 1e9)
    painter, tool = PipelineSpec("sd15"), PipelineSpec("drawing-upscaler", TOOL)
    for spec, held in ((painter, "sd15"), (tool, "drawing-upscaler"), (painter, "sd15")):
        with small.use(spec):
            assert [row.family for row in small.residents()] == [held], "the budget holds one"
    with small.use(PipelineSpec("sd15", extras=("drawing-upscaler", "u2netp"))) as pipe:
        assert {row.family for row in small.residents()} == set(sizes), "a set of rows stays together"
        assert pipe.extras["drawing-upscaler"].upscale(ball(), 2).size == (800, 600)
        assert pipe.extras["u2netp"].matte(ball()).size == (400, 300)
    small.load("u2netp")
    small.unload("u2netp")
    assert "u2netp" not in {row.family for row in small.residents()}


def test_what_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    catalog = tiny.catalog(tmp_path)
    with pytest.raises(StudioError, match=r"MODNet is not .* download it in the Models tab \(42.3 MB\)"):
        catalog.require("modnet")
    with pytest.raises(StudioError, match=r"download one of these in the Models tab: MODNet \(42.3 MB\)"):
        catalog.default_for("matte")
    for id in ("drawing-upscaler", "u2netp"):
        with pytest.raises(StudioError, match="make tools"):
            catalog.require(id)
    tiny.place("modnet", catalog.settings)
    assert catalog.able("", "matte").id == "modnet"
    with pytest.raises(StudioError, match="choose one of: u2netp, modnet"):
        catalog.able("starter", "matte")


def test_a_damaged_file_is_told_in_one_sentence(tmp_path: Path) -> None:
    catalog = tiny.catalog(tmp_path)
    place = catalog.location("modnet")
    place.mkdir(parents=True)
    (place / "modnet.onnx").write_bytes(b"no model")
    (place / COMPLETE).touch()
    with pytest.raises(StudioError, match=r"MODNet cannot be loaded .* download it again") as told:
        ModelManager(catalog.settings, catalog).load("modnet")
    assert "\n" not in told.value.message


def test_small_tools_may_run_beside_a_drawing(tmp_path: Path) -> None:
    catalog = tiny.catalog(tmp_path, "u2netp", "drawing-upscaler", light_memory_gb=0.001)
    lane = LightLane(catalog.settings, catalog)
    assert lane.fits("u2netp") and lane.fits("drawing-upscaler")
    assert not lane.fits("modnet"), "it is not here"
    (catalog.location("u2netp") / "u2netp.onnx").unlink()
    (catalog.location("u2netp") / "u2netp.onnx").write_bytes(bytes(2_000_000))
    assert not LightLane(catalog.settings, catalog).fits("u2netp")
