"""What is drawn, in words, shared by the drawing tabs: prompt, negative prompt, saved styles, wildcard lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
from markupsafe import escape

from studio.models.families import Family
from studio.ui.events import QUIET, guarded
from studio.ui.form import Plain, Updates
from studio.ui.form.schema import label

if TYPE_CHECKING:
    from studio import Studio


class PromptFields(Plain):
    """The prompt stands under the stage, the rest in folds of its own (`folds`)."""

    def __init__(self, studio: Studio, user: str) -> None:
        self._studio, self._user = studio, user
        self.prompt = gr.Textbox(
            label=label("prompt"), lines=2, max_lines=6, autofocus=True, elem_id="prompt",
            placeholder="What do you want to see?",
        )  # fmt: skip
        self.fields = {"prompt": self.prompt}

    def folds(self) -> None:
        """Build the folds here, and what they do."""
        with gr.Accordion("Styles and negative prompt", open=False, elem_id="styles-panel"):
            self.styles = gr.Dropdown(
                self._style_names(), value=[], multiselect=True, label="Styles", elem_id="styles",
                info="Text of your own that is added to the prompt.",
            )  # fmt: skip
            self.negative = gr.Textbox(
                label=label("negative_prompt"), lines=2, max_lines=5, elem_id="negative_prompt",
                placeholder="What to keep out of the picture",
            )  # fmt: skip
            with gr.Row(elem_classes="inline"):
                name = gr.Textbox(
                    label="Style name", elem_id="style-name", placeholder="Save the prompt as a style", max_lines=1
                )
                save = gr.Button("Save", size="sm", elem_id="style-save")
                drop = gr.Button("Delete", size="sm", elem_id="style-delete")
        with gr.Accordion("Wildcards", open=False, elem_id="wildcards"):
            self.wildcard = gr.Dropdown(
                self._lists(), value=None, label="List", allow_custom_value=True, elem_id="wildcard",
                info="`__name__` in a prompt picks one line of the list; `{a|b}` picks between words.",
            )  # fmt: skip
            lines = gr.Textbox(label="Choices, one a line", lines=4, max_lines=10, elem_id="wildcard-lines")
            with gr.Row(elem_classes="inline"):
                keep = gr.Button("Save list", size="sm", elem_id="wildcard-save")
                forget = gr.Button("Delete list", size="sm", elem_id="wildcard-delete")
        self.others = (self.wildcard,)
        self.fields |= {"negative_prompt": self.negative, "styles": self.styles}
        save.click(guarded(self._save_style), [name, self.prompt, self.negative], [self.styles, name], **QUIET)
        drop.click(guarded(self._delete_styles), [self.styles], [self.styles], **QUIET)
        self.wildcard.input(guarded(self._read_list), [self.wildcard], [lines], **QUIET)
        keep.click(guarded(self._save_list), [self.wildcard, lines], [self.wildcard], **QUIET)
        forget.click(guarded(self._delete_list), [self.wildcard], [self.wildcard, lines], **QUIET)

    def refresh(self) -> Updates:
        """Styles and lists saved since the page was built."""
        return {self.styles: gr.update(choices=self._style_names()), self.wildcard: gr.update(choices=self._lists())}

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        known = self._style_names()
        updates = super().fill(values, family)
        if "styles" in values:
            chosen = [name for name in values["styles"] or () if name in known]
            updates[self.styles] = gr.Dropdown(known, value=chosen)
        return updates

    def _style_names(self) -> list[str]:
        return [style.name for style in self._studio.words.list_styles(self._user)]

    def _lists(self) -> list[str]:
        return list(self._studio.words.list_wildcards(self._user))

    def _save_style(self, name: str, prompt: str, negative: str) -> tuple[Any, Any]:
        style = self._studio.words.save_style(self._user, name, prompt, negative)
        gr.Info(str(escape(f"Saved the style “{style.name}”.")), title="Styles")
        return gr.Dropdown(self._style_names()), ""

    def _delete_styles(self, names: list[str]) -> Any:
        if not names:
            gr.Info("Choose the styles to delete in the Styles field first.", title="Styles")
        for name in names:
            self._studio.words.delete_style(self._user, name)
        return gr.Dropdown(self._style_names(), value=[])

    def _read_list(self, name: str | None) -> str:
        return "\n".join(self._studio.words.read_wildcard(self._user, name)) if name else ""

    def _save_list(self, name: str | None, lines: str) -> Any:
        name = (name or "").strip().strip("_")
        self._studio.words.save_wildcard(self._user, name, lines)
        gr.Info("Saved the list.", title="Wildcards")
        return gr.Dropdown(self._lists(), value=name)

    def _delete_list(self, name: str | None) -> tuple[Any, str]:
        if name:
            self._studio.words.delete_wildcard(self._user, name)
        return gr.Dropdown(self._lists(), value=None), ""
