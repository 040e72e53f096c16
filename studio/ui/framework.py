"""What the page's framework may do: answer the routes that the page needs, and forget what nobody needs any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import gradio as gr
from fastapi import FastAPI
from gradio.routes import App
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from studio.settings import Settings

ROUTES: dict[str, re.Pattern[str]] = {
    "GET": re.compile(
        r"/|/(assets|static)/.+|/theme\.css|/favicon\.ico"
        r"|/gradio_api/(app_id|startup-events|theme\.css|queue/data|heartbeat/\w+|upload_progress|file=.+)"
    ),
    "POST": re.compile(r"/gradio_api/(queue/join|component_server/?|upload|cancel|reset/?)"),
}
"""All that the page asks for; what else the framework has is answered 404."""
MOST_SESSIONS = 200
"""Remembered at once, about 0.1 MB each; the oldest is forgotten first, and begins anew when it comes back."""
THREADS = 8
"""For what the page asks of the studio."""
KEPT_SECONDS = 3600.0
"""How long a file lies that was handed to the framework."""
LOOK_SECONDS = 600.0
MOST_FILES = 50
"""Times the size of the largest upload: more does not lie there at once."""


def temporary(settings: Settings) -> Path:
    """Where the framework is to put files. Call it before the page is built."""
    folder = settings.data_dir / "temporary"
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # the framework knows no other way
    return folder


def confine(api: FastAPI, demo: gr.Blocks, settings: Settings, folder: Path) -> FastAPI:
    """Shut what the page does not need of the framework that is mounted on ``api``."""
    mount = next(route for route in api.routes if isinstance(route, Mount) and isinstance(route.app, App))
    framework = mount.app
    assert isinstance(framework, App)
    framework.state_holder.capacity = MOST_SESSIONS
    demo.limiter = anyio.CapacityLimiter(THREADS)
    mount.app = _Confined(framework, demo, folder, MOST_FILES * settings.max_upload_mb * 1_000_000)
    inner = api.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        await anyio.to_thread.run_sync(tidy, folder, 0.0)
        task = asyncio.create_task(_keep_tidy(folder))
        try:
            async with inner(app) as state:
                yield state
        finally:
            task.cancel()
            tidy(folder, 0.0)

    api.router.lifespan_context = lifespan
    return api


def tidy(folder: Path, age: float) -> None:
    """Remove the files in ``folder`` that are older than ``age`` seconds, and folders that are empty then."""
    before = time.time() - age
    for path in sorted(folder.rglob("*"), reverse=True):  # what is inside a folder comes before it
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            elif path.lstat().st_mtime <= before:
                path.unlink()


async def _keep_tidy(folder: Path) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        await anyio.to_thread.run_sync(tidy, folder, KEPT_SECONDS)


class _Confined:
    def __init__(self, app: ASGIApp, demo: gr.Blocks, folder: Path, most_bytes: int) -> None:
        self._app = app
        self._queue = demo._queue
        self._folder = folder
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = await self._refusal(scope)
        if refused:
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)
        self._forget()

    async def _refusal(self, scope: Scope) -> JSONResponse | None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        method = "GET" if scope.get("method") == "HEAD" else scope.get("method", "")
        known = ROUTES.get(method)
        if scope["type"] != "http" or known is None or not known.fullmatch(path):
            return _answer(404, "There is nothing at this address; the studio's page is at its root.")
        form = Request(scope).headers.get("content-type", "").startswith("multipart/")
        if form and not path.startswith("/gradio_api/upload"):
            return _answer(415, "This address takes JSON; hand files in at /api/v1/uploads.")
        if path.startswith("/gradio_api/upload") and await anyio.to_thread.run_sync(self._is_full):
            return _answer(507, "Many files were handed in just now and not used: try again in an hour.")
        return None

    def _is_full(self) -> bool:
        size = sum(path.lstat().st_size for path in self._folder.rglob("*") if path.is_file())
        short = shutil.disk_usage(self._folder.parent).free < self._most_bytes / MOST_FILES
        return short or size > self._most_bytes

    def _forget(self) -> None:
        """The queue keeps what it has to tell to sessions that never ask; the oldest of too many go."""
        for table in (self._queue.pending_event_ids_session, self._queue.pending_messages_per_session):
            for session in list(table)[: max(len(table) - MOST_SESSIONS, 0)]:
                table.pop(session, None)


def _answer(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence, "field": None}, status)
