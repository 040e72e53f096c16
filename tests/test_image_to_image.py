"""Image to image: on every family that supports it, near the source at low strength and far from it at high."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio import Studio
from studio.capabilities import BY_NAME
from studio.capabilities.image_to_image import ImageToImageRequest
from studio.capability import Output
from studio.drawing.sizes import size_like
from studio.errors import Cancelled, StudioError
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from studio.models.rows import ROWS
from studio.settings import Settings
from tests import tiny

I2I: Any = BY_NAME["image-to-image"]
SOURCE = "a" * 32
ABLE = [row.id for row in ROWS if row.supports("image-to-image") and row.id in tiny.BUILDERS]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny.catalog(tmp_path_factory.mktemp("i2i"), *ABLE)


@pytest.fixture(scope="module")
def models(catalog: Catalog) -> ModelManager:
    return ModelManager(catalog.settings, catalog)


def stripes(width: int = 320, height: int = 256) -> Image.Image:
    row = np.linspace(0, 255, width, dtype=np.uint8)
    return Image.fromarray(
        np.stack([np.tile(row, (height, 1)), np.full((height, width), 90, np.uint8)] * 2, 2)[..., :3]
    )


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def ask(**fields: Any) -> ImageToImageRequest:
    asked = {"prompt": "a red ball", "picture": SOURCE, "seed": 7, "steps": 4, "model": "sd15", "strength": 0.5}
    return ImageToImageRequest(**{**asked, **fields})


def run(catalog: Catalog, models: ModelManager, *, source: Image.Image | None = None, **fields: Any) -> Any:
    context = tiny.Context(catalog, models, cancel_at=fields.pop("cancel_at", None))
    context.pictures[SOURCE] = source or stripes()
    return list(I2I.run(I2I.prepare(ask(**fields), catalog), context)), context


def distance(output: Output, source: Image.Image) -> float:
    """Mean difference in levels."""
    wanted = np.asarray(source.resize(output.image.size, Image.Resampling.LANCZOS)).astype(int)
    return float(np.abs(np.asarray(output.image).astype(int) - wanted).mean())


@pytest.mark.parametrize("family", ABLE)
def test_every_family_draws_a_picture_over(family: str, catalog: Catalog, models: ModelManager) -> None:
    first, context = run(catalog, models, model=family, strength=0.75, width=256, height=256)
    again, _ = run(catalog, models, model=family, strength=0.75, width=256, height=256)
    other, _ = run(catalog, models, model=family, strength=0.75, width=256, height=256, source=stripes().rotate(180))
    assert first[0].image.size == (256, 256)
    assert first[0].image.tobytes() == again[0].image.tobytes()
    assert first[0].image.tobytes() != other[0].image.tobytes(), "the source made no difference"
    assert context.steps[0][0] == 0 and context.steps[-1][0] == context.steps[-1][1]
    assert first[0].parents == (SOURCE,)
    parameters = first[0].parameters
    assert parameters["capability"] == "image-to-image"
    if catalog.get(family).supports("strength"):
        assert parameters["strength"] == 0.75
    else:
        assert "strength" not in parameters
        assert any("the strength was left out" in note for note in first[0].notes)
    assert parameters["requested"]["picture"] == SOURCE


def test_the_source_counts_less_with_more_strength(tmp_path: Path) -> None:
    """On the starter model, which draws: a little strength stays near the source."""
    catalog = Catalog(Settings(data_dir=tmp_path))
    models = ModelManager(catalog.settings, catalog)
    source = Image.new("RGB", (256, 256), (230, 60, 50))
    fields = {"model": "starter", "prompt": "a green frog on a blue background", "steps": 10, "seed": 1}
    near, far = (run(catalog, models, source=source, strength=each, **fields)[0][0] for each in (0.2, 0.95))
    assert distance(near, source) < 25
    assert distance(far, source) > 3 * distance(near, source)


def test_strength_0_gives_the_picture_back_and_says_so(catalog: Catalog, models: ModelManager) -> None:
    source = stripes(301, 299)
    (output,), _ = run(catalog, models, source=source, strength=0)
    assert output.image.tobytes() == source.tobytes()
    assert output.notes == ("At strength 0 nothing is drawn: this is the picture as it was.",)
    assert output.parents == (SOURCE,)
    with pytest.raises(StudioError, match="at least 256 x 256"):
        run(catalog, models, source=stripes(40, 300), strength=0)


def test_only_the_steps_that_run_are_counted(catalog: Catalog, models: ModelManager) -> None:
    outputs, context = run(catalog, models, steps=10, strength=0.35, count=2, width=256, height=256)
    assert len(outputs) == 2
    assert context.steps[-1] == (6, 6)
    _, context = run(catalog, models, steps=10, strength=0.35, sampler="heun", width=256, height=256)
    assert context.steps[-1] == (3, 3)
    assert [step for step, _ in context.steps] == sorted(step for step, _ in context.steps)
    with pytest.raises(Cancelled):
        run(catalog, models, steps=10, strength=0.5, cancel_at=2, width=256, height=256)


@pytest.mark.parametrize(
    ("fields", "sentence", "field"),
    [
        ({"steps": 2, "strength": 0.3}, "only 0 of 2 steps run, and this needs 1; raise the steps to 4", "steps"),
        ({"steps": 8, "strength": 0.5, "sampler": "pndm"}, "only 4 of 8 steps run, and this needs 5", "steps"),
        ({"strength": 0, "width": 256, "height": 256}, "comes back as it was, in its own size", "width"),
        ({"width": 256}, "both width and height", "height"),
        ({"width": 300, "height": 256}, "use 304 instead of 300", "width"),
        ({"model": "starter-clip"}, "cannot do image-to-image", "model"),
    ],
)
def test_what_cannot_be_done_is_refused_at_submit(
    fields: dict[str, Any], sentence: str, field: str, catalog: Catalog
) -> None:
    with pytest.raises(StudioError, match=sentence) as caught:
        I2I.prepare(ask(**fields), catalog)
    assert caught.value.field == field


@pytest.mark.parametrize("shape", [(3000, 2000), (50, 400), (301, 299), (640, 64)])
def test_the_size_follows_the_shape_of_the_source(
    shape: tuple[int, int], catalog: Catalog, models: ModelManager
) -> None:
    family = catalog.get("sd15")
    outputs, _ = run(catalog, models, source=stripes(*shape), steps=2, strength=0.5)
    width, height = outputs[0].image.size
    assert (width, height) == size_like(family, *shape)
    assert width % family.size_multiple == height % family.size_multiple == 0
    assert (outputs[0].parameters["width"], outputs[0].parameters["height"]) == (width, height)
    if 0.5 < shape[0] / shape[1] < 2:
        assert width / height == pytest.approx(shape[0] / shape[1], rel=0.05)


def test_an_upload_becomes_a_picture_that_knows_where_it_came_from(launch: Callable[..., Studio]) -> None:
    studio = launch(capabilities="studio.capabilities:ALL")
    upload = studio.library.add(png(Image.new("RGB", (200, 200), "red")), "mine.png", user="local")
    foreign = studio.library.add(png(Image.new("RGB", (64, 64), "red")), "theirs.png", user="eve")
    with pytest.raises(StudioError, match="no picture") as caught:
        studio.jobs.submit("image-to-image", {"prompt": "a frog", "picture": foreign.id}, user="local")
    assert (caught.value.status, caught.value.field) == (404, "picture")
    with pytest.raises(StudioError, match="no saved style 'ink'") as caught:
        studio.jobs.submit(
            "image-to-image", {"prompt": "a frog", "picture": upload.id, "styles": ["ink"]}, user="local"
        )
    assert caught.value.field == "styles"
    studio.words.save_style("local", "plain", "{prompt} on a red background")
    asked = {"prompt": "a frog", "picture": upload.id, "steps": 6, "strength": 0.7, "styles": ["plain"], "count": 2}
    job = studio.jobs.wait(studio.jobs.submit("image-to-image", asked, user="local").id, user="local", timeout=120)
    assert job.status == "done", job.error
    assert len(job.asset_ids) == 2
    for id in job.asset_ids:
        asset = studio.gallery.get(id, user="local")
        assert asset.prompt == "a frog on a red background"
        assert studio.library.lineage(id, user="local").uploads == (upload,)
    # A picture made here is a source like any other, and is its child's parent.
    asked = {"prompt": "a cat", "picture": job.asset_ids[0], "steps": 6}
    again = studio.jobs.wait(studio.jobs.submit("image-to-image", asked, user="local").id, user="local", timeout=120)
    line = studio.library.lineage(job.asset_ids[0], user="local")
    assert [each.id for each in line.children] == list(again.asset_ids)
