"""The models tab: what can draw and what can look at pictures here, what else this computer could run, getting it.

The script draws the tab; here is what it is told, and what it may ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studio.errors import StudioError
from studio.ui.markup import html, licence_words
from studio.ui.operations import Action

if TYPE_CHECKING:
    from studio import Studio
    from studio.jobs import WorkerState
    from studio.models.families import Family, Feature, Hardware

_DOES: dict[Feature, str] = {
    "zero-shot": "sorts",
    "embed": "finds",
    "vqa": "answers",
    "caption": "captions",
    "labels": "labels",
    "upscale": "enlarges",
    "matte": "cuts out",
    "restyle": "paints over",
    "faces": "finds faces",
}
"""What a model that does not draw is for, by its feature."""


def build(studio: Studio) -> None:
    """The place of the tab."""
    del studio
    html("", elem_id="models", js_on_load="window.studio.mount('models', element)")


def actions(studio: Studio) -> dict[str, Action]:
    """What the page's script may ask about models."""

    def family(data: dict[str, Any]) -> Family:
        return studio.catalog.get(str(data.get("id") or "?"))

    def models(data: dict[str, Any]) -> dict[str, Any]:
        del data
        return listing(studio, studio.executor.state())

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
        "models": models, "fetch": fetch, "stop-fetch": stop_fetch, "load": load, "unload": unload,
        "add-model": add, "remove-model": remove,
    }  # fmt: skip


def listing(studio: Studio, state: WorkerState) -> dict[str, Any]:
    """The hardware, every model as the tab shows it, the id of the one that suits this computer best, and a sentence
    for each entry of the user's own list that could not be read."""
    rows = studio.catalog.all()
    here = {row.id for row in rows if studio.catalog.available(row.id)}
    suggested = studio.catalog.recommend(state.hardware) if state.hardware else None
    return {
        "hardware": _hardware(state.hardware, state.restarts),
        "suggested": suggested.id if suggested and suggested.id not in here else "",
        "models": [_model(studio, row, row.id in here, state) for row in rows],
        "skipped": list(studio.catalog.skipped),
    }


def _hardware(found: Hardware | None, restarts: int) -> list[str]:
    if found is None:
        return []
    facts = [found.name]
    if found.device not in ("cpu", "mps"):
        facts.append(f"{found.memory_gb:.0f} GB on the device")
    facts += [f"{found.host_memory_gb:.0f} GB memory", f"{found.free_disk_gb:.0f} GB disk free"]
    if restarts:
        facts.append(f"{restarts} worker restart{'s' if restarts > 1 else ''}")
    return facts


def _model(studio: Studio, family: Family, here: bool, state: WorkerState) -> dict[str, Any]:
    resident = next((row for row in state.residents if row.family == family.id), None)
    download = studio.downloads.state(family.id)
    return {
        "id": family.id, "name": family.name, "kind": family.kind, "summary": family.summary or family.path,
        "licence": family.licence, "badge": licence_words(family), "commercial": family.commercial,
        "default": family.id in (studio.catalog.get("").id, studio.settings.search_model),
        "here": here, "fetched": family.fetched, "added": bool(family.path),
        "absent": "" if here or family.fetched else _absent(studio, family),
        "facts": [
            *([f"{family.native_size} px"] if family.native_size else []),
            *([f"{family.steps} steps"] if family.steps else []),
            *([does] if (does := ", ".join(word for name, word in _DOES.items() if name in family.features)) else []),
            f"{family.memory_gb:g} GB memory",
        ],
        "download_bytes": family.download_gb * 1e9, "memory_bytes": family.memory_gb * 1e9,
        "resident": {"bytes": resident.bytes, "device": resident.device} if resident else None,
        "download": {
            "status": download.status, "done": download.done_bytes, "error": download.error,
            "total": download.total_bytes or family.download_gb * 1e9, "unreachable": download.unreachable,
        } if download else None,
    }  # fmt: skip


def _absent(studio: Studio, family: Family) -> str:
    try:
        studio.catalog.require(family.id)
    except StudioError as error:
        return error.message
    return ""
