"""The page below a path of another site: every request it makes stays there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, go_to, serve, stage, write


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("below"), root_path="/team/studio") as server:
        yield server


def test_a_picture_is_drawn_found_and_opened_below_a_path(page: Page, server: Server) -> None:
    assert page.url.startswith(server.url + "/")
    write(page, "a red apple on a blue background")
    page.get_by_role("button", name="Draw a picture").click()
    stage(page, "done")
    shown = page.locator("#stage .pic img").first
    expect(shown).to_be_visible()
    assert shown.evaluate("(image) => image.naturalWidth") > 0
    for tab in ("Variations", "Edit", "Understand", "Models", "About", "Gallery"):
        go_to(page, tab)
    page.locator(".grid .thumb").first.click()
    expect(page.get_by_role("complementary", name="Selected picture")).to_contain_text("a red apple")
    page.reload(wait_until="commit")
    expect(page.get_by_role("complementary", name="Selected picture")).to_contain_text("a red apple")
