"""Cut out: from a picture to one with transparency, through the whole studio."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio import Studio
from studio.errors import StudioError
from studio.settings import Settings
from tests import tiny
from tests.test_tools import ball


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def cut(studio: Studio, picture: bytes, **more: Any) -> Any:
    upload = studio.library.add(picture, "ball.png", user="local")
    job = studio.jobs.submit("cutout", {"picture": upload.id, **more}, user="local")
    return upload, [event.job for event in studio.jobs.events(job.id, user="local")][-1]


def test_a_picture_is_cut_out_at_its_own_size_and_knows_its_parent(
    launch: Callable[..., Studio], settings: Settings
) -> None:
    tiny.place("u2netp", settings)
    studio = launch(capabilities="studio.capabilities:ALL", executor="inprocess", device="cpu")
    source = ball(417, 311)
    upload, job = cut(studio, png(source))
    assert job.status == "done", job.error
    [id] = job.asset_ids
    asset = studio.gallery.get(id, user="local")
    assert (asset.capability, asset.family, asset.width, asset.height) == ("cutout", "u2netp", 417, 311)
    assert asset.parameters["requested"] == {"picture": upload.id, "model": "u2netp"}
    with Image.open(studio.gallery.file(id, user="local")) as made:
        assert made.mode == "RGBA"
        pixels, red = np.asarray(made, int), np.asarray(source)[..., 0] > 128
    assert pixels[red, 3].mean() > 200 and pixels[~red, 3].mean() < 60
    assert np.abs(pixels[..., :3] - np.asarray(source, int)).mean() < 3, "colours stay, but for the watermark"
    with Image.open(studio.gallery.thumbnail(id, user="local")) as small:
        assert small.mode == "RGBA"
    assert upload.id in str(studio.library.lineage(id, user="local"))

    _, small_job = cut(studio, png(ball(100, 100)))
    assert small_job.status == "failed" and "at least 256 x 256" in str(small_job.error)


def test_without_the_tool_it_is_said_how_to_get_it(launch: Callable[..., Studio]) -> None:
    studio = launch(capabilities="studio.capabilities:ALL", executor="inprocess", device="cpu")
    with pytest.raises(StudioError, match=r"download one of these in the Models tab: U-2-Net small \(42.3 MB\)"):
        cut(studio, png(ball()))
