"""Cut out and segment: real photographs and drawings through the tool that comes with the studio."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from studio import Studio
from studio.capabilities.cut_out import CutOut, CutOutRequest
from studio.capabilities.segment import Segment, SegmentRequest
from studio.capability import Output
from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.settings import Settings
from tests import photographs, tiny
from tests.test_tools import ball

ID = "0" * 32


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelManager:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), device="cpu")
    return ModelManager(settings, Catalog(settings))


def done(models: ModelManager, image: Image.Image, capability: Any = CutOut, **request: Any) -> Output:
    context = tiny.Context(models._catalog, models)
    context.pictures[ID] = image
    known = capability()
    prepared = known.prepare(known.request(picture=ID, **request), models._catalog)
    [output] = known.run(prepared, context)
    return output


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def ran(studio: Studio, name: str, picture: bytes, **more: Any) -> Any:
    upload = studio.library.add(picture, "ball.png", user="local")
    job = studio.jobs.submit(name, {"picture": upload.id, **more}, user="local")
    return upload, [event.job for event in studio.jobs.events(job.id, user="local")][-1]


def test_a_cup_and_a_cat_are_cut_out_of_their_photographs(models: ModelManager) -> None:
    image, true = photographs.cup()
    output = done(models, image)
    pixels = np.asarray(output.image)
    assert photographs.overlap(pixels[..., 3] > 127, true) > 0.93
    sure = pixels[..., 3] == 255
    assert sure.mean() > 0.4 and (pixels[sure, :3] == np.asarray(image)[sure]).all(), "what is kept is not changed"
    told = output.parameters
    assert (told["model"], told["tool"], told["licence"]) == ("u2netp", "U-2-Net small", "Apache-2.0")
    assert told["background"] == "transparent" and output.parents == (ID,) and not output.notes

    image, face, behind = photographs.cat()
    alpha = np.asarray(done(models, image).image)[..., 3]
    assert (alpha[face] > 127).mean() > 0.98 and (alpha[behind] < 20).mean() > 0.98
    assert ((alpha > 20) & (alpha < 235)).mean() > 0.01, "the fur's edge is soft"


@pytest.mark.parametrize(
    ("background", "colour"), [("#20c997", (32, 201, 151)), (" White ", (255,) * 3), ("rgb(1, 2, 3)", (1, 2, 3))]
)
def test_a_colour_is_exact_wherever_nothing_is_kept(background: str, colour: Any, models: ModelManager) -> None:
    image, true = photographs.cup()
    alpha = np.asarray(done(models, image).image)[..., 3]
    made = done(models, image, background=background).image
    assert made.mode == "RGB" and (np.asarray(made)[alpha == 0] == colour).all()
    assert (np.asarray(made)[alpha == 255] == np.asarray(image)[alpha == 255]).all()
    assert (alpha[~true] == 0).mean() > 0.9


def test_a_blurred_background_keeps_the_subject_and_has_no_halo_of_it(models: ModelManager) -> None:
    y, x = np.mgrid[:400, :600]
    pixels = np.where(np.hypot(x - 300, y - 200)[..., None] < 100, [200, 30, 30], [60, 90, 60]).astype(np.uint8)
    pixels[(x // 6 + y // 6) % 2 == 0] += 25
    image = Image.fromarray(pixels)
    alpha = np.asarray(done(models, image).image)[..., 3]
    made = np.asarray(done(models, image, background="blur").image, int)
    assert (made[alpha == 255] == pixels[alpha == 255]).all()
    behind = alpha == 0
    assert behind.mean() > 0.7
    assert made[behind].std(axis=0).max() < 0.3 * pixels[behind].std(axis=0).max(), "the pattern is gone"
    assert made[behind, 0].max() < 110, "the red does not glow"
    plain = image.filter(ImageFilter.GaussianBlur(12))
    assert np.asarray(plain)[behind, 0].max() > made[behind, 0].max()


def test_what_was_transparent_stays_so(models: ModelManager) -> None:
    image, _ = photographs.cup()
    image.putalpha(255)
    ImageDraw.Draw(image).rectangle([250, 100, 330, 160], fill=(9, 9, 9, 0))
    made = np.asarray(done(models, image).image)
    assert (made[105:155, 255:325, 3] == 0).all() and made[..., 3].max() == 255
    assert (np.asarray(done(models, image, background="lime").image)[105:155, 255:325] == [0, 255, 0]).all()


@pytest.mark.parametrize("background", ["blurry", "#12345", "#ff000080", "rgba(1,2,3,0.5)", "none"])
def test_no_background_is_refused_in_a_sentence(background: str, models: ModelManager) -> None:
    with pytest.raises(StudioError, match="write transparent, blur, or an opaque colour") as told:
        CutOut().prepare(CutOutRequest(picture=ID, background=background), models._catalog)
    assert told.value.field == "background"


def test_a_picture_is_cut_out_at_its_own_size_and_knows_its_parent(
    launch: Callable[..., Studio], settings: Settings
) -> None:
    studio = launch(capabilities="studio.capabilities:ALL", executor="inprocess", device="cpu")
    source = ball(417, 311)
    upload, job = ran(studio, "cut-out", png(source))
    assert job.status == "done", job.error
    [id] = job.asset_ids
    asset = studio.gallery.get(id, user="local")
    assert (asset.capability, asset.family, asset.width, asset.height) == ("cut-out", "u2netp", 417, 311)
    assert asset.parameters["requested"] == {"picture": upload.id, "background": "transparent", "model": "u2netp"}
    with Image.open(studio.gallery.file(id, user="local")) as made:
        assert made.mode == "RGBA"
        pixels, red = np.asarray(made, int), np.asarray(source)[..., 0] > 128
    assert pixels[red, 3].mean() > 240 and pixels[~red, 3].mean() < 10
    whole = pixels[..., 3] == 255
    assert np.abs(pixels[whole, :3] - np.asarray(source, int)[whole]).max() <= 8, "colours stay, but for the watermark"
    with Image.open(studio.gallery.thumbnail(id, user="local")) as small:
        assert small.mode == "RGBA"
    assert upload.id in str(studio.library.lineage(id, user="local"))

    job = studio.jobs.submit("cut-out", {"picture": id, "background": "navy"}, user="local")
    job = [event.job for event in studio.jobs.events(job.id, user="local")][-1]
    with Image.open(studio.gallery.file(job.asset_ids[0], user="local")) as again:
        assert again.mode == "RGB" and np.abs(np.asarray(again, int)[:20, :20] - [0, 0, 128]).max() <= 8

    _, small_job = ran(studio, "cut-out", png(ball(100, 100)))
    assert small_job.status == "failed" and "at least 256 x 256" in str(small_job.error)

    _, segmented = ran(studio, "segment", png(source), points=[[0.7, 0.5]])
    with Image.open(studio.gallery.file(segmented.asset_ids[0], user="local")) as mask:
        assert photographs.overlap(np.asarray(mask.convert("L")) > 127, red) > 0.97


def test_without_the_tool_it_is_said_how_to_get_it(launch: Callable[..., Studio], tmp_path: Path) -> None:
    studio = launch(capabilities="studio.capabilities:ALL", tools_dir=tmp_path, executor="inprocess", device="cpu")
    with pytest.raises(StudioError, match=r"download one of these in the Models tab: MODNet \(42.3 MB\)"):
        ran(studio, "cut-out", png(ball()))


def test_a_click_selects_the_thing_under_it(models: ModelManager) -> None:
    image, true = photographs.cup()
    for points in ([], [(0.47, 0.6)], [(0.2, 0.4), (0.47, 0.9)]):
        output = done(models, image, Segment, points=points)
        mask = np.asarray(output.image)
        assert set(np.unique(mask)) == {0, 255} and output.image.size == image.size
        assert photographs.overlap(mask[..., 0] > 0, true) > 0.94
    image, face, behind = photographs.cat()
    mask = np.asarray(done(models, image, Segment, points=[(0.5, 0.4)]).image)[..., 0] > 0
    assert mask[face].mean() > 0.95 and mask[behind].mean() < 0.05


def test_one_of_two_things_is_selected_by_its_click_and_both_by_two(models: ModelManager) -> None:
    image = Image.new("RGB", (640, 400), "#7fb3d5")
    pen = ImageDraw.Draw(image)
    places = {"left": [70, 120, 230, 280], "right": [420, 110, 570, 290]}
    pen.ellipse(places["left"], fill="#c0392b", outline="black", width=6)
    pen.rectangle(places["right"], fill="#f1c40f", outline="black", width=6)
    true = {}
    for name, box in places.items():
        outline = Image.new("L", image.size)
        draw = ImageDraw.Draw(outline)
        (draw.ellipse if name == "left" else draw.rectangle)(box, fill=255)
        true[name] = np.asarray(outline) > 0

    def selected(*points: tuple[float, float]) -> Any:
        return np.asarray(done(models, image, Segment, points=points).image)[..., 0] > 0

    left, right = (0.23, 0.5), (0.77, 0.5)
    assert photographs.overlap(selected(left), true["left"]) > 0.95
    assert photographs.overlap(selected(right), true["right"]) > 0.95
    assert photographs.overlap(selected(left, right), true["left"] | true["right"]) > 0.95
    sky = selected((0.5, 0.05))
    assert sky[~(true["left"] | true["right"])].mean() > 0.9 and not sky[true["left"]].mean() > 0.1
    assert (selected(left) == selected(left)).all()


def test_points_are_taken_as_json_and_as_the_command_line_gives_them() -> None:
    wanted = ((0.25, 0.5), (1.0, 0.0))
    for given in ([[0.25, 0.5], [1, 0]], ["0.25,0.5", "1,0"], ["[[0.25, 0.5], [1, 0]]"], "[[0.25, 0.5], [1, 0]]"):
        assert SegmentRequest.model_validate({"picture": ID, "points": given}).points == wanted
    for given in (["a,b"], ["0.5"], [[0.5, 1.5]], [[0.5]], "half", [{}], 7, [["[", 1]]):
        with pytest.raises(ValueError, match="points"):
            SegmentRequest.model_validate({"picture": ID, "points": given})
