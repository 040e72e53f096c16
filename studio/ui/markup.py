"""HTML that tabs share: icons, picture tiles, the details of a picture, small words for numbers.

Everything is `markupsafe.Markup`, so text of users, models and files is escaped by construction. `finish` is the last
step before ``gr.HTML``, whose template language would otherwise read ``${...}`` and ``{{...}}`` out of a prompt.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import gradio as gr
from markupsafe import Markup

from studio.models.samplers import SAMPLERS

if TYPE_CHECKING:
    from studio import Studio
    from studio.models.families import Family
    from studio.store.gallery import Asset
    from studio.store.library import Upload

_ICONS = {
    "star": '<path d="M12 3.6l2.6 5.4 5.9.8-4.3 4.1 1.1 5.9-5.3-2.9-5.3 2.9 1.1-5.9L3.5 9.8l5.9-.8z"/>',
    "download": '<path d="M12 4v11m0 0l-4.5-4.5M12 15l4.5-4.5M4.5 19.5h15"/>',
    "reuse": '<path d="M4.5 12a7.5 7.5 0 1 0 2.3-5.4M6.5 3.5v3.5H10"/>',
    "trash": '<path d="M4.5 6.5h15M9.5 6V4h5v2m3 .5l-.7 13h-9.6l-.7-13M10 10.5v5.5m4-5.5v5.5"/>',
    "close": '<path d="M6 6l12 12M18 6L6 18"/>',
    "undo": '<path d="M9 7L4.5 11.5 9 16M5 11.5h9a5.5 5.5 0 0 1 0 8h-2"/>',
    "alert": '<path d="M12 8v5m0 3.2v.1M12 3.5l9 16H3z"/>',
    "theme": '<path d="M12 3.5a8.5 8.5 0 1 0 0 17z" fill="currentColor"/><circle cx="12" cy="12" r="8.5"/>',
    "like": '<path d="M4.5 6.5h9v9h-9zM10 19.5h9.5v-10M16.5 4.5v4M14.5 6.5h4"/>',
    "search": '<circle cx="11" cy="11" r="6.5"/><path d="M16 16l4.5 4.5"/>',
    "folder": '<path d="M3.5 18.5v-13h6l2 2.5h9v10.5z"/>',
}  # fmt: skip


def icon(name: str) -> Markup:
    """One 18 px line icon, hidden from screen readers: the button around it carries the label."""
    return Markup(f'<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">{_ICONS[name]}</svg>')


def html(value: str, *, elem_id: str, **more: Any) -> gr.HTML:
    """A ``gr.HTML`` that looks as our style sheet says, without Gradio's rules for prose and buttons."""
    return gr.HTML(value, elem_id=elem_id, apply_default_css=False, **more)


def finish(*parts: Markup | str) -> str:
    """The value of a ``gr.HTML``: braces and dollars as entities, so that its template finds nothing to expand."""
    text = "".join(str(part) if isinstance(part, Markup) else str(Markup.escape(part)) for part in parts)
    return text.replace("{", "&#123;").replace("}", "&#125;").replace("$", "&#36;").replace("`", "&#96;")


def join(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)


def size_words(count: float) -> str:
    """Bytes for people: ``61 MB``, ``4.3 GB``."""
    for unit, scale, digits in (("GB", 1e9, 1), ("MB", 1e6, 0), ("kB", 1e3, 0)):
        if count >= scale:
            return f"{count / scale:.{digits}f} {unit}"
    return f"{count:.0f} bytes"


def seconds_words(seconds: float) -> str:
    """A duration for people: ``3 s``, ``2 min``, ``1 h 5 min``."""
    if seconds < 10:
        return f"{max(seconds, 0.1):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def ago(moment: datetime | float | None) -> str:
    """How long ago, in words. Naive datetimes are UTC."""
    if moment is None:
        return "never"
    if isinstance(moment, datetime):
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    passed = datetime.now(UTC).timestamp() - moment
    if passed < 60:
        return "just now"
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if passed >= length:
            count = int(passed // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def moment_words(moment: datetime) -> str:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    local = aware.astimezone()
    return f"{local.day} {local:%B %Y, %H:%M}"


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


def tool(act: str, name: str, label: str, asset: str, *, pressed: bool | None = None) -> Markup:
    """A small round button that ``legacy.js`` acts on."""
    state = Markup("") if pressed is None else Markup(' aria-pressed="{}"').format("true" if pressed else "false")
    return Markup(
        '<button type="button" class="tool" data-act="{}" data-id="{}" aria-label="{}" title="{}"{}>{}</button>'
    ).format(act, asset, label, label, state, icon(name))


def download_link(asset: Asset, *, words: str = "") -> Markup:
    name = f"{asset.capability}-{asset.seed}-{asset.id[:6]}.png"
    kind = "button" if words else "tool"
    return Markup(
        '<a class="{}" href="api/v1/assets/{}" download="{}" aria-label="Download the original" '
        'title="Download the original">{}{}</a>'
    ).format(kind, asset.id, name, icon("download"), words)


def tile(asset: Asset, *, full: bool = False) -> Markup:
    """One picture with its seed and tools. ``full`` shows the original instead of the thumbnail."""
    source = f"/api/v1/assets/{asset.id}" + ("" if full else "/thumbnail")
    return Markup(
        '<figure class="pic" data-id="{id}"><button type="button" class="pic-open" data-act="open" data-id="{id}" '
        'aria-label="Open large: {prompt}"><img src="{source}" alt="{prompt}" width="{width}" height="{height}" '
        'decoding="async"><span class="pic-gone">{gone}The file is missing</span></button>'
        '<figcaption><button type="button" class="seed" data-act="copy-seed" data-seed="{seed}" title="Copy the seed">'
        'seed {seed}</button><span class="pic-tools">{tools}</span></figcaption></figure>'
    ).format(
        id=asset.id,
        prompt=asset.prompt or "picture",
        source=source,
        width=asset.width,
        height=asset.height,
        seed=asset.seed,
        gone=icon("alert"),
        tools=tool("star", "star", "Star", asset.id, pressed=asset.starred)
        + tool("reuse", "reuse", "Reuse these settings", asset.id)
        + download_link(asset),
    )


def thumb(asset: Asset, badge: str = "") -> Markup:
    """A gallery cell: only the picture, a mark when starred, its score; everything else on selection."""
    return Markup(
        '<button type="button" class="thumb{star}" data-act="select" data-id="{id}" '
        'aria-label="{prompt}" title="{prompt}">'
        '<img src="api/v1/assets/{id}/thumbnail" alt="" loading="lazy" decoding="async">'
        '<span class="pic-gone">{gone}File missing</span><span class="thumb-star">{mark}</span>'
        '<span class="tick"></span>{badge}</button>'
    ).format(
        star=" starred" if asset.starred else "",
        id=asset.id,
        prompt=asset.prompt or "picture",
        gone=icon("alert"),
        mark=icon("star"),
        badge=Markup('<span class="thumb-badge" title="CLIP score">{}</span>').format(badge) if badge else "",
    )


_LABELS = {
    "negative_prompt": "Negative prompt", "steps": "Steps", "guidance_scale": "Guidance", "sampler": "Sampler",
    "seed": "Seed", "styles": "Styles", "model_hash": "Model hash", "upscaler": "Enlarged with",
    "clip_score": "CLIP score", "clip_model": "Scored by",
}  # fmt: skip


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _relatives(title: str, assets: Iterable[Asset], uploads: Iterable[Upload] = ()) -> Markup:
    handed_in = (
        Markup('<img src="api/v1/uploads/{id}/thumbnail" alt="{name}" title="{name}">').format(
            id=each.id, name=each.name
        )
        for each in uploads
    )
    cells = join([*map(thumb, assets), *handed_in])
    return Markup('<h4>{}</h4><div class="lineage">{}</div>').format(title, cells) if cells else Markup("")


def details(studio: Studio, asset: Asset, user: str, more: Markup | str = "") -> Markup:
    """Everything known about a picture: parameters, where it came from, what came of it, what can be done with it.

    ``more`` stands under its tools."""
    known = dict(asset.parameters)
    if sampler := SAMPLERS.get(str(known.get("sampler"))):
        known["sampler"] = sampler.label
    family = known.get("model") or asset.family
    names = {row.id: row.name for row in studio.catalog.all()}
    rows: list[tuple[str, str]] = [("Model", names.get(family, family)), ("Size", f"{asset.width} × {asset.height} px")]
    rows += [(label, _value(known[key])) for key, label in _LABELS.items() if known.get(key) not in (None, "", [], ())]
    rows += [("Made", moment_words(asset.created_at)), ("File", size_words(asset.bytes))]
    versions = known.get("versions")
    if isinstance(versions, dict):
        rows.append(("Software", ", ".join(f"{name} {version}" for name, version in versions.items())))
    line = studio.library.lineage(asset.id, user=user)
    deleted = asset.deleted_at is not None
    return Markup(
        '<div class="details" data-id="{id}">{missing}<p class="details-prompt">{prompt}</p><div '
        'class="details-tools">{tools}</div>{more}'
        "<dl>{rows}</dl>{notes}{parents}{children}</div>"
    ).format(
        id=asset.id,
        prompt=asset.prompt or "No prompt",
        missing=Markup(
            '<p class="sentence">{}The file of this picture is missing from the data folder. Its '
            "settings are still here: "
            "reuse them to draw it again.</p>"
        ).format(icon("alert"))
        if asset.missing
        else "",
        tools=Markup('<button type="button" class="button" data-act="restore" data-id="{}">{}Put back</button>').format(
            asset.id, icon("undo")
        )
        if deleted
        else Markup(
            '<button type="button" class="button button-main" data-act="reuse" data-id="{}">{}Reuse settings</button>'
        ).format(asset.id, icon("reuse"))
        + tool("star", "star", "Star", asset.id, pressed=asset.starred)
        + ("" if asset.missing else download_link(asset))
        + tool("delete", "trash", "Delete", asset.id),
        more=more,
        rows=join(Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(*row) for row in rows),
        notes=join(Markup('<p class="note">{}</p>').format(note) for note in asset.notes),
        parents=_relatives("Made from", line.parents, line.uploads),
        children=_relatives("Led to", line.children),
    )
