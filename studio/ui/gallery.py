"""The gallery tab: every picture that was made, found again, looked at closely, taken further.

The frame is drawn once; its script asks for pages, details, stars and deletions, so that a grid of thousands is never
sent or drawn twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from studio.ui import search
from studio.ui.forms import USER, Action, drawing
from studio.ui.markup import details, finish, html, icon, join, thumb
from studio.ui.search import clip_scores

if TYPE_CHECKING:
    from studio import Studio

PAGE = 60
_TOOLS = (("ask", "Ask"), ("caption", "Caption"), ("sort", "Sort"), ("measure", "Measure"))
"""Of the Understand tab, offered for a selected picture."""
_PERIODS = {"Any time": 0, "Today": 1, "Last 7 days": 7, "Last 30 days": 30}


def build(studio: Studio) -> None:
    """The frame: filters, an empty grid, an empty details panel."""
    html(finish(_frame(studio)), elem_id="gallery", js_on_load="window.studio.gallery(element)")


def _select(name: str, label: str, options: list[tuple[str, str]]) -> Markup:
    rows = join(Markup('<option value="{}">{}</option>').format(value, words) for value, words in options)
    return Markup('<label class="field"><span>{}</span><select name="{}">{}</select></label>').format(label, name, rows)


def _frame(studio: Studio) -> Markup:
    families = [("", "All models"), *((row.id, row.name) for row in studio.catalog.all() if row.kind == "diffusion")]
    capabilities = [("", "Everything"), *((row.name, row.title) for row in drawing(studio.capabilities.values()))]
    return Markup(
        '<div class="gallery"><form class="filters" role="search" aria-label="Find pictures"><div class="finder">'
        '<span class="find-mode"></span><span class="search">{search}<span class="find-chips" hidden></span>'
        '<input type="search" name="text" autocomplete="off" aria-label="Search by meaning"></span>'
        '<label class="toggle" title="Find pictures like one of yours: choose it here, or drop it on the page">'
        '<input type="file" accept="image/png,image/jpeg,image/webp,image/avif">{like}By picture</label>'
        '<span class="find-view"></span></div>'
        '<p class="find-status" role="status" hidden></p>'
        "{capability}{family}{period}"
        '<label class="toggle"><input type="checkbox" name="starred">{star}Starred</label>'
        '<label class="toggle"><input type="checkbox" name="deleted">{trash}Deleted</label>'
        '<output class="total" aria-live="polite"></output><p class="find-note" hidden></p></form>'
        '<div class="gallery-body"><div class="gallery-main"><div class="grid" role="list"></div>'
        '<div class="twins" hidden></div><div class="sky" hidden><canvas tabindex="0" role="application" '
        'aria-label="Map of the gallery: arrow keys fly, plus and minus come closer and go back"></canvas></div>'
        '<div class="grid-end"><button type="button" class="button" data-act="more">Show more</button></div>'
        '<div class="empty" hidden><div class="empty-art" aria-hidden="true"><i></i><i></i><i></i>'
        "</div><h2></h2><p></p></div></div>"
        '<aside class="panel gallery-side" aria-label="Selected picture"></aside></div></div>'
    ).format(
        search=icon("search"),
        like=icon("like"),
        star=icon("star"),
        trash=icon("trash"),
        capability=_select("capability", "Made with", capabilities) if len(capabilities) > 2 else "",
        family=_select("family", "Model", families),
        period=_select("period", "When", [(words, words) for words in _PERIODS]),
    )


def actions(studio: Studio) -> dict[str, Action]:
    """What the page's script may ask of the gallery."""
    gallery = studio.gallery

    def page(data: dict[str, Any]) -> dict[str, Any]:
        days = _PERIODS.get(str(data.get("period")), 0)
        found = gallery.page(
            user=USER,
            limit=PAGE,
            before=str(data["before"]) if data.get("before") else None,
            capability=str(data.get("capability") or "") or None,
            family=str(data.get("family") or "") or None,
            since=_since(days) if days else None,
            starred=True if data.get("starred") else None,
            text=str(data.get("text") or "")[:200],
            deleted=bool(data.get("deleted")),
        )
        scores = clip_scores(studio)
        cells = join(thumb(asset, badge=search.badge(asset, scores)) for asset in found.assets)
        return {"html": str(cells), "next": found.next, "total": found.total}

    def look(data: dict[str, Any]) -> dict[str, Any]:
        asset = gallery.get(str(data.get("id")), user=USER)
        label = f"{asset.prompt or 'picture'}, seed {asset.seed}"
        more = Markup("") if asset.missing or asset.deleted_at else search.handover(asset.id, _TOOLS)
        return {"html": str(details(studio, asset, USER, more)), "label": label, "missing": asset.missing}

    def star(data: dict[str, Any]) -> dict[str, Any]:
        return {"starred": gallery.star(str(data.get("id")), bool(data.get("on")), user=USER).starred}

    def delete(data: dict[str, Any]) -> dict[str, Any]:
        return {"count": gallery.delete([str(data.get("id"))], user=USER)}

    def restore(data: dict[str, Any]) -> dict[str, Any]:
        return {"count": gallery.restore([str(data.get("id"))], user=USER)}

    found_by_meaning = search.actions(studio)

    def find(data: dict[str, Any]) -> dict[str, Any]:
        days = _PERIODS.get(str(data.get("period")), 0)
        return found_by_meaning["find"]({**data, "since": _since(days) if days else None})

    return {
        **found_by_meaning,
        "find": find,
        "page": page,
        "look": look,
        "star": star,
        "delete": delete,
        "restore": restore,
    }


def _since(days: int) -> datetime:
    """Midnight of today for 1, that many days back for more."""
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    return (today - timedelta(days=days - 1)).astimezone(UTC)
