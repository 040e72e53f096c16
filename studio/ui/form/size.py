"""The shape of a picture: five presets at the model's own area, or a width and a height."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from studio.capability import Request
from studio.drawing.sizes import size_like
from studio.models.families import Family
from studio.ui.form import Updates
from studio.ui.form.schema import help_of, label

RATIOS: dict[str, float] = {"1:1": 1.0, "4:3": 4 / 3, "3:4": 3 / 4, "16:9": 16 / 9, "9:16": 9 / 16}


def preset_size(family: Family, ratio: str) -> tuple[int, int]:
    """(width, height) in pixels for ``ratio`` at about the family's native area, within its limits and on its grid."""
    return size_like(family, RATIOS[ratio], 1.0)


def ratio_of(family: Family, width: int, height: int) -> str | None:
    """The preset that gives exactly this size, or None for a size of the user's own."""
    return next((name for name in RATIOS if preset_size(family, name) == (width, height)), None)


class SizeField:
    """The presets stand in the open form; `numbers` puts width and height where the caller builds them."""

    def __init__(self, tab: str, request: type[Request], family: Family) -> None:
        self._tab, self._request, self._family = tab, request, family
        self.ratio = gr.Radio(list(RATIOS), value="1:1", label="Shape", elem_id=f"{tab}-ratio", elem_classes="shapes")
        self.fields: dict[str, Component] = {}
        self.others: tuple[Component, ...] = (self.ratio,)

    def numbers(self) -> None:
        with gr.Row(elem_classes="pair"):
            for name in ("width", "height"):
                self.fields[name] = gr.Number(
                    self._family.native_size, label=label(name), elem_id=f"{self._tab}-{name}",
                    info=help_of(self._request, name).split(";")[0] + ".",
                )  # fmt: skip

    def adapt(self, family: Family) -> Updates:
        return self._show(family, *preset_size(family, "1:1"))

    def reshape(self, family: Family, ratio: str | None) -> Updates:
        """The numbers of a preset."""
        return self._show(family, *preset_size(family, ratio if ratio in RATIOS else "1:1"))

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        width, height = values.get("width"), values.get("height")
        if not isinstance(width, int) or not isinstance(height, int):
            return self.adapt(family)
        return self._show(family, width, height)

    def _show(self, family: Family, width: int, height: int) -> Updates:
        sizes = {self.fields["width"]: width, self.fields["height"]: height}
        return {**sizes, self.ratio: ratio_of(family, width, height)}
