"""What every request passes before anything else sees it: Host, origin, body size; and the headers every answer gets.

Plain ASGI, so that event streams and Gradio's own traffic flow through untouched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_JSON = 1_000_000
"""Bytes of a request body under /api/; uploads have their own limit."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PROBES = frozenset({"/healthz", "/readyz"})
"""Asked by address, not by name, and they tell nothing."""

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "  # Gradio
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)


class Guard:
    """Refuses foreign Host names (DNS rebinding) and requests that another site makes a browser send (CSRF).

    ``names`` are accepted beside the local ones; "*" accepts every name. ``framed`` lets other sites show the page in a
    frame, as Hugging Face Spaces do. ``limits`` maps a path under /api/ to its largest body in bytes.
    """

    def __init__(self, app: ASGIApp, *, names: Iterable[str], framed: bool, limits: dict[str, int]) -> None:
        self.app = app
        self.names = frozenset(name.strip().lower().strip("[]") for name in names if name.strip())
        self.limits = limits
        policy = _POLICY if framed else f"{_POLICY}; frame-ancestors 'self'"
        self.headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            **({} if framed else {"X-Frame-Options": "SAMEORIGIN"}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        limit = self.limits.get(scope["path"], MAX_JSON) if scope["path"].startswith("/api/") else None
        length = headers.get("content-length", "")
        if sentence := self._foreign(scope, headers):
            await _refuse(scope, send_with_headers, 403, sentence)
        elif limit is not None and length.isdigit() and int(length) > limit:
            await _refuse(scope, send_with_headers, 413, _too_large(limit))
        elif limit is not None and scope["type"] == "http":
            await self.app(scope, _counted(receive, limit), send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)

    def _foreign(self, scope: Scope, headers: Headers) -> str:
        """Why this request must not be answered, or ""."""
        host = headers.get("host", "")
        name = _hostname(host)
        if "*" not in self.names and name not in LOCAL_NAMES | self.names and scope["path"] not in _PROBES:
            return (
                f"This studio does not answer to the name '{name[:100]}'; "
                "open it by its own address, or add the name to STUDIO_ALLOWED_HOSTS."
            )
        if scope["type"] == "http" and scope["method"] in _SAFE:
            return ""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        ours = origin is None or urlsplit(origin).netloc.lower() == host.lower() or _hostname(origin) in self.names
        if not ours or site not in (None, "same-origin", "none"):
            return "Another website asked for this, so it was refused; use the studio's own page, or a program."
        return ""


def _hostname(value: str) -> str:
    """The lower-case name in a Host or Origin header; "" when there is none."""
    try:
        return urlsplit(value if "//" in value else f"//{value}").hostname or ""
    except ValueError:
        return ""


def _too_large(limit: int) -> str:
    return f"The request is larger than {limit / 1e6:.0f} MB; send less."


def _counted(receive: Receive, limit: int) -> Receive:
    """``receive`` that stops a body of unknown length at ``limit`` bytes."""
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit:
            raise HTTPException(413, _too_large(limit))
        return message

    return counted


async def _refuse(scope: Scope, send: Send, status: int, sentence: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": sentence[:120]})
        return
    body = json.dumps({"error": sentence, "field": None}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
