"""The tab Edit: a picture is drawn again, near to what it is or far from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from studio.models.families import Family
from studio.ui.drawing import DrawingTab
from studio.ui.form import Part, Plain, Updates
from studio.ui.form.amount import AmountFields
from studio.ui.form.sampling import SamplingFields, SeedField
from studio.ui.form.schema import label
from studio.ui.markup import html


class SourceField(Plain):
    """The picture that is worked on: the one on the stage, which the scripts put in when the form is sent."""

    def __init__(self, tab: str) -> None:
        html("", elem_id=f"{tab}-source", js_on_load="window.studio.mount('source', element)")
        self.fields = {"picture": gr.Textbox(label="Picture", elem_id=f"{tab}-picture", visible="hidden")}

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        return {}


class StrengthField(Plain):
    def __init__(self, tab: str) -> None:
        self.fields = {
            "strength": gr.Slider(
                0.05, 1, value=0.6, step=0.05, label=label("strength"), elem_id=f"{tab}-strength", buttons=[],
                info="Low keeps the picture and changes its details; high keeps little more than its colours.",
            )
        }  # fmt: skip


class EditTab(DrawingTab):
    """Image to image."""

    id = "edit"
    title = "Edit"
    capability = "image-to-image"

    def build(self, family: Family) -> list[Part]:
        source, strength = SourceField(self.id), StrengthField(self.id)
        amount = AmountFields(self.id, self.request)
        with gr.Accordion("Advanced", open=False, elem_id=f"{self.id}-advanced"):
            seed = SeedField(self.id, self.request)
            sampling = SamplingFields(self.id, self.request, family)
            amount.exact()
        return [source, strength, amount, seed, sampling]
