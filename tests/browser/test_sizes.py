"""Every tab on the screens that people have: nothing is cut off at the sides, and the tabs stay in reach."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener, Server, go_to, keep

TABS = ("Create", "Edit", "Gallery", "Understand", "Models", "About")
STRAY = {"Dropdown", "Textbox", "Number", "Radio", "Checkbox", "Slider"}
"""What Gradio calls a component that nobody named: one that was made by mistake."""


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1366, 768), (820, 1180), (390, 844)])
def test_every_tab_fits_the_screen(opened: Opener, server: Server, width: int, height: int) -> None:
    have = server.call("/api/v1/gallery?limit=1")["total"]
    if have < 8:
        server.draw("a glossy 3d fox on a teal background", count=8 - have)
    page = opened(viewport={"width": width, "height": height}, has_touch=width < 900)
    for tab in TABS:
        go_to(page, tab)
        expect(page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")
        expect(page.get_by_role("tab", name=tab, exact=True)).to_be_in_viewport(ratio=0.98)
        if tab == "Models":
            page.wait_for_selector(".card")
        page.wait_for_function(
            """[...document.images].every((each) => {
                const box = each.getBoundingClientRect(); // those out of sight are not fetched yet
                return each.complete || !box.width || box.top > innerHeight || box.left > innerWidth;
            })"""
        )
        cut = page.evaluate(
            """() => [...document.querySelectorAll("button, input, textarea, h2, h3, p")].filter((each) => {
                const box = each.getBoundingClientRect();
                if (!box.width || box.top > innerHeight) return false;
                if (each.closest(".sr-only, .skip, [aria-hidden=true]")) return false;
                for (let above = each.parentElement; above; above = above.parentElement) {
                    if (["auto", "scroll"].includes(getComputedStyle(above).overflowX)) return false;
                }
                return box.left < -1 || box.right > innerWidth + 1;
            }).map((each) => each.outerHTML.slice(0, 120))"""
        )
        assert cut == [], tab
        names = page.locator("main label, main [data-testid=block-info]").all_inner_texts()
        assert not STRAY & set(names), names
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
        keep(page, f"{tab.lower()}-{width}")
