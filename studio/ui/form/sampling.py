"""How a picture is drawn: steps, guidance, sampler, seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from studio.capability import Request
from studio.models.families import Family
from studio.models.samplers import samplers_for
from studio.ui.form import Plain, Updates
from studio.ui.form.schema import help_of, label


def offered(family: Family) -> list[tuple[str, str]]:
    """Samplers as (name, id)."""
    return [(row.label, row.id) for row in samplers_for(family)]


def own_sampler(family: Family) -> str:
    """The family's own sampler, or the first it can use where its pack names one that is unknown here."""
    known = [id for _, id in offered(family)]
    return family.sampler if family.sampler in known else known[0]


class SamplingFields:
    """Numbers, not sliders: what is typed is judged when it is sent, never changed in silence."""

    def __init__(self, tab: str, request: type[Request], family: Family) -> None:
        with gr.Row(elem_classes="pair"):
            self._steps = gr.Number(
                family.steps, label=label("steps"), elem_id=f"{tab}-steps", info=_help(request, "steps")
            )
            self._guidance = gr.Number(
                family.guidance, label=label("guidance_scale"), elem_id=f"{tab}-guidance_scale", step=0.5,
                info=_help(request, "guidance_scale"),
            )  # fmt: skip
        self._sampler = gr.Dropdown(
            offered(family), value=own_sampler(family), label=label("sampler"), elem_id=f"{tab}-sampler",
            filterable=False,
        )  # fmt: skip
        self.others: tuple[Component, ...] = ()
        self.fields: dict[str, Component] = {
            "steps": self._steps,
            "guidance_scale": self._guidance,
            "sampler": self._sampler,
        }

    def adapt(self, family: Family) -> Updates:
        return self.fill({}, family)

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        samplers = offered(family)
        sampler = values.get("sampler")
        known = sampler in [id for _, id in samplers]
        return {
            self._steps: values.get("steps", family.steps),
            self._guidance: values.get("guidance_scale", family.guidance),
            self._sampler: gr.Dropdown(
                samplers, value=sampler if known else own_sampler(family), visible=len(samplers) > 1
            ),
        }


class SeedField(Plain):
    """Empty is a new seed every time. Whatever else is not a whole number is refused when it is sent."""

    def __init__(self, tab: str, request: type[Request]) -> None:
        with gr.Row(elem_classes="inline"):
            self.seed = gr.Textbox(
                label=label("seed"), elem_id=f"{tab}-seed", placeholder="Random", max_lines=1,
                info=help_of(request, "seed"),
            )  # fmt: skip
            self.last = gr.Button("Reuse last", size="sm", elem_id=f"{tab}-seed-last")
        self.fields = {"seed": self.seed}

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        if "seed" not in values:
            return {}
        return {self.seed: "" if values["seed"] is None else str(values["seed"])}


def _help(request: type[Request], name: str) -> str:
    return help_of(request, name).split(";")[0] + "."
