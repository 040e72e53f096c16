"""Which model draws: those of this computer, with the licence of the chosen one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup

from studio.errors import StudioError
from studio.models.families import Family
from studio.ui.form import Updates
from studio.ui.markup import finish, html, licence_badge

if TYPE_CHECKING:
    from studio import Studio


class ModelField:
    """``task`` is the capability; models that cannot do it are not offered."""

    def __init__(self, studio: Studio, tab: str, task: str) -> None:
        self._studio = studio
        self._task = task
        family = self.default()
        self.choice = gr.Dropdown(
            self.offered(), value=family.id, label="Model", elem_id=f"{tab}-model", filterable=False, interactive=True
        )
        self.line = html(_line(family), elem_id=f"{tab}-model-line", elem_classes="model-line-box")
        self.fields: dict[str, Component] = {"model": self.choice}
        self.others: tuple[Component, ...] = (self.line,)

    def default(self) -> Family:
        """The studio's default where it can do the task, else the first that can."""
        default = self._studio.catalog.get("")
        if self._can(default):
            return default
        return next((row for row in self._studio.catalog.all("diffusion") if self._can(row)), default)

    def family(self, id: str | None) -> Family:
        """The offered family of that id, else the default."""
        try:
            found = self._studio.catalog.get(id or "")
        except StudioError:
            return self.default()
        return found if self._can(found) else self.default()

    def offered(self) -> list[tuple[str, str]]:
        default = self.default()
        rows = (row for row in self._studio.catalog.all("diffusion") if self._can(row))
        return [(row.name, row.id) for row in rows if row.id == default.id or self._studio.catalog.available(row.id)]

    def adapt(self, family: Family) -> Updates:
        return {self.line: _line(family)}

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        return {self.choice: gr.Dropdown(self.offered(), value=family.id), self.line: _line(family)}

    def _can(self, family: Family) -> bool:
        return family.does(self._task)


def _line(family: Family) -> str:
    """Who draws and under which licence. What the model does not take is told to the style sheet, which hides it."""
    lacks = " ".join(each for each in ("negative-prompt", "guidance") if not family.supports(each))
    return finish(
        Markup('<p class="model-line" data-lacks="{}"><span><b>{}</b> is drawing</span>{}</p>').format(
            lacks, family.name, licence_badge(family)
        )
    )
