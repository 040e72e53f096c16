"""The page and the API on a port: who may reach them, how they start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import json
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING, NoReturn

from studio.errors import StudioError
from studio.settings import Settings

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from studio import Studio

SERVER_FILE = "server.json"
"""In the data folder while a server runs: {"url", "instance"}."""
SHUTDOWN_SECONDS = 3
STALL_SECONDS = 30.0
"""After which a connection is dropped whose other end reads nothing of what waits for it."""


def serve(settings: Settings, *, user: str, capabilities: str) -> int:
    """Serve the page and the API to ``user`` until SIGTERM or Ctrl+C. Raises `StudioError` when that cannot begin."""
    settings = _on_space(settings)
    _check_exposure(settings)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _terminate)  # uvicorn raises the signal again once it has shut down
    from studio import Studio

    with contextlib.closing(_listen(settings)) as listener:
        studio = Studio(settings, capabilities=capabilities)
        studio.start()
        try:
            _serve(studio, listener, user)
        finally:
            with contextlib.suppress(OSError):
                (settings.data_dir / SERVER_FILE).unlink(missing_ok=True)
            studio.stop()
    return 0


def create_app(studio: Studio, *, user: str) -> FastAPI:
    """The API of ``user`` with the page mounted on it: what `serve` puts on the port."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from studio import ui
    from studio.api import create_api

    return ui.mount(create_api(studio, user=user), studio)


def _serve(studio: Studio, listener: socket.socket, user: str) -> None:
    app = create_app(studio, user=user)
    port = listener.getsockname()[1]
    url = f"http://{_reachable(studio.settings.host)}:{port}"
    with contextlib.suppress(OSError):  # only the command line looks for it
        entry = json.dumps({"url": url, "instance": app.state.instance})
        (studio.settings.data_dir / SERVER_FILE).write_text(entry)
    print(f"Creative Studio is ready: {url}", flush=True)
    _raise_file_limit()
    gc.collect()
    gc.freeze()  # what was loaded stays: not to be walked again while somebody waits for an answer
    web_server(studio, app).run(sockets=[listener])


def web_server(studio: Studio, app: FastAPI) -> uvicorn.Server:
    """A server that ends its event streams when it stops, and drops who does not read what was sent."""
    import uvicorn
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            studio.jobs.close()  # or they keep it waiting
            await super().shutdown(sockets)

    class Protocol(AutoHTTPProtocol):  # pyright: ignore[reportGeneralTypeIssues, reportUntypedBaseClass]
        wire: asyncio.Transport
        stalled: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            self.wire = transport
            super().connection_made(transport)

        def pause_writing(self) -> None:
            super().pause_writing()
            self.stalled = asyncio.get_running_loop().call_later(STALL_SECONDS, self.wire.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._moves()

        def connection_lost(self, exc: Exception | None) -> None:
            self._moves()
            super().connection_lost(exc)

        def _moves(self) -> None:
            if self.stalled:
                self.stalled.cancel()

    return Server(
        uvicorn.Config(
            app,
            http=Protocol,
            log_level="warning",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            server_header=False,
            proxy_headers=False,  # our own guard reads them
        )
    )


def _raise_file_limit() -> None:
    """Every open event stream is an open file, and systems allow 1,024 of them unless asked for more."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536) if most > 0 else 65_536, most))


def _terminate(*_: object) -> NoReturn:
    raise SystemExit(0)


def _on_space(settings: Settings) -> Settings:
    """A Hugging Face Space says by SPACE_ID that it listens for a proxy, and by SPACE_HOST under which name."""
    if "SPACE_ID" not in os.environ:
        return settings
    names = ",".join(filter(None, (settings.allowed_hosts, os.environ.get("SPACE_HOST", ""))))
    return settings.model_copy(update={"host": "0.0.0.0", "allowed_hosts": names, "trusted_proxies": "*"})


def _check_exposure(settings: Settings) -> None:
    if settings.allowed_hosts.strip() or _is_loopback(settings.host):
        return
    raise StudioError(
        f"Listening on {settings.host} would open this studio to everyone on the network: set STUDIO_ALLOWED_HOSTS "
        f"to the names it may be opened by (such as {socket.gethostname()}), or leave STUDIO_HOST at 127.0.0.1."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reachable(host: str) -> str:
    """An address of this computer at which a server on ``host`` answers, as it stands in a URL."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _listen(settings: Settings) -> socket.socket:
    """Bound before anything is loaded: a busy port is told at once, and early visitors wait instead of failing."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise StudioError(
            f"Port {settings.port} on {settings.host} cannot be used ({reason}): stop the program that uses it, "
            "or set STUDIO_PORT to another port."
        ) from error
