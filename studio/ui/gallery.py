"""The gallery tab. Its scripts draw it, over REST like any program's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.ui.markup import html

if TYPE_CHECKING:
    from studio import Studio


def build(studio: Studio) -> None:
    """The place of the tab."""
    del studio
    html("", elem_id="gallery", js_on_load="window.studio.mount('gallery', element)")
