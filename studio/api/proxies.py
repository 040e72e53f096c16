"""What a reverse proxy says of a request: believed from those named in STUDIO_TRUSTED_PROXIES, removed in any case."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

from studio.errors import StudioError

_FORWARDED = (b"forwarded", b"x-forwarded-", b"x-gradio-server", b"x-original-", b"x-real-ip", b"x-rewrite-url")
"""Beginnings of headers that speak for somebody else."""


class Proxies:
    """``trusted``: addresses or networks such as 10.0.0.0/8, "*" for everybody. Raises `StudioError` for others."""

    def __init__(self, trusted: str) -> None:
        names = [name.strip() for name in trusted.split(",") if name.strip()]
        self._everybody = "*" in names
        try:
            self._networks = [ipaddress.ip_network(name, strict=False) for name in names if name != "*"]
        except ValueError as error:
            raise StudioError(
                f"STUDIO_TRUSTED_PROXIES takes addresses and networks such as 10.0.0.0/8, comma separated ({error})."
            ) from error

    def settle(self, scope: Scope) -> Scope:
        """``scope`` as the browser meant it: host and scheme as a trusted proxy tells them, no forwarded headers."""
        headers = Headers(scope=scope)
        kept = [(name, value) for name, value in scope["headers"] if not name.lower().startswith(_FORWARDED)]
        settled = {**scope, "headers": kept}
        if not self._trusts(scope):
            return settled
        if host := _first(headers.getlist("x-forwarded-host")):
            settled["headers"] = [(b"host", host.encode("latin-1")), *(each for each in kept if each[0] != b"host")]
        if (proto := _first(headers.getlist("x-forwarded-proto")).lower()) in ("http", "https"):
            secure = proto == "https"
            settled["scheme"] = ("wss" if secure else "ws") if scope["type"] == "websocket" else proto
        return settled

    def _trusts(self, scope: Scope) -> bool:
        if self._everybody:
            return True
        if not self._networks or not scope.get("client"):
            return False
        try:
            address = ipaddress.ip_address(scope["client"][0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def _first(values: Iterable[str]) -> str:
    """The browser's own: proxies add theirs behind it."""
    return next(iter(values), "").split(",")[0].strip()
