"""HTML that tabs share.

Everything is `markupsafe.Markup`, so text of users, models and files is escaped by construction. `finish` is the last
step before ``gr.HTML``, whose template language would otherwise read ``${...}`` and ``{{...}}`` out of a prompt.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import gradio as gr
from markupsafe import Markup

if TYPE_CHECKING:
    from studio.models.families import Family


def html(value: str, *, elem_id: str, **more: Any) -> gr.HTML:
    """A ``gr.HTML`` that looks as our style sheet says, without Gradio's rules for prose and buttons."""
    return gr.HTML(value, elem_id=elem_id, apply_default_css=False, **more)


def finish(*parts: Markup | str) -> str:
    """The value of a ``gr.HTML``: braces and dollars as entities, so that its template finds nothing to expand."""
    text = "".join(str(part) if isinstance(part, Markup) else str(Markup.escape(part)) for part in parts)
    return text.replace("{", "&#123;").replace("}", "&#125;").replace("$", "&#36;").replace("`", "&#96;")


def join(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)


def licence_words(family: Family) -> str:
    """The licence's name and whether what is made may be sold."""
    name = family.licence.split(" (")[0].split("; ")[0]
    return f"{name} · {'commercial use' if family.commercial else 'not for commercial use'}"


def licence_badge(family: Family) -> Markup:
    """`licence_words`, in words rather than colour alone; the licence in full as title."""
    kind = "ok" if family.commercial else "no"
    return Markup('<span class="badge badge-{}" title="{}">{}</span>').format(
        kind, family.licence, licence_words(family)
    )
