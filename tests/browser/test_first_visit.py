"""The first visit: a studio of its own, in which nothing was drawn yet."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from studio.settings import Settings
from studio.starter.judge import Judge
from tests.browser.conftest import Server, go_to, keep, open_panel, seeds, serve, stage, write


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("first")) as server:
        yield server


def test_a_sentence_becomes_the_picture_it_describes(page: Page, server: Server) -> None:
    keep(page, "create-empty")
    go_to(page, "Edit")
    expect(page.locator("#stage")).to_contain_text("No picture to redraw yet")
    keep(page, "edit-empty")
    page.get_by_role("button", name="Draw a picture in Create").click()
    write(page, "a red apple on a blue background")
    page.locator("#create-few").get_by_label("4", exact=True).check()
    open_panel(page, "Advanced")
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_role("button", name="Draw 4 pictures").click()
    stage(page, "done")
    expect(page.locator("#stage .pic img")).to_have_count(4)
    assert seeds(page) == ["7", "8", "9", "10"]
    keep(page, "create")

    judge = Judge.load(Settings().starter_dir / "judge")
    seen = []
    for picture in page.locator("#stage .pic").all():
        png = server.bytes(f"/api/v1/assets/{picture.get_attribute('data-id')}")
        verdict = judge.look(Image.open(BytesIO(png)).convert("RGB"))
        seen.append((verdict.objects[0][0], verdict.background))
    assert ("apple", "blue") in seen, seen
