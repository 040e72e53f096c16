"""The tab Edit: a picture is drawn again, all of it or what was marked on the canvas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from studio.capability import Request
from studio.drawing.restore import Report
from studio.errors import StudioError
from studio.models.families import Family
from studio.ui.drawing import DrawingTab
from studio.ui.events import QUIET
from studio.ui.form import Part, Plain, Updates
from studio.ui.form.amount import AmountFields
from studio.ui.form.sampling import SamplingFields, SeedField
from studio.ui.form.schema import help_of, label, takes
from studio.ui.markup import html

REDRAW = "redraw"
"""Image to image; the other modes are those of inpaint."""
MODES = [
    ("Redraw all", REDRAW), ("Replace", "replace"), ("Remove", "remove"), ("Add", "add"), ("Background", "background"),
    ("Restore", "restore"),
]  # fmt: skip
WORDLESS = frozenset({"remove", "restore"})
USUAL = [("A little", 0.3), ("Clearly", 0.6), ("A lot", 0.85)]
_OWN_STRENGTH = f"(mode) => mode === '{REDRAW}' ? [0.6, 0.6] : [null, null]"
"""A mode of inpaint brings its own strength where none is given."""


class SourceField(Plain):
    """The picture that is worked on: the one on the stage, which the scripts put in when the form is sent."""

    def __init__(self, tab: str) -> None:
        html("", elem_id=f"{tab}-source", js_on_load="window.studio.mount('source', element)")
        self.fields = {"picture": gr.Textbox(label="Picture", elem_id=f"{tab}-picture", visible="hidden")}

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        return {}


class MaskFields(Plain):
    """What is done with the picture; where that needs a mask, how it is used. ``request`` is that of inpaint.

    The mask itself is painted on the stage; the scripts hand it in and put its id in when the form is sent.
    """

    def __init__(self, tab: str, request: type[Request]) -> None:
        self.mode = gr.Radio(MODES, value=REDRAW, label="What to do", elem_id=f"{tab}-mode", elem_classes="few modes")
        with gr.Column(elem_id=f"{tab}-mask-fields", elem_classes="mask-fields"):
            self._area = gr.Radio(
                [("Only what is marked", "masked"), ("Whole picture", "whole")], value=_default(request, "area"),
                label="What the model looks at", elem_id=f"{tab}-area", elem_classes="few",
                info="What is marked and a little around it is drawn finer than as part of the whole.",
            )  # fmt: skip
            self._feather = gr.Number(
                _default(request, "feather"), label=label("feather"), elem_id=f"{tab}-feather",
                info=help_of(request, "feather"),
            )  # fmt: skip
        mask = gr.Textbox(label="Mask", elem_id=f"{tab}-mask", visible="hidden")
        self.fields = {"mode": self.mode, "mask": mask, "area": self._area, "feather": self._feather}

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        return super().fill({name: value for name, value in values.items() if name != "mask"}, family)


class StrengthField(Plain):
    """Three strengths to choose from, and the number, which is judged when it is sent: a slider would change it."""

    def __init__(self, tab: str, own: str = "") -> None:
        self.usual = gr.Radio(USUAL, value=0.6, label="How much changes", elem_id=f"{tab}-change", elem_classes="few")
        self.number = gr.Number(
            0.6, label=label("strength"), elem_id=f"{tab}-strength", step=0.05,
            info=f"From 0, which changes nothing, to 1, which keeps little but the layout.{own}",
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
    """Image to image, and inpaint where the studio has it."""

    id = "edit"
    title = "Edit"
    capability = "image-to-image"
    more = ("inpaint",)

    def build(self, family: Family) -> list[Part]:
        source = SourceField(self.id)
        inpaint = self.requests.get("inpaint")
        masked = MaskFields(self.id, inpaint) if inpaint else None
        strength = StrengthField(self.id, " With a mask empty or 0 is what suits the choice above." if masked else "")
        amount = AmountFields(self.id, self.request)
        with gr.Accordion("Advanced", open=False, elem_id=f"{self.id}-advanced"):
            seed = SeedField(self.id, self.request)
            sampling = SamplingFields(self.id, self.request, family)
            amount.exact()
        if masked is None:
            return [source, strength, amount, seed, sampling]
        masked.mode.input(None, [masked.mode], [strength.number, strength.usual], js=_OWN_STRENGTH, **QUIET)
        return [source, masked, strength, amount, seed, sampling]

    def capability_of(self, values: Mapping[str, Any]) -> str:
        masked = "inpaint" in self.requests and (values.get("mode") or REDRAW) != REDRAW
        return "inpaint" if masked else self.capability

    def needs_words(self, values: Mapping[str, Any]) -> bool:
        return values.get("mode") not in WORDLESS

    def takes(self, name: str, value: Any) -> bool:
        if name == "strength" and value is None:
            return True
        return (name, value) == ("mode", REDRAW) or super().takes(name, value)

    def blank(self) -> dict[str, Any]:
        return {**super().blank(), "mode": REDRAW}

    def _asked(self, values: dict[str, Any]) -> dict[str, Any]:
        if not values.get("picture"):
            raise StudioError(
                "There is no picture to work on: pick one in the strip below, from a file or from the gallery.",
                field="picture",
            )
        if self.capability_of(values) == "inpaint":
            for name in ("mask", "strength"):
                values[name] = values.get(name) or None  # an empty number field says 0
        return super()._asked(values)

    def _find_source(self, found: Report, parameters: dict[str, Any]) -> None:
        super()._find_source(found, parameters)
        inpaint, asked = self.requests.get("inpaint"), parameters.get("requested")
        if inpaint is None or parameters.get("capability") != "inpaint" or not isinstance(asked, dict):
            return
        # The size is that of the picture, and no setting.
        found.not_restored = [loss for loss in found.not_restored if loss.field not in ("width", "height")]
        for name in ("mode", "mask", "area", "feather"):
            value = asked.get(name)
            if value is None or not takes(inpaint, name, value):
                continue
            if name == "mask" and not self._studio.library.has(str(value), user=self._user):
                found.lose("mask", "", "the mask it was made with is gone; paint another one")
                continue
            found.values[name] = value
            if name not in found.restored:
                found.restored.append(name)


def _default(request: type[Request], name: str) -> Any:
    return request.model_fields[name].default
