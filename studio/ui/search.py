"""Finding pictures: by meaning, like others, twice the same, on a map; and what any picture id stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from studio.store.gallery import Asset
from studio.ui.forms import USER, Action
from studio.ui.markup import icon, join, moment_words, seconds_words, size_words, thumb

if TYPE_CHECKING:
    from studio import Studio
    from studio.store.library import Upload

HITS = 120
SCORE_JOBS = 5
PICKED = 60


def actions(studio: Studio) -> dict[str, Action]:
    """What the page's script may ask of the search and of pictures of either kind."""
    gallery, library = studio.gallery, studio.library

    def find(data: dict[str, Any]) -> dict[str, Any]:
        found = studio.search.find(
            user=USER,
            text=str(data.get("text") or "")[:500],
            unlike=str(data.get("unlike") or "")[:500],
            like=tuple(map(str, data.get("like") or ()))[:8],
            limit=HITS,
            capability=str(data.get("capability") or "") or None,
            family=str(data.get("family") or "") or None,
            starred=True if data.get("starred") else None,
            since=data.get("since"),
        )
        scores = clip_scores(studio)
        cells: list[Markup] = []
        uploads: list[dict[str, Any]] = []
        known = library.some([hit.id for hit in found.hits], user=USER)
        for hit in found.hits:
            picture = known.get(hit.id)
            if isinstance(picture, Asset):
                cells.append(thumb(picture, badge=badge(picture, scores)))
            elif picture:
                uploads.append(_described(picture))
                cells.append(upload_thumb(picture, hit.time))
        return {"html": str(join(cells)), "uploads": uploads, "total": len(cells), "next": None, "note": found.note}

    def status(data: dict[str, Any]) -> dict[str, Any]:
        state = studio.search.status(USER)
        return {"embedded": state.embedded, "total": state.total, "note": state.note}

    def duplicates(data: dict[str, Any]) -> dict[str, Any]:
        groups = studio.search.duplicates(USER)
        return {"groups": groups, **pictures({"ids": [id for group in groups for id in group]})}

    def map_(data: dict[str, Any]) -> dict[str, Any]:
        points = studio.search.map(USER)
        there = pictures({"ids": [point.id for point in points]})
        known = {each["id"] for each in there["pictures"]}
        return {"points": [{"id": at.id, "x": at.x, "y": at.y} for at in points if at.id in known], **there}

    def pictures(data: dict[str, Any]) -> dict[str, Any]:
        """What is known of ids of either kind; those that are gone are left out."""
        found = library.some(list(dict.fromkeys(map(str, data.get("ids") or ()))), user=USER)
        return {"pictures": [_described(picture) for picture in found.values()]}

    def pick(data: dict[str, Any]) -> dict[str, Any]:
        if data.get("from") == "uploads":
            kind = "clip" if data.get("clips") else "picture"
            return {"pictures": [_described(each) for each in library.uploads(USER) if each.kind == kind], "next": None}
        page = gallery.page(
            user=USER,
            limit=PICKED,
            text=str(data.get("text") or "")[:200],
            before=str(data["before"]) if data.get("before") else None,
        )
        return {"pictures": [_described(asset) for asset in page.assets], "next": page.next}

    def look_upload(data: dict[str, Any]) -> dict[str, Any]:
        upload = library.get(str(data.get("id")), user=USER)
        return {"html": str(_upload_details(upload)), "label": upload.name}

    def delete_many(data: dict[str, Any]) -> dict[str, Any]:
        ids = list(map(str, data.get("ids") or ()))
        return {"count": gallery.delete(ids, user=USER) + library.delete(ids, user=USER)}

    def restore_many(data: dict[str, Any]) -> dict[str, Any]:
        ids = list(map(str, data.get("ids") or ()))
        return {"count": gallery.restore(ids, user=USER) + library.restore(ids, user=USER)}

    return {
        "find": find, "search-status": status, "duplicates": duplicates, "map": map_, "pictures": pictures,
        "pick": pick, "look-upload": look_upload, "delete-many": delete_many, "restore-many": restore_many,
    }  # fmt: skip


def clip_scores(studio: Studio) -> dict[str, str]:
    """Picture id -> "31.2": what its newest ``score`` job measured, among the newest few."""
    scores: dict[str, str] = {}
    for job in studio.jobs.list(user=USER, capability="score", limit=SCORE_JOBS):
        for row in studio.jobs.results(job.id, user=USER):
            if row.get("clip_score") is not None:
                scores.setdefault(row["picture"], f"{row['clip_score']:.1f}")
    return scores


def badge(asset: Asset, scores: Mapping[str, str]) -> str:
    """The CLIP score of a picture: measured later, or when it was chosen as one of the best. "" where there is none."""
    own = asset.parameters.get("clip_score")
    return scores.get(asset.id) or (f"{own:.1f}" if isinstance(own, int | float) else "")


def _described(picture: Asset | Upload) -> dict[str, Any]:
    if isinstance(picture, Asset):
        return {
            "id": picture.id, "name": picture.prompt or "picture", "kind": "picture", "from": "gallery",
            "width": picture.width, "height": picture.height, "prompt": picture.prompt,
        }  # fmt: skip
    return {
        "id": picture.id, "name": picture.name, "kind": picture.kind, "from": "upload",
        "width": picture.width, "height": picture.height, "format": picture.format, "seconds": picture.seconds,
    }  # fmt: skip


def _time_words(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def upload_thumb(upload: Upload, time: float = 0.0) -> Markup:
    """A gallery cell of a file that was handed in; of a clip with the second at which it was found."""
    badge = _time_words(time) if upload.kind == "clip" else "uploaded"
    return Markup(
        '<button type="button" class="thumb" data-act="select" data-id="{id}" data-time="{time}" aria-label="{name}" '
        'title="{name}"><img src="api/v1/uploads/{id}/thumbnail" alt="" loading="lazy" decoding="async">'
        '<span class="pic-gone">{gone}File missing</span><span class="tick"></span>'
        '<span class="thumb-badge">{badge}</span></button>'
    ).format(id=upload.id, name=upload.name, time=time, badge=badge, gone=icon("alert"))


def handover(id: str, tools: Iterable[tuple[str, str]]) -> Markup:
    """Buttons that take a picture on to the search and to the tools of the Understand tab."""
    return Markup(
        '<div class="details-more"><button type="button" class="chip" data-act="like" data-id="{}">{}More like '
        "this</button>{}</div>"
    ).format(
        id,
        icon("search"),
        join(
            Markup(
                '<button type="button" class="chip" data-act="understand" data-tool="{}" data-id="{}">{}</button>'
            ).format(name, id, words)
            for name, words in tools
        ),
    )


def _upload_details(upload: Upload) -> Markup:
    clip = upload.kind == "clip"
    rows = [("Size", f"{upload.width} × {upload.height} px")]
    if clip and upload.seconds:
        rows.append(("Length", seconds_words(upload.seconds)))
    rows += [("Handed in", moment_words(upload.created_at)), ("File", size_words(upload.bytes))]
    playable = clip and upload.media_type.startswith("video/")
    shown = (
        Markup('<video src="api/v1/uploads/{}" controls muted></video>')
        if playable
        else Markup('<img src="api/v1/uploads/{}" alt="">')
    )
    tools = [("clip", "Look through it")] if clip else [("ask", "Ask"), ("caption", "Caption"), ("sort", "Sort")]
    return Markup(
        '<div class="upload-shown">{shown}</div><div class="details" data-id="{id}">'
        '<p class="details-prompt">{name}</p>'
        '{more}<dl>{rows}</dl><button type="button" class="button" data-act="delete-upload" data-id="{id}">{trash}'
        "Delete the file</button></div>"
    ).format(
        shown=shown.format(upload.id),
        id=upload.id,
        name=upload.name,
        more=handover(upload.id, tools),
        rows=join(Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(*row) for row in rows),
        trash=icon("trash"),
    )
