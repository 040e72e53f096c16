"""How many pictures, how many at a time, how many of them are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from studio.capability import Request
from studio.models.families import Family
from studio.ui.events import QUIET
from studio.ui.form import Plain, Updates
from studio.ui.form.schema import help_of, label

FEW = (1, 2, 4, 8)


class AmountFields(Plain):
    """A few counts to choose from in the open form; `exact` puts the numbers where the caller builds them."""

    def __init__(self, tab: str, request: type[Request], count: int = 1) -> None:
        self._tab, self._request, self._count = tab, request, count
        self.few = gr.Radio(list(FEW), value=count, label="Pictures", elem_id=f"{tab}-few", elem_classes="few")
        self.fields: dict[str, Component] = {}
        self.others: tuple[Component, ...] = (self.few,)

    def exact(self) -> None:
        with gr.Row(elem_classes="pair"):
            for name in ("count", "batch_size"):
                self.fields[name] = gr.Number(
                    self._count if name == "count" else 1, label=label(name), elem_id=f"{self._tab}-{name}"
                )
        if "keep_best" in self._request.model_fields:
            self.fields["keep_best"] = gr.Number(
                None,
                label=label("keep_best"),
                elem_id=f"{self._tab}-keep_best",
                info=help_of(self._request, "keep_best"),
            )
        count = self.fields["count"]
        few = f"(count) => ({list(FEW)}.includes(count) ? count : null)"
        self.few.input(None, [self.few], [count], js="(few) => few", **QUIET)
        count.input(None, [count], [self.few], js=few, **QUIET)  # pyright: ignore[reportAttributeAccessIssue]

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        updates = super().fill(values, family)
        if "count" in values:
            updates[self.few] = values["count"] if values["count"] in FEW else None
        return updates
