"""What the page shows of jobs: the running one with its preview, the line of waiting ones, the latest pictures.

A page owns no job. It asks `Live.look` again and again for whatever its user has running, so a reloaded page, a second
window or a job sent through the API all look the same. The page sets the pace: one that is short of processor time
skips frames, and its buttons and keys stay quick, which no stream that the server pushes could promise.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from studio.ui.forms import USER, Action, drawing
from studio.ui.markup import finish, icon, join, seconds_words, thumb, tile

if TYPE_CHECKING:
    from studio import Studio
    from studio.jobs import Job
    from studio.store.gallery import Asset

ACTIVE = ("queued", "running")
RECENT = 14

_EMPTY = Markup(
    '<div class="empty"><div class="empty-art" aria-hidden="true"><i></i><i></i><i></i></div>'
    "<h2>Your pictures appear here</h2>"
    "<p>Write what you want to see and press <kbd>Generate</kbd>.<br>Or drop a picture made here, or "
    "by another tool, anywhere "
    "on this page to bring back its settings.</p>{}</div>"
)


def progress_words(job: Job) -> str:
    """``Step 7 of 16 · about 2 s left``, or where it stands in line."""
    if job.status == "queued":
        place = job.position or 1
        words = "Starting next" if place == 1 else f"Number {place} in line"
    elif job.step:
        words = f"Step {job.step} of {job.steps}"
    else:
        words = job.message or "Getting the model ready"
    if job.eta_seconds is not None and (job.step or job.status == "queued"):
        words += f" · about {seconds_words(job.eta_seconds)} left"
    if job.attempt > 1:
        words += f" · attempt {job.attempt}"
    return words


def _bar(job: Job) -> Markup:
    share = round(100 * job.step / job.steps) if job.steps else 0
    words = progress_words(job)
    return Markup(
        '<div class="progress{}" role="progressbar" aria-valuemin="0" aria-valuemax="100" '
        'aria-valuenow="{}" aria-label="{}">'
        '<div class="progress-words"><span class="spinner" aria-hidden="true"></span><span>{}</span><b>{}</b></div>'
        '<div class="progress-track"><i style="width:{}%"></i></div></div>'
    ).format("" if job.step else " waiting", share, words, words, f"{share} %" if job.step else "", share)


def _columns(count: int, ratio: float) -> int:
    """Columns of the results grid that leave pictures largest on a landscape stage."""
    if count == 1:
        return 1
    if count <= 4:
        return 2 if ratio >= 0.8 or count == 2 else count
    return 3 if count <= 9 else 4


class Live:
    """Renders jobs; keeps nothing about the pages that look at them."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._draws = {each.name for each in drawing(studio.capabilities.values())}

    # -- HTML ----------------------------------------------------------------------------------------------------

    def frame(self) -> str:
        """Where the page's script puts what `look` answers."""
        parts = {"stage": self.stage(None), "queue": "", "recent": ""}
        return "".join(f'<div id="{name}" data-part>{html}</div>' for name, html in parts.items())

    def stage(self, job: Job | None, preview: bytes | None = None) -> str:
        """The big area: pictures of ``job`` as they arrive, the live preview, places for those still to come."""
        if job is None:
            return finish(_EMPTY.format(self._welcome()))
        pictures = self._pictures(job)
        running = job.status in ACTIVE
        if not running and not pictures and job.status != "failed":
            return finish(_EMPTY.format(self._welcome()))
        request = job.request
        width, height = request.get("width") or 1, request.get("height") or 1
        asked = int(request.get("keep_best") or request.get("count") or 1)
        tiles = [tile(asset, full=True) for asset in pictures]
        if running and len(pictures) < asked:
            shown = Markup("")
            if preview:
                data = base64.b64encode(preview).decode("ascii")
                shown = Markup('<img class="preview" src="data:image/webp;base64,{}" alt="Live preview">').format(data)
            drawing = min(int(request.get("batch_size") or 1), asked - len(pictures)) if preview else 1
            live = Markup(
                '<div class="pic live"><div class="frame">{}</div><div class="foot">drawing</div></div>'
            ).format(shown)
            place = Markup('<div class="pic waiting"><div class="frame"></div><div class="foot"></div></div>')
            tiles += [live] + [place] * (asked - len(pictures) - drawing)
        columns = _columns(len(tiles), width / height)
        return finish(
            Markup('<div class="stage-inner" data-status="{}" data-job="{}" data-announce="{}">').format(
                job.status, job.id, self._announcement(job, len(pictures))
            ),
            _bar(job) if running else self._outcome(job, len(pictures)),
            Markup('<div class="pics" data-count="{}" style="--columns:{};--ratio:{}">{}</div>').format(
                len(tiles), columns, f"{width}/{height}", join(tiles)
            )
            if tiles
            else Markup(""),
            self._caption(job),
            Markup("</div>"),
        )

    def queue(self, jobs: list[Job]) -> str:
        """Waiting jobs with their place and a cancel button each; nothing while at most one is under way."""
        if len(jobs) < 2:
            return ""
        rows = join(
            Markup(
                '<li data-status="{status}"><span class="place">{place}</span><span class="what">{prompt}</span>'
                '<span class="when">{when}</span><button type="button" class="tool" '
                'data-act="cancel-job" data-id="{id}" '
                'aria-label="Cancel: {prompt}" title="Cancel">{cross}</button></li>'
            ).format(
                id=job.id,
                status=job.status,
                place="●" if job.status == "running" else (job.position or "·"),
                prompt=job.request.get("prompt") or job.capability,
                when="drawing" if job.status == "running" else progress_words(job),
                cross=icon("close"),
            )
            for job in jobs
        )
        return finish(
            Markup(
                '<section class="queue" aria-label="Queue"><h3>Queue <span>{}</span></h3><ol>{}</ol></section>'
            ).format(len(jobs), rows)
        )

    def recent(self, *, without: str = "") -> str:
        """A strip of the newest pictures of the gallery, except those of job ``without``."""
        page = self._studio.gallery.page(user=USER, limit=RECENT + 16)
        cells = [thumb(asset) for asset in page.assets if asset.job_id != without][:RECENT]
        if not cells:
            return ""
        return finish(
            Markup(
                '<section class="recent" aria-label="Earlier pictures"><h3>Earlier <button type="button" class="link" '
                'data-act="tab" data-tab="gallery">Open gallery</button></h3><div class="strip">{}</div></section>'
            ).format(join(cells))
        )

    def _pictures(self, job: Job) -> list[Asset]:
        known = self._studio.gallery.of_job(job.id)
        return [known[index] for index in sorted(known) if known[index].deleted_at is None]

    def _welcome(self) -> Markup:
        """The one-line first-run offer, while only the starter is on this disk."""
        catalog = self._studio.catalog
        if any((family.repo and catalog.available(family.id)) or family.path for family in catalog.all("diffusion")):
            return Markup("")
        return Markup(
            '<p class="offer">The starter models draw small, simple pictures. <button type="button" '
            'class="link" data-act="tab" '
            'data-tab="models">See which larger model suits this computer</button></p>'
        )

    @staticmethod
    def _announcement(job: Job, count: int) -> str:
        return {
            "queued": "Waiting in line.",
            "running": "Drawing.",
            "failed": f"That did not work. {job.error or ''}",
            "cancelled": "Cancelled.",
        }.get(job.status, f"Finished: {count} picture{'s' if count != 1 else ''}.")

    @staticmethod
    def _outcome(job: Job, count: int) -> Markup:
        if job.status == "failed":
            return Markup('<div class="sentence" role="alert">{}<div><b>That did not work.</b> {}</div></div>').format(
                icon("alert"), job.error or "The reason is in the log."
            )
        if job.status == "cancelled":
            return Markup('<p class="outcome">Cancelled. {} kept.</p>').format(
                f"{count} finished picture{'s' if count != 1 else ''}"
            )
        words = f"{count} picture{'s' if count != 1 else ''}" + (
            f" in {seconds_words(job.seconds)}" if job.seconds else ""
        )
        notes = join(Markup('<p class="note">{}</p>').format(note) for note in job.notes)
        return Markup('<p class="outcome">{}</p>{}').format(words, notes)

    @staticmethod
    def _caption(job: Job) -> Markup:
        return Markup('<p class="stage-prompt">{}</p>').format(job.request.get("prompt") or "")

    # -- following -----------------------------------------------------------------------------------------------

    def actions(self) -> dict[str, Action]:
        def cancel(data: dict[str, Any]) -> dict[str, Any]:
            self._studio.jobs.cancel(str(data.get("id", "")), user=USER)
            return {}

        return {"cancel-job": cancel, "live": self.look}

    def look(self, data: dict[str, Any]) -> dict[str, Any]:
        """``{"going": something is under way, "job": id on the stage, "parts": {name: [mark, html]}}``.

        ``data`` names what the page shows already: ``job``, and the ``marks`` of its parts, which are left out.
        """
        jobs = self.active()
        if jobs:
            with contextlib.closing(self._studio.jobs.events(jobs[0].id, user=USER)) as events:
                now = next(events)
            shown, preview = now.job, now.preview
        else:
            shown, preview = self.latest(), None
        job = shown.id if shown else ""
        parts = {"stage": self.stage(shown, preview), "queue": self.queue(jobs)}
        known = marks if isinstance(marks := data.get("marks"), dict) else {}
        if not (jobs and known.get("recent") and data.get("job") == job):  # nothing joins them while one job is drawn
            parts["recent"] = self.recent(without=job)
        marked = {name: [_mark(html), html] for name, html in parts.items()}
        return {
            "going": bool(jobs),
            "job": job,
            "parts": {name: part for name, part in marked.items() if known.get(name) != part[0]},
        }

    def active(self) -> list[Job]:
        """The user's pictures under way: the running job first, then in order of their place in line.

        Jobs that answer about pictures are followed where they were asked.
        """
        jobs = [job for job in self._studio.jobs.list(user=USER, active=True) if job.capability in self._draws]
        return sorted(jobs, key=lambda job: (job.status != "running", job.position or 0, job.created_at))

    def latest(self) -> Job | None:
        """The newest job that has something to show."""
        return next(
            (
                job
                for job in self._studio.jobs.list(user=USER, limit=100)
                if job.capability in self._draws and (job.status != "cancelled" or job.asset_ids)
            ),
            None,
        )


def _mark(html: str) -> str:
    return hashlib.blake2s(html.encode(), digest_size=8).hexdigest()
