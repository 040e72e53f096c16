"""The models tab: what can draw and what can look at pictures here, what else this computer could run, getting it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from studio.errors import StudioError
from studio.ui.forms import Action
from studio.ui.markup import ago, finish, html, icon, join, licence_badge, size_words

if TYPE_CHECKING:
    from studio import Studio
    from studio.jobs import WorkerState
    from studio.models.families import Family, Feature

_STATUS = {
    "starting": "Worker is starting", "ready": "Ready", "busy": "Working", "stopped": "Worker has stopped",
}  # fmt: skip


def build(studio: Studio) -> None:
    """The frame; the script asks for its inside while the tab is open."""
    del studio
    frame = Markup(
        '<div class="models"><div class="models-live"></div><form class="panel add-model"><div>'
        "<h3>Add a model from this computer</h3>"
        "<p>A diffusers folder, a single <code>.safetensors</code> file, or the folder of a model that understands "
        "pictures (CLIP, SigLIP, BLIP, Florence-2, SmolVLM2, Qwen3-VL, a ViT classifier). Pickled weights ("
        "<code>.ckpt</code>, <code>.bin</code>) "
        "are refused, because opening them can run code.</p></div>"
        '<label class="field field-wide"><span>Full path</span><input name="path" '
        'placeholder="/models/my-model.safetensors" '
        'autocomplete="off" required></label><label class="field"><span>Name (optional)</span><input name="name" '
        'placeholder="My model" maxlength="60" autocomplete="off"></label><button class="button '
        'button-main">{}Add model</button>'
        '<p class="sentence" role="alert" hidden></p></form></div>'
    ).format(icon("folder"))
    html(finish(frame), elem_id="models", js_on_load="window.studio.mount('models', element)")


def actions(studio: Studio) -> dict[str, Action]:
    """What the page's script may ask about models."""

    def family(data: dict[str, Any]) -> Family:
        return studio.catalog.get(str(data.get("id") or "?"))

    def listing(data: dict[str, Any]) -> dict[str, Any]:
        return {"html": str(_listing(studio, studio.executor.state()))}

    def fetch(data: dict[str, Any]) -> dict[str, Any]:
        studio.downloads.start(family(data).id)
        return {}

    def stop_fetch(data: dict[str, Any]) -> dict[str, Any]:
        studio.downloads.cancel(family(data).id)
        return {}

    def load(data: dict[str, Any]) -> dict[str, Any]:
        wanted = studio.catalog.require(family(data).id)
        studio.executor.command("load", wanted.id)
        return {"said": f"Loading {wanted.name}."}

    def unload(data: dict[str, Any]) -> dict[str, Any]:
        wanted = family(data)
        studio.executor.command("unload", wanted.id)
        return {"said": f"Freeing the memory of {wanted.name}."}

    def add(data: dict[str, Any]) -> dict[str, Any]:
        added = studio.catalog.add_local(
            str(data.get("path") or "").strip(),
            name=str(data.get("name") or "").strip(),
            prediction=str(data.get("prediction") or ""),
        )
        tab = "Create" if added.kind == "diffusion" else "Understand"
        more = added.summary.partition("this computer. ")[2]
        return {"said": f"Added {added.name}: choose it on the {tab} tab. {more}".strip()}

    def remove(data: dict[str, Any]) -> dict[str, Any]:
        gone = family(data)
        studio.catalog.remove(gone.id)
        return {"said": f"Removed {gone.name} from the list. Its files were left alone."}

    return {
        "models": listing, "fetch": fetch, "stop-fetch": stop_fetch, "load": load, "unload": unload,
        "add-model": add, "remove-model": remove,
    }  # fmt: skip


def _device(state: WorkerState) -> str:
    return {"cuda": "GPU", "mps": "Apple GPU", "xpu": "Intel GPU", "cpu": "CPU"}.get(state.device, state.device)


def _button(act: str, id: str, words: str, *, main: bool = False) -> Markup:
    return Markup(
        '<button type="button" class="button{}" data-act="model" data-op="{}" data-id="{}">{}</button>'
    ).format(" button-main" if main else "", act, id, words)


def _facts(*facts: str) -> Markup:
    return Markup('<p class="facts">{}</p>').format(
        join(Markup("<span>{}</span>").format(fact) for fact in facts if fact)
    )


def _listing(studio: Studio, state: WorkerState) -> Markup:
    families = studio.catalog.all()
    here = {row.id for row in families if studio.catalog.available(row.id)}
    suggested = studio.catalog.recommend(state.hardware) if state.hardware else None
    parts = [_hardware(state)]
    if suggested and suggested.id not in here:
        parts.append(_first_run(studio, suggested, state))
    for kind, on_this, elsewhere in (
        ("diffusion", "On this computer", "Can be fetched"),
        ("understanding", "To understand pictures: on this computer", "To understand pictures: can be fetched"),
    ):
        rows = [row for row in families if row.kind == kind]
        parts.append(_section(on_this, join(_card(studio, row, state) for row in rows if row.id in here)))
        parts.append(_section(elsewhere, join(_card(studio, row, state) for row in rows if row.id not in here)))
    return join(parts)


def _section(title: str, cards: Markup) -> Markup:
    return (
        Markup('<h3 class="models-title">{}</h3><div class="cards">{}</div>').format(title, cards)
        if cards
        else Markup("")
    )


def _hardware(state: WorkerState) -> Markup:
    words = state.message or _STATUS[state.status]
    found = state.hardware
    facts = (
        _facts(
            found.name,
            f"{found.memory_gb:.0f} GB on the device" if found.device not in ("cpu", "mps") else "",
            f"{found.host_memory_gb:.0f} GB memory",
            f"{found.free_disk_gb:.0f} GB disk free",
            f"{state.restarts} worker restart{'s' if state.restarts > 1 else ''}" if state.restarts else "",
        )
        if found
        else Markup("")
    )
    return Markup('<div class="hardware" data-status="{}"><i class="dot"></i><b>{}</b>{}</div>').format(
        state.status, words, facts
    )


def _first_run(studio: Studio, family: Family, state: WorkerState) -> Markup:
    return Markup(
        '<section class="first-run"><div><p class="eyebrow">Best fit for this computer</p><h2>{}'
        "</h2><p>{}</p>{}{}</div>"
        '<div class="first-run-side"><p><b>{}</b>to download</p><p><b>{}</b>of memory</p>{}</div></section>'
    ).format(
        family.name,
        family.summary,
        licence_badge(family),
        Markup('<p class="note">Until it is here, the starter models draw. Nothing is fetched before you ask.</p>'),
        size_words(family.download_gb * 1e9),
        size_words(family.memory_gb * 1e9),
        _fetching(studio, family, main=True),
    )


def _fetching(studio: Studio, family: Family, *, main: bool = False) -> Markup:
    """The download button, or how far the download is."""
    state = studio.downloads.state(family.id)
    if state is None:
        return _button("fetch", family.id, f"Download {size_words(family.download_gb * 1e9)}", main=main)
    if state.status == "failed":
        return Markup('<p class="sentence">{}<span>{}</span></p>{}').format(
            icon("alert"), state.error, _button("fetch", family.id, "Try again", main=main)
        )
    if state.status != "running":
        return _button("fetch", family.id, f"Download {size_words(family.download_gb * 1e9)}", main=main)
    total = state.total_bytes or family.download_gb * 1e9
    share = min(round(100 * state.done_bytes / total), 100) if total else 0
    words = f"{size_words(state.done_bytes)} of {size_words(total)}"
    return Markup(
        '<div class="progress" role="progressbar" aria-valuemin="0" aria-valuemax="100" '
        'aria-valuenow="{}" aria-label="Downloading {}">'
        '<div class="progress-words"><span>{}</span><b>{} %</b></div><div class="progress-track"><i '
        'style="width:{}%"></i></div></div>{}'
    ).format(share, family.name, words, share, share, _button("stop-fetch", family.id, "Cancel"))


def _card(studio: Studio, family: Family, state: WorkerState) -> Markup:
    here = studio.catalog.available(family.id)
    resident = next((row for row in state.residents if row.family == family.id), None)
    if resident:
        standing = Markup('<span class="badge badge-on">In memory · {}</span>').format(size_words(resident.bytes))
    elif here:
        standing = Markup('<span class="badge">On disk</span>')
    else:
        standing = Markup("")
    default = family.id in (studio.catalog.get("").id, studio.settings.search_model)
    buttons = (
        [_button("unload", family.id, "Unload") if resident else _button("load", family.id, "Load")] if here else []
    )
    if not here:
        buttons = [
            _fetching(studio, family)
            if family.repo
            else Markup('<p class="note">{}</p>').format(_absent(studio, family))
        ]
    if family.path:
        buttons.append(_button("remove-model", family.id, "Remove from list"))
    return Markup(
        '<article class="card" data-family="{}"><header><h4>{}{}</h4>{}</header><p>{}</p>{}{}'
        "<footer>{}</footer></article>"
    ).format(
        family.id,
        family.name,
        Markup(' <span class="badge">default</span>') if default else "",
        standing,
        family.summary or family.path,
        licence_badge(family),
        _facts(
            f"{family.native_size} px",
            f"{family.steps} steps" if family.steps else "",
            _does(family),
            f"{family.memory_gb:g} GB memory",
            f"used {ago(resident.last_used)}" if resident else "",
            f"on {resident.device}" if resident else "",
        ),
        join(buttons),
    )


def _does(family: Family) -> str:
    """What a model that understands pictures is for."""
    words: dict[Feature, str] = {
        "zero-shot": "sorts",
        "embed": "finds",
        "vqa": "answers",
        "caption": "captions",
        "labels": "labels",
    }
    return ", ".join(word for feature, word in words.items() if family.supports(feature))


def _absent(studio: Studio, family: Family) -> str:
    try:
        studio.catalog.require(family.id)
    except StudioError as error:
        return error.message
    return ""
