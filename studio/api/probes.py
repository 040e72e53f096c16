"""Whether the server lives, and whether a job submitted now would run."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from fastapi import FastAPI, Response
from sqlalchemy import text as sql
from sqlalchemy.exc import SQLAlchemyError

from studio.api.schemas import Health, Readiness

if TYPE_CHECKING:
    from studio import Studio

STALE_BEAT = 10.0
"""Seconds without a sign of life after which the worker does not count as ready."""


def add_probes(api: FastAPI, studio: Studio) -> None:
    @api.get("/healthz", tags=["probes"])
    async def healthz() -> Health:
        """The server process lives."""
        return Health(status="ok", version=api.version, instance=api.state.instance)

    @api.get("/readyz", tags=["probes"], responses={503: {"model": Readiness}})
    def readyz(response: Response) -> Readiness:
        """A job submitted now would run: the database can be written, the worker is alive, the disk has room."""
        problems = _problems(studio)
        response.status_code = 503 if problems else 200
        return Readiness(ready=not problems, problems=problems)


def _problems(studio: Studio) -> list[str]:
    problems = []
    try:
        with studio.database.write() as session:
            session.execute(sql("SELECT 1"))
    except SQLAlchemyError:
        problems.append("The database cannot be written.")
    state = studio.executor.state()
    if state.status in ("starting", "stopped"):
        problems.append(state.message or f"The worker is {state.status}.")
    elif state.last_beat is not None and time.time() - state.last_beat > STALE_BEAT:
        problems.append(f"The worker gave no sign of life for {time.time() - state.last_beat:.0f} s.")
    free = shutil.disk_usage(studio.settings.data_dir).free / 1e6
    if free < studio.settings.min_free_disk_mb:
        problems.append(f"Only {free:.0f} MB of disk are free; {studio.settings.min_free_disk_mb} MB are needed.")
    return problems
