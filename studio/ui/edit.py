"""The tab Edit: a picture is drawn again, near to what it is or far from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from studio.errors import StudioError
from studio.models.families import Family
from studio.ui.drawing import DrawingTab
from studio.ui.events import QUIET
from studio.ui.form import Part, Plain, Updates
from studio.ui.form.amount import AmountFields
from studio.ui.form.sampling import SamplingFields, SeedField
from studio.ui.form.schema import label
from studio.ui.markup import html

USUAL = [("A little", 0.3), ("Clearly", 0.6), ("A lot", 0.85)]


class SourceField(Plain):
    """The picture that is worked on: the one on the stage, which the scripts put in when the form is sent."""

    def __init__(self, tab: str) -> None:
        html("", elem_id=f"{tab}-source", js_on_load="window.studio.mount('source', element)")
        self.fields = {"picture": gr.Textbox(label="Picture", elem_id=f"{tab}-picture", visible="hidden")}

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        return {}


class StrengthField(Plain):
    """Three strengths to choose from, and the number, which is judged when it is sent: a slider would change it."""

    def __init__(self, tab: str) -> None:
        self.usual = gr.Radio(USUAL, value=0.6, label="How much changes", elem_id=f"{tab}-change", elem_classes="few")
        self.number = gr.Number(
            0.6, label=label("strength"), elem_id=f"{tab}-strength", step=0.05,
            info="From 0.05, which changes details, to 1, which keeps little but the layout.",
        )  # fmt: skip
        self.fields: dict[str, Component] = {"strength": self.number}
        self.others: tuple[Component, ...] = (self.usual,)
        usual = f"(strength) => ({[value for _, value in USUAL]}.includes(strength) ? strength : null)"
        self.usual.input(None, [self.usual], [self.number], js="(usual) => usual", **QUIET)
        self.number.input(None, [self.number], [self.usual], js=usual, **QUIET)  # pyright: ignore[reportAttributeAccessIssue]

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        updates = super().fill(values, family)
        if "strength" in values:
            strengths = [value for _, value in USUAL]
            updates[self.usual] = values["strength"] if values["strength"] in strengths else None
        return updates


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

    def _asked(self, values: dict[str, Any]) -> dict[str, Any]:
        if not values.get("picture"):
            raise StudioError(
                "There is no picture to redraw: pick one in the strip below, from a file or from the gallery.",
                field="picture",
            )
        return super()._asked(values)
