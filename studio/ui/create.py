"""The tab Create: a sentence becomes pictures."""

from __future__ import annotations

import gradio as gr

from studio.models.families import Family
from studio.ui.drawing import DrawingTab
from studio.ui.events import QUIET, guarded
from studio.ui.form import Part, Updates
from studio.ui.form.amount import AmountFields
from studio.ui.form.sampling import SamplingFields, SeedField
from studio.ui.form.size import SizeField, ratio_of


class CreateTab(DrawingTab):
    """Text to image."""

    id = "create"
    title = "Create"
    capability = "text-to-image"

    def build(self, family: Family) -> list[Part]:
        self._size = SizeField(self.id, self.request, family)
        amount = AmountFields(self.id, self.request)
        with gr.Accordion("Advanced", open=False, elem_id=f"{self.id}-advanced"):
            seed = SeedField(self.id, self.request)
            sampling = SamplingFields(self.id, self.request, family)
            self._size.numbers()
            amount.exact()
        return [self._size, amount, seed, sampling]

    def wire(self, demo: gr.Blocks, tab: gr.Tab) -> None:
        super().wire(demo, tab)
        size = self._size
        width, height = size.fields["width"], size.fields["height"]
        size.ratio.input(guarded(self._reshape), [self.model.choice, size.ratio], [size.ratio, width, height], **QUIET)
        gr.on(
            [width.input, height.input],  # pyright: ignore[reportAttributeAccessIssue]
            guarded(self._choose_size), [self.model.choice, width, height], [size.ratio], **QUIET,
        )  # fmt: skip

    def _reshape(self, model: str, ratio: str | None) -> Updates:
        return self._size.reshape(self.model.family(model), ratio)

    def _choose_size(self, model: str, width: float | None, height: float | None) -> str | None:
        return ratio_of(self.model.family(model), int(width or 0), int(height or 0))
