"""REST, made from the capability registry: a new capability has its route, its schema and its documentation at once."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline

from studio.api.boards import add_boards
from studio.api.gallery import add_gallery
from studio.api.guard import Guard
from studio.api.jobs import add_capabilities, add_jobs
from studio.api.library import add_library
from studio.api.models import add_models
from studio.api.probes import add_probes
from studio.api.prompts import add_prompts
from studio.api.proxies import Proxies
from studio.api.refusals import ERRORS, add_refusals
from studio.api.search import add_search
from studio.api.streams import Streams
from studio.api.words import add_words

if TYPE_CHECKING:
    from studio import Studio

_ENVELOPE = 100_000
"""Bytes that a form wraps around a file."""


def create_api(studio: Studio, *, user: str) -> FastAPI:
    """Every route but the page's, on behalf of ``user``.

    The page mounts itself afterwards, because its mount at "/" swallows later routes.
    """
    from studio import __version__

    api = FastAPIOffline(
        docs_url="/api/docs",
        redoc_url=None,
        static_url="/api/static",
        openapi_url="/api/openapi.json",
        swagger_ui_oauth2_redirect_url="/api/docs/oauth2-redirect",
        title="Creative Studio",
        version=__version__,
        description="Submit a request, get a job id at once, follow its events, fetch the pictures. "
        "Every refusal is `{error, field}` with one sentence that names the fix.",
    )
    api.state.instance = secrets.token_hex(16)
    api.state.user = user
    api.state.streams = Streams()
    settings = studio.settings
    largest = settings.max_upload_mb * 1_000_000
    api.add_middleware(
        Guard,
        names=(settings.host, *settings.allowed_hosts.split(",")),
        framed="SPACE_ID" in os.environ,
        proxies=Proxies(settings.trusted_proxies),
        root=settings.root_path,
        limits={
            "/api/v1/parameters": largest,
            "/api/v1/uploads": largest,
            "/gradio_api/upload": largest + _ENVELOPE,
        },
    )
    add_refusals(api)
    v1 = APIRouter(prefix="/api/v1", responses=ERRORS)
    parts = (add_capabilities, add_jobs, add_gallery, add_library, add_boards, add_words, add_search, add_models)
    for add in (*parts, add_prompts):
        add(v1, studio)
    api.include_router(v1)
    add_probes(api, studio)
    return api
