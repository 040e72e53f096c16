"""The tab Variations: pictures like the one on the stage, a little or a lot different."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from studio.capabilities.variations import DISTANCE
from studio.errors import StudioError
from studio.models.families import Family
from studio.ui.drawing import DrawingTab
from studio.ui.edit import SourceField
from studio.ui.form import Part, Plain
from studio.ui.form.amount import AmountFields
from studio.ui.form.sampling import SamplingFields, SeedField
from studio.ui.form.schema import label

NEAR = "seed-neighbour"
KINDS = [("Subtle", "subtle"), ("Strong", "strong"), ("Seed neighbours", NEAR)]


class KindFields(Plain):
    """How the pictures differ; of neighbours of a seed, how far they lie away."""

    def __init__(self, tab: VariationsTab) -> None:
        self.kind = gr.Radio(
            KINDS, value="subtle", label="How they differ", elem_id=f"{tab.id}-kind", elem_classes="few",
            info="Subtle keeps things and their places, strong the broad layout. Neighbours are drawn from noise near "
            "that of a picture made here.",
        )  # fmt: skip
        self.distance = gr.Number(
            DISTANCE, label=label("distance"), elem_id=f"{tab.id}-distance", step=0.05,
            info="Of seed neighbours: 0 is the picture itself, 1 another seed's.",
        )  # fmt: skip
        self.fields = {"kind": self.kind, "distance": self.distance}


class VariationsTab(DrawingTab):
    """Variations."""

    id = "variations"
    title = "Variations"
    capability = "variations"
    task = "image-to-image"

    def build(self, family: Family) -> list[Part]:
        source, kind = SourceField(self.id), KindFields(self)
        amount = AmountFields(self.id, self.request, 4)
        with gr.Accordion("Advanced", open=False, elem_id=f"{self.id}-advanced"):
            seed = SeedField(self.id, self.request)
            sampling = SamplingFields(self.id, self.request, family)
            amount.exact()
        return [source, kind, amount, seed, sampling]

    def needs_words(self, values: Mapping[str, Any]) -> bool:
        return False

    def blank(self) -> dict[str, Any]:
        return {**super().blank(), "count": 4, "kind": "subtle", "distance": DISTANCE}

    def _asked(self, values: dict[str, Any]) -> dict[str, Any]:
        if not values.get("picture"):
            raise StudioError(
                "There is no picture to vary: pick one in the strip below, from a file or from the gallery.",
                field="picture",
            )
        if values.get("kind") != NEAR:
            values["distance"] = None
        return super()._asked(values)
