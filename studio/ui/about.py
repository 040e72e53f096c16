"""The about tab: versions, what the starter art owes to whom, the keyboard, the settings."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markupsafe import Markup

from studio.settings import ROOT
from studio.ui.markup import finish, html, join

if TYPE_CHECKING:
    from studio import Studio

_KEYS = (
    ("Ctrl Enter", "Generate, sort, ask ...: the blue button (⌘ Enter on a Mac)"),
    ("Esc", "Cancel what is under way, or close what is open"),
    ("← → ↑ ↓", "Go about in tabs, choices, the filmstrip, the gallery; the next picture in a large view"),
    ("Space", "Gallery: select the picture; with Shift all up to it"),
    ("S", "Star the picture"),
    ("Delete", "Delete the picture, or all that are selected"),
    ("Ctrl Z", "Gallery: bring back what was deleted last"),
    ("Enter", "Gallery: open the picture large. Ask: send the question; Shift Enter begins a new line"),
    ("+ -", "Come closer on the map of the gallery; arrows fly, 0 shows all"),
    ("Ctrl click", "Gallery: select several pictures; Shift click up to here"),
    ("Drop a picture", "Create: bring back its settings. Gallery: find those like it. Understand: choose it"),
)
GUIDE = ROOT / "docs" / "guides" / "real-models.md"
_PACKAGES = ("gradio", "torch", "diffusers", "transformers")


def build(studio: Studio) -> None:
    html(finish(_page(studio)), elem_id="about")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _page(studio: Studio) -> Markup:
    keys = join(
        Markup("<tr><td>{}</td><td>{}</td></tr>").format(
            join(Markup("<kbd>{}</kbd>").format(part) for part in _split(key)), words
        )
        for key, words in _KEYS
    )
    software = [("Python", sys.version.split()[0]), *((name, _version(name)) for name in _PACKAGES)]
    rows = join(Markup("<tr><td>{}</td><td>{}</td></tr>").format(*row) for row in software)
    return Markup(
        '<div class="about"><div class="about-main"><section class="panel"><h2>Creative Studio</h2>'
        '<p class="lead">A studio for making '
        "pictures with open models, on your own computer. Nothing you write or draw leaves it.</p>"
        "<p>Licence: Apache-2.0. Each model has a licence of its own, shown wherever it can be chosen.</p>"
        '<p><a class="button" href="api/docs">Open the API documentation</a></p></section>{guide}'
        '<section class="panel prose"><h3>Starter models and their art</h3>{attribution}</section></div>'
        '<div class="about-side"><section class="panel keys-panel"><h3>Keyboard</h3><table class="keys">'
        "<tbody>{keys}</tbody></table></section>"
        '<section class="panel"><h3>Versions</h3><table><tbody>{rows}</tbody></table></section>'
        '<section class="panel"><h3>Settings</h3><p>Set before the studio starts, as environment variables.</p>'
        '<dl class="settings">{settings}</dl></section></div></div>'
    ).format(guide=_guide(), attribution=_attribution(studio), keys=keys, rows=rows, settings=_settings(studio))


def _split(key: str) -> list[str]:
    return [key] if key.startswith(("Drop", "Ctrl click", "Ctrl Z")) else key.split()


def _attribution(studio: Studio) -> Markup:
    """The model card of the starter pack, without its front matter. HTML in it is shown as text, never run."""
    card = studio.settings.starter_dir / "README.md"
    if not card.is_file():
        return Markup("<p>There is no model card beside the starter models: <code>make starter</code> writes it.</p>")
    text = card.read_text(encoding="utf-8")
    return _rendered(text.split("---", 2)[-1] if text.startswith("---") else text)


def _guide() -> Markup:
    """How to use real models, as the guide says it, for those who have no network to read it elsewhere."""
    if not GUIDE.is_file():
        return Markup("")
    fold = '<details class="panel prose fold" id="guide"><summary>Guide: use real models</summary>{}</details>'
    return Markup(fold).format(_rendered(GUIDE.read_text(encoding="utf-8")))


def _rendered(markdown: str) -> Markup:
    """Headings begin at the third level, under those of the page. Pictures are left out: they are not served."""
    renderer = MarkdownIt("js-default")
    renderer.disable("image")
    tokens = renderer.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
    return Markup(renderer.renderer.render(tokens, renderer.options, {}))


def _settings(studio: Studio) -> Markup:
    fields = type(studio.settings).model_fields
    return join(
        Markup("<div><dt><code>STUDIO_{}</code></dt><dd>{} <span>now: {}</span></dd></div>").format(
            name.upper(), field.description, _shown(name, getattr(studio.settings, name))
        )
        for name, field in fields.items()
    )


def _shown(name: str, value: object) -> str:
    if name == "database_url" and value:
        return "set"  # it may hold a password
    return "on" if value is True else "off" if value is False else str(value) or "not set"
