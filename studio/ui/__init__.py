"""The page: one Gradio Blocks over the same `Studio` that serves the API. Nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from markupsafe import Markup

from studio.errors import StudioError
from studio.settings import ROOT
from studio.ui import about, framework, gallery, models, understand
from studio.ui.create import CreateTab
from studio.ui.forms import Action
from studio.ui.live import Live
from studio.ui.markup import finish, html, icon
from studio.ui.operations import MODELS, checked
from studio.ui.theme import StudioTheme, head

if TYPE_CHECKING:
    from studio import Studio

ASSETS = ROOT / "assets" / "ui"
PAGES = {"text-to-image": CreateTab}
"""Capability name -> the tab that offers it, in the order of the registry."""

_HEADER = Markup(
    '<header class="bar"><a class="brand" href="/" aria-label="Creative Studio">{mark}<span>Creative Studio</span></a>'
    '<div class="bar-tools"><button type="button" class="status" id="status" data-act="tab" data-tab="models" '
    'title="Open Models"><i></i><span>Starting</span></button>'
    '<button type="button" class="tool" data-act="theme" aria-label="Light or dark" title="Light or '
    'dark">{theme}</button></div>'
    '<div class="sr-only" id="live-region" role="status" aria-live="polite"></div></header>'
)
_MARK = Markup(
    '<svg class="mark" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="9"/>'
    '<circle cx="13" cy="18.5" r="6"/><path d="M17 6.5h8.5V15"/></svg>'
)


def build(studio: Studio) -> gr.Blocks:
    """The whole page, unmounted."""
    with gr.Blocks(
        title="Creative Studio", fill_width=True, analytics_enabled=False, delete_cache=(3600, 3600)
    ) as demo:
        live = Live(studio)
        actions: dict[str, Action] = {
            **gallery.actions(studio),
            **models.actions(studio),
            **understand.actions(studio),
        }

        def act(data: dict[str, Any]) -> dict[str, Any]:
            """What the page's script asks for: ``{"op": name, ...}``. A refusal is ``{"error": sentence}``."""
            name = str(data.get("op")) if isinstance(data, dict) else ""
            if name not in actions or name not in MODELS:
                return {"error": "This page is older than the studio: reload it."}
            try:
                return checked(name, actions[name], data)
            except StudioError as error:
                return {"error": error.message}

        html(
            finish(_HEADER.format(mark=_MARK, theme=icon("theme"))),
            elem_id="header",
            server_functions=[act],
            js_on_load="window.studio.connect(server)",
        )
        with gr.Tabs(elem_id="tabs") as tabs:
            for capability in studio.capabilities.values():
                page = PAGES.get(capability.name)
                if page is None:
                    continue
                with gr.Tab("Create" if len(PAGES) == 1 else capability.title, id=capability.name) as tab:
                    built = page(studio, live, tabs)
                built.on_load(demo, tab)
                actions.update(built.actions())
            with gr.Tab("Gallery", id="gallery"):
                gallery.build(studio)
            with gr.Tab("Understand", id="understand"):
                understand.build(studio)
            with gr.Tab("Models", id="models"):
                models.build(studio)
            with gr.Tab("About", id="about"):
                about.build(studio)
    return demo


def mount(api: FastAPI, studio: Studio) -> FastAPI:
    """Serve the page at ``/`` of ``api``, whose own routes must exist already: the mount swallows later ones."""
    api.mount("/ui", StaticFiles(directory=ASSETS), name="ui")
    folder = framework.temporary(studio.settings)
    demo = build(studio)
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
        head=head(ASSETS),
    )
    demo.has_launched = True  # without this a mounted app skips every check of file paths (gradio 6.31)
    return framework.confine(app, demo, studio.settings, folder)
