"""The tab Variations, and what is one click away from a picture."""

from __future__ import annotations

import re
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, Watch, go_to, keep, stage


@pytest.fixture(scope="module")
def drawn(server: Server) -> str:
    return server.draw("a red apple on a blue background", seed=3)[0]


def open_picture(page: Page, id: str) -> None:
    page.locator(f"#filmstrip [data-cell='{id}']").click()
    expect(page.locator(f"#stage .single[data-id='{id}'] img")).to_be_visible()


def offered(page: Page, words: str):
    return page.locator("#stage").get_by_role("button", name=words, exact=True)


def test_four_variations_and_one_of_them_goes_on(page: Page, server: Server, drawn: str) -> None:
    go_to(page, "Create")
    open_picture(page, drawn)
    offered(page, "Vary").click()
    expect(page).to_have_url(re.compile(f"#variations/{drawn}$"))
    keep(page, "variations")
    latest = server.newest_job()
    page.get_by_role("button", name="Draw 4 variations").click()
    server.drawn_after(latest)
    job = server.call(f"/api/v1/jobs/{server.newest_job()}")
    assert job["capability"] == "variations"
    assert (job["request"]["picture"], job["request"]["kind"], len(job["asset_ids"])) == (drawn, "subtle", 4)
    assert job["request"]["prompt"] == "a red apple on a blue background", "the picture's own words"
    stage(page, "done")
    keep(page, "variations-done")
    open_picture(page, job["asset_ids"][2])
    expect(page.locator(f".source img[src*='{job['asset_ids'][2]}']")).to_be_visible()
    offered(page, "Edit").click()
    expect(page).to_have_url(re.compile(f"#edit/{job['asset_ids'][2]}$"))


def test_without_a_picture_a_sentence_says_what_to_do(page: Page, server: Server, watch: Watch) -> None:
    go_to(page, "Variations")
    page.evaluate("location.hash = '#variations'")
    latest = server.newest_job()
    radio = page.get_by_role("radio", name="Seed neighbours")
    radio.check()
    expect(radio).to_be_checked()
    assert server.newest_job() == latest


def test_a_picture_is_cut_out_and_enlarged_with_one_click(page: Page, server: Server, drawn: str) -> None:
    go_to(page, "Create")
    open_picture(page, drawn)
    for words, capability, size in (("Cut out", "cut-out", (256, 256)), ("Enlarge", "upscale", (512, 512))):
        latest = server.newest_job()
        offered(page, words).click()
        made = server.drawn_after(latest)
        job = server.call(f"/api/v1/jobs/{server.newest_job()}")
        assert (job["capability"], job["request"]["picture"]) == (capability, drawn)
        image = Image.open(BytesIO(server.bytes(f"/api/v1/assets/{made}")))
        assert image.size == size
        if capability == "cut-out":
            assert image.getchannel("A").getextrema() == (0, 255)
        expect(page.locator(f"#filmstrip [data-cell='{made}']")).to_be_visible()
        open_picture(page, drawn)
