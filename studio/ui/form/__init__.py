"""Parts of a form, shared by the drawing tabs: each is built from the request's own schema, its ids begin with the tab.

A part holds components by request field. `adapt` gives what changes with the model, `fill` what a restored or kept form
says; both map components to their new value or update.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gradio.components import Component

from studio.models.families import Family

Updates = dict[Component, Any]


class Part(Protocol):
    """Some fields of a form."""

    fields: dict[str, Component]
    """Request field -> the component that holds it."""
    others: tuple[Component, ...]
    """What `adapt` and `fill` change beside the fields."""

    def adapt(self, family: Family) -> Updates:
        """The fields as ``family`` wants them: its own defaults, and only what it understands."""
        ...

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        """The fields holding ``values`` (those that are missing stay as they are), offered as ``family`` wants them."""
        ...


class Plain:
    """A part whose fields do not depend on the model."""

    fields: dict[str, Component]
    others: tuple[Component, ...] = ()

    def adapt(self, family: Family) -> Updates:
        return {}

    def fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        return {component: values[name] for name, component in self.fields.items() if name in values}
