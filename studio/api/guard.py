"""What every request passes before anything else sees it: proxy, Host, origin, body size; and every answer's headers.

Plain ASGI, so that event streams and Gradio's own traffic flow through untouched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.api.proxies import Proxies

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_BODY = 1_000_000
"""Bytes of a request body; uploads have their own limit."""

_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,253}))(?::(?P<port>\d{1,5}))?")
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PROBES = frozenset({"/healthz", "/readyz"})
"""Asked by address, not by name, and they tell nothing."""

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "  # Gradio
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
_FOREIGN = (
    "Another website asked for this, so it was refused; use the studio's own page, or a program. "
    "Behind a reverse proxy, name it in STUDIO_TRUSTED_PROXIES."
)


class Guard:
    """Refuses foreign Host names (DNS rebinding) and what another site makes a browser ask for (CSRF, inclusion).

    ``names`` are accepted beside the local ones; "*" accepts every name. ``framed`` lets other sites show the page in a
    frame, as Hugging Face Spaces do. ``root`` is the path under which a reverse proxy serves the studio, such as
    "/studio"; requests may come with or without it. ``limits`` maps a path to its largest body in bytes.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        names: Iterable[str],
        framed: bool,
        proxies: Proxies,
        root: str,
        limits: Mapping[str, int],
    ) -> None:
        self.app = app
        self.names = LOCAL_NAMES | {name.strip().lower().strip("[]") for name in names if name.strip()}
        self.framed = framed
        self.proxies = proxies
        self.root = root
        self.limits = limits
        policy = _POLICY if framed else f"{_POLICY}; frame-ancestors 'self'"
        self.headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            **({} if framed else {"X-Frame-Options": "SAMEORIGIN"}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope = self.proxies.settle(scope)
        path = scope["path"]
        if self.root:
            path = path.removeprefix(self.root) if f"{path}/".startswith(f"{self.root}/") else path
            scope = {**scope, "root_path": self.root, "path": self.root + path}
        limit = self.limits.get(path, MAX_BODY)
        exchange = _Exchange(scope, receive, send, limit, self.headers)
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if sentence := self._foreign(scope, path, headers):
            await _refuse(scope, exchange.send, 403, sentence)
        elif length.isdecimal() and int(length[:20]) > limit:
            await _refuse(scope, exchange.send, 413, _too_large(limit))
        elif self.root and path == "":
            await _redirect(exchange.send, f"{self.root}/")
        else:
            await self.app(scope, exchange.receive, exchange.send)

    def _foreign(self, scope: Scope, path: str, headers: Headers) -> str:
        """Why this request must not be answered, or ""."""
        if path in _PROBES:
            return ""
        hosts = headers.getlist("host")
        ours = _authority(hosts[0], scope["scheme"]) if len(hosts) == 1 else None
        if ours is None or ("*" not in self.names and ours[0] not in self.names):
            told = ", ".join(hosts)[:100]
            return (
                f"This studio does not answer to the name '{told}'; "
                "open it by its own address, or add the name to STUDIO_ALLOWED_HOSTS."
            )
        site = headers.get("sec-fetch-site", "none")
        if scope["type"] == "http" and scope["method"] in _SAFE:
            return _FOREIGN if site in ("cross-site", "same-site") and not self._opens(headers) else ""
        origins = headers.getlist("origin")
        if len(origins) > 1 or (origins and not _same(origins[0], hosts[0], scope["scheme"])):
            return _FOREIGN
        return "" if site in ("same-origin", "none") else _FOREIGN

    def _opens(self, headers: Headers) -> bool:
        """Whether a browser opens a page, which who sent it here cannot read, rather than including it in another."""
        kinds = ("document", "iframe") if self.framed else ("document",)
        return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") in kinds


class _Exchange:
    """One request and its answer: counts the body, adds headers, lets no other site's page read the answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int, headers: Mapping[str, str]) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._limit = limit
        self._headers = headers
        self._received = 0
        self._refused = False

    async def receive(self) -> Message:
        """Stops a body of unknown length at the limit."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise HTTPException(413, _too_large(self._limit))
        return message

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        if message["type"] == "http.response.start":
            if self._received > self._limit:  # whatever the application makes of a body that was cut
                self._received = 0
                await _refuse(self._scope, self.send, 413, _too_large(self._limit))
                self._refused = True
                return
            headers = MutableHeaders(scope=message)
            for name in [name for name in headers if name.startswith("access-control-")]:
                del headers[name]
            for name, value in self._headers.items():
                headers.setdefault(name, value)
        await self._send(message)


def _authority(value: str, scheme: str) -> tuple[str, int] | None:
    """(lower-case name, port) of a Host header; None unless it is nothing but that."""
    found = _HOST.fullmatch(value)
    if found is None:
        return None
    return (found["six"] or found["name"]).lower(), int(found["port"] or _PORTS[scheme])


def _same(origin: str, host: str, scheme: str) -> bool:
    """Whether ``origin`` is the page's own. Who ends TLS in front may leave the scheme untold: https passes."""
    theirs, _, authority = origin.partition("://")
    if theirs not in ("http", "https") or (theirs == "http" and scheme in ("https", "wss")):
        return False
    return _authority(authority, theirs) == _authority(host, theirs) is not None


def _too_large(limit: int) -> str:
    return f"The request is larger than {limit / 1e6:.0f} MB; send less."


async def _refuse(scope: Scope, send: Send, status: int, sentence: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": sentence[:120]})
        return
    body = json.dumps({"error": sentence, "field": None}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _redirect(send: Send, place: str) -> None:
    headers = [(b"location", place.encode("latin-1")), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
