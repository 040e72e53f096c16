"""The page: one Gradio Blocks over the same `Studio` that serves the API. Nothing here imports torch."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from fastapi import FastAPI

from studio.errors import StudioError
from studio.models.samplers import SAMPLERS
from studio.settings import ROOT
from studio.ui import about, framework, gallery, models, understand
from studio.ui.create import CreateTab
from studio.ui.drawing import DrawingTab
from studio.ui.edit import EditTab
from studio.ui.events import CRASHED
from studio.ui.files import VersionedFiles, script_json
from studio.ui.form.words import PromptFields
from studio.ui.markup import html
from studio.ui.operations import MODELS, Action, checked
from studio.ui.theme import StudioTheme
from studio.ui.variations import VariationsTab

if TYPE_CHECKING:
    from studio import Studio

log = logging.getLogger(__name__)

ASSETS = ROOT / "assets" / "ui"
DRAWING: tuple[type[DrawingTab], ...] = (CreateTab, VariationsTab, EditTab)
"""The drawing tabs in their order; one whose capability is not there is not shown."""
PAGES = {"gallery": "Gallery", "understand": "Understand", "models": "Models", "about": "About"}

_ANYTHING = (
    "a lighthouse on a cliff at dawn, soft light, wide view",
    "a ceramic teapot on a linen tablecloth, product photograph",
    "an isometric drawing of a tiny bookshop, pastel colours",
    "a fox asleep in autumn leaves, watercolour",
    "a wooden desk by a rainy window, warm lamp, film photograph",
)
_LEFT = (
    "window.studio={{config:{config},waiting:[],called:[],"
    "mount(...place){{this.waiting.push(place)}},call(...told){{this.called.push(told)}}}};"
)
"""Runs before any module: keeps what Gradio draws and tells until the scripts are there."""


def _drawing(studio: Studio) -> list[type[DrawingTab]]:
    return [tab for tab in DRAWING if tab.capability in studio.capabilities]


def _place(name: str, **more: Any) -> gr.HTML:
    """Where a part of the scripts draws."""
    return html("", elem_id=name, js_on_load=f"window.studio.mount('{name}', element, server)", **more)


def build(studio: Studio, user: str) -> gr.Blocks:
    """The whole page of ``user``, unmounted."""
    actions: dict[str, Action] = {**models.actions(studio), **understand.actions(studio, user)}

    def act(data: dict[str, Any]) -> dict[str, Any]:
        """What the page's script asks for: ``{"op": name, ...}``. A refusal is ``{"error": sentence}``."""
        name = str(data.get("op")) if isinstance(data, dict) else ""
        if name not in actions or name not in MODELS:
            return {"error": "This page is older than the studio: reload it."}
        try:
            return checked(name, actions[name], data)
        except StudioError as error:
            return {"error": error.message}
        except Exception:
            log.exception("The page asked for %s", name)
            return {"error": CRASHED}

    with gr.Blocks(
        title="Creative Studio", fill_width=True, analytics_enabled=False, delete_cache=(3600, 3600)
    ) as demo:
        _place("header", server_functions=[act])
        tabs: list[tuple[DrawingTab, gr.Tab]] = []
        with gr.Row(elem_id="studio", equal_height=False):
            with gr.Column(elem_id="workspace"):
                _place("rail")
                _place("stage")
                with gr.Column(elem_id="composer"):
                    words = PromptFields(studio, user)
                    _place("prompt-side")
                _place("filmstrip")
            with gr.Column(elem_id="side"):
                with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
                    for each in _drawing(studio):
                        with gr.Tab(each.title, id=each.id, render_children=True) as tab:
                            built = each(studio, user, words)
                        tabs.append((built, tab))
                    for name, title in PAGES.items():
                        with gr.Tab(title, id=name):
                            _page(name, studio)
                with gr.Column(elem_id="words"):
                    words.folds()
        for built, tab in tabs:
            built.wire(demo, tab)
    return demo


def _page(name: str, studio: Studio) -> None:
    {"gallery": gallery, "understand": understand, "models": models, "about": about}[name].build(studio)


def config(studio: Studio) -> dict[str, Any]:
    """What the scripts are told once."""
    drawing = _drawing(studio)
    previews = json.loads((ASSETS / "previews" / "previews.json").read_text(encoding="utf-8"))
    return {
        "tabs": [*(tab.id for tab in drawing), *PAGES],
        "titles": {**{tab.id: tab.title for tab in drawing}, **PAGES},
        "draws": {name: tab.id for tab in drawing for name in tab.capabilities() if name in studio.capabilities},
        "makes": {name: each.title for name, each in studio.capabilities.items() if each.makes == "pictures"},
        "capabilities": list(studio.capabilities),
        "samplers": {id: row.label for id, row in SAMPLERS.items()},
        "styles": previews["styles"],
        "examples": previews["examples"],
        "anything": _ANYTHING,
    }


def mount(api: FastAPI, studio: Studio) -> FastAPI:
    """Serve the page at ``/`` of ``api``, whose own routes must exist already: the mount swallows later ones."""
    files = VersionedFiles(ASSETS)
    api.mount("/ui", files, name="ui")
    folder = framework.temporary(studio.settings)
    demo = build(studio, api.state.user)
    demo.queue(default_concurrency_limit=None, api_open=False)
    app = gr.mount_gradio_app(
        api,
        demo,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=f"{studio.settings.max_upload_mb}mb",
        pwa=False,
        ssr_mode=False,
        favicon_path=str(Path(ASSETS) / "favicon.svg"),
        theme=StudioTheme(),
        head=files.tags(_LEFT.format(config=script_json(config(studio))))
        + '<meta name="color-scheme" content="light dark">',
    )
    demo.has_launched = True  # without this a mounted app skips every check of file paths (gradio 6.31)
    return framework.confine(app, demo, studio.settings, folder)
