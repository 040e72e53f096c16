"""``python -m studio``: every capability as a command, its flags made from its Request; `serve` starts the page.

A command uses the studio that runs on the same data folder when there is one, else it starts its own for the moment.
Exit codes: 0 done, 1 the job failed, 2 bad input (one sentence on stderr), 130 Ctrl+C (the job is cancelled).
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from studio.capability import Capability, StudioError, refusal
from studio.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from studio import Studio
    from studio.gallery import Asset
    from studio.jobs import Job

SERVER_FILE = "server.json"
"""In the data folder while a server runs: {"url", "instance"}."""
SHUTDOWN_SECONDS = 3


def main(argv: Sequence[str] | None = None, *, capabilities: str = "studio.capabilities:ALL") -> int:
    """Run one command and return its exit code. ``capabilities`` is a ``package.module:NAME``, as `Studio` takes it."""
    try:
        from studio.worker import find_capabilities

        parser = _parser({each.name: each for each in find_capabilities(capabilities)})
        arguments = parser.parse_args(argv)
        return arguments.run(arguments, capabilities)
    except StudioError as error:
        return _complain(error.message)
    except KeyboardInterrupt:
        _complain("Stopped.")
        return 130


def serve(settings: Settings, *, capabilities: str = "studio.capabilities:ALL") -> int:
    """Serve the page and the API until SIGTERM or Ctrl+C. Raises `StudioError` when that cannot begin."""
    settings = _on_space(settings)
    _check_exposure(settings)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _terminate)  # uvicorn raises the signal again once it has shut down
    from studio import Studio

    with contextlib.closing(_listen(settings)) as listener:
        studio = Studio(settings, capabilities=capabilities)
        studio.start()
        try:
            _serve(studio, listener)
        finally:
            with contextlib.suppress(OSError):
                (settings.data_dir / SERVER_FILE).unlink(missing_ok=True)
            studio.stop()
    return 0


def create_app(studio: Studio) -> FastAPI:
    """The API with the page mounted on it: what `serve` puts on the port."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from studio import ui
    from studio.api import create_api

    return ui.mount(create_api(studio), studio)


def _serve(studio: Studio, listener: socket.socket) -> None:
    import uvicorn

    app = create_app(studio)
    port = listener.getsockname()[1]
    url = f"http://{_reachable(studio.settings.host)}:{port}"
    with contextlib.suppress(OSError):  # only the command line looks for it
        entry = json.dumps({"url": url, "instance": app.state.instance})
        (studio.settings.data_dir / SERVER_FILE).write_text(entry)
    print(f"Creative Studio is ready: {url}", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=SHUTDOWN_SECONDS))
    server.run(sockets=[listener])


def _terminate(*_: object) -> NoReturn:
    raise SystemExit(0)


def _on_space(settings: Settings) -> Settings:
    """A Hugging Face Space says by SPACE_ID that it listens for a proxy, and by SPACE_HOST under which name."""
    if "SPACE_ID" not in os.environ:
        return settings
    names = ",".join(filter(None, (settings.allowed_hosts, os.environ.get("SPACE_HOST", ""))))
    return settings.model_copy(update={"host": "0.0.0.0", "allowed_hosts": names})


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


# -- commands ------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong, instead of the usage."""

    def error(self, message: str) -> NoReturn:
        raise StudioError(f"{message[:1].upper()}{message[1:].rstrip('.')}; see {self.prog} --help.")


def _parser(known: Mapping[str, Capability]) -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m studio", description="Creative Studio on the command line.", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command", parser_class=_Parser)
    for capability in known.values():
        command = commands.add_parser(
            capability.name, help=capability.summary, description=capability.summary, allow_abbrev=False
        )
        _add_flags(command, capability)
        command.add_argument("--out", default="out", metavar="DIR", help="Folder for the pictures (default: out).")
        command.add_argument("--json", action="store_true", help="Print one JSON object.")
        command.set_defaults(run=_draw, capability=capability)
    listing = commands.add_parser("capabilities", help="List what the studio can do.")
    listing.add_argument("--json", action="store_true", help="Names with the JSON schemas of their requests.")
    listing.set_defaults(run=_list_capabilities, known=known)
    server = commands.add_parser("serve", help="Start the page and the REST API.")
    for name in ("host", "port", "data_dir"):
        about = f"{Settings.model_fields[name].description} Else STUDIO_{name.upper()}."
        server.add_argument(f"--{name.replace('_', '-')}", dest=name, help=about)
    server.set_defaults(run=_run_server)
    verify = commands.add_parser("verify", help="Read the watermark and the settings of a picture file.")
    verify.add_argument("file", type=Path)
    verify.add_argument("--json", action="store_true", help="Print one JSON object.")
    verify.set_defaults(run=_verify)
    return parser


def _add_flags(command: argparse.ArgumentParser, capability: Capability) -> None:
    """One flag per field. Values stay text: the Request itself converts and checks them, here as everywhere."""
    for name, field in capability.request.model_fields.items():
        origin = get_origin(field.annotation)
        options: dict[str, Any] = {"dest": f"field:{name}", "default": None}
        options["help"] = (field.description or "").replace("%", "%%")
        if field.annotation is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif origin in (tuple, list):
            options |= {"action": "append", "metavar": "TEXT"}
            options["help"] += " May be given several times."
        else:
            options["metavar"] = _metavar(field.annotation)
        command.add_argument(f"--{name.replace('_', '-')}", **options)


def _metavar(annotation: Any) -> str:
    kinds = set(get_args(annotation)) or {annotation}
    return "N" if kinds & {int, float} else "TEXT"


def _settings(**changes: Any) -> Settings:
    """From the environment and flags. Raises `StudioError` naming the variable at fault."""
    try:
        return Settings(**{name: value for name, value in changes.items() if value is not None})
    except ValidationError as error:
        rows = [{**row, "loc": tuple(f"STUDIO_{str(part).upper()}" for part in row["loc"])} for row in error.errors()]
        raise refusal(rows) from error


def _run_server(arguments: argparse.Namespace, capabilities: str) -> int:
    settings = _settings(host=arguments.host, port=arguments.port, data_dir=arguments.data_dir)
    return serve(settings, capabilities=capabilities)


def _list_capabilities(arguments: argparse.Namespace, _: str) -> int:
    known: Mapping[str, Capability] = arguments.known
    if arguments.json:
        listing = [
            {
                "name": each.name,
                "title": each.title,
                "summary": each.summary,
                "schema": each.request.model_json_schema(),
            }
            for each in known.values()
        ]
        print(json.dumps(listing, indent=2))
    else:
        for each in known.values():
            print(f"{each.name:24} {each.summary}")
    return 0


def _verify(arguments: argparse.Namespace, _: str) -> int:
    """0 when the file carries a watermark or settings, 1 when it carries neither."""
    from studio.images import open_image, read_parameters

    image, parameters = open_image(arguments.file), read_parameters(arguments.file)
    from studio.trust import read_watermark

    key = read_watermark(image)
    if arguments.json:
        print(json.dumps({"file": str(arguments.file), "watermark": key, "parameters": parameters}))
    else:
        written = (parameters or {}).get("watermark", {}).get("key")
        agreement = (
            "" if not (key and written) else " (as its settings say)" if key == written else " (NOT its settings')"
        )
        print(f"watermark: {key}{agreement}" if key else "watermark: none found")
        for name, value in (parameters or {"settings": "none found"}).items():
            print(f"{name}: {value if isinstance(value, str) else json.dumps(value)}")
    return 0 if key or parameters else 1


def _draw(arguments: argparse.Namespace, capabilities: str) -> int:
    request = {
        name.removeprefix("field:"): value
        for name, value in vars(arguments).items()
        if name.startswith("field:") and value is not None
    }
    capability: Capability = arguments.capability
    settings = _settings()
    try:
        asked = capability.request.model_validate(request)
    except ValidationError as error:
        raise refusal(error.errors()) from error
    folder = _output_folder(Path(arguments.out))
    server = _running_server(settings)
    if server is None:
        from studio.families import Catalog

        capability.prepare(asked, Catalog(settings))  # a refusal need not wait for a studio to start
    with _connect(server, settings, capabilities) as studio:
        job = studio.submit(capability.name, request)
        try:
            job = _follow(studio, job)
        except KeyboardInterrupt:
            studio.cancel(job.id)
            raise
        if job.status != "done":
            return _complain(job.error or "The job was cancelled by someone else; run the command again.", code=1)
        images = []
        for id in job.asset_ids:
            asset = studio.asset(id)
            path = folder / f"{asset.capability}-{asset.seed}-{asset.id[:8]}.png"
            _write_whole(path, studio.picture(id))
            images.append({"path": str(path), "seed": asset.seed, "width": asset.width, "height": asset.height})
    for note in job.notes:
        print(f"Note: {note}", file=sys.stderr)
    seconds = round(job.seconds or 0.0, 3)
    if arguments.json:
        print(json.dumps({"job": job.id, "model": job.family, "seconds": seconds, "images": images}))
    else:
        for image in images:
            print(f"{image['path']}  seed {image['seed']}  {image['width']} x {image['height']}")
        print(f"{len(images)} picture(s) by {job.family} in {seconds:.1f} s")
    return 0


def _follow(studio: _Connection, job: Job) -> Job:
    """The job once it is over; on a terminal its progress is shown in one line of stderr."""
    shown = sys.stderr.isatty()
    for state in studio.events(job.id):
        job = state
        if shown and not job.terminal:
            place = (
                f"waiting, number {job.position} in line" if job.status == "queued" else f"step {job.step}/{job.steps}"
            )
            left = "" if job.eta_seconds is None else f", {job.eta_seconds:.0f} s left"
            print(f"\r\x1b[K{job.message or place}{left}", end="", file=sys.stderr, flush=True)
    if shown:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return job


def _output_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise StudioError(
            f"Pictures cannot be written to {folder} ({error.strerror}): choose another --out."
        ) from error


def _write_whole(path: Path, content: bytes) -> None:
    """All of the file or none of it."""
    part = path.with_suffix(".part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StudioError(
            f"{path} cannot be written ({error.strerror}): free some space or choose another --out; "
            "the picture itself is safe in the gallery."
        ) from error


def _complain(sentence: str, code: int = 2) -> int:
    print(f"studio: {sentence}", file=sys.stderr)
    return code


# -- the studio a command talks to ---------------------------------------------------------------------------------


class _Connection(Protocol):
    def submit(self, capability: str, request: dict[str, Any]) -> Job: ...
    def events(self, id: str) -> Iterator[Job]: ...
    def cancel(self, id: str) -> None: ...
    def asset(self, id: str) -> Asset: ...
    def picture(self, id: str) -> bytes: ...


@contextlib.contextmanager
def _connect(server: str | None, settings: Settings, capabilities: str) -> Iterator[_Connection]:
    """The running server at this URL, else a studio of our own while the command lasts."""
    if server:
        yield _Remote(server)
        return
    from studio import Studio

    studio = Studio(settings, capabilities=capabilities, preload=False)
    studio.start()
    try:
        yield _Own(studio)
    finally:
        studio.stop()


def _running_server(settings: Settings) -> str | None:
    try:
        entry = json.loads((settings.data_dir / SERVER_FILE).read_text())
        with _OPENER.open(f"{entry['url']}/healthz", timeout=10) as answer:
            return entry["url"] if json.load(answer)["instance"] == entry["instance"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no server, or one that was killed and left its file


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Never through a proxy: the server is on this computer."""


class _Own:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def submit(self, capability: str, request: dict[str, Any]) -> Job:
        return self._studio.jobs.submit(capability, request, source="cli")

    def events(self, id: str) -> Iterator[Job]:
        for event in self._studio.jobs.events(id, user="local"):
            yield event.job

    def cancel(self, id: str) -> None:
        self._studio.jobs.cancel(id, user="local")
        for _ in self.events(id):  # until the worker has really stopped
            pass

    def asset(self, id: str) -> Asset:
        return self._studio.gallery.get(id, user="local")

    def picture(self, id: str) -> bytes:
        return self._studio.gallery.file(id, user="local").read_bytes()


class _Remote:
    """The same over REST."""

    def __init__(self, url: str) -> None:
        from studio.gallery import Asset
        from studio.jobs import Job

        self._url = f"{url}/api/v1"
        self._job, self._asset = TypeAdapter(Job), TypeAdapter(Asset)

    def submit(self, capability: str, request: dict[str, Any]) -> Job:
        answer = json.loads(self._ask("POST", capability, request))
        return self._job.validate_json(self._ask("GET", f"jobs/{answer['id']}"))

    def events(self, id: str) -> Iterator[Job]:
        job = None
        with self._open("GET", f"jobs/{id}/events", timeout=None) as stream:
            for line in stream:
                if line.startswith(b"data:"):
                    job = self._job.validate_python(json.loads(line[5:])["job"])
                    yield job
        if job is None or not job.terminal:
            raise StudioError("The running studio stopped; start it again, and it goes on with the job by itself.")

    def cancel(self, id: str) -> None:
        self._ask("DELETE", f"jobs/{id}")

    def asset(self, id: str) -> Asset:
        return self._asset.validate_json(self._ask("GET", f"gallery/{id}"))

    def picture(self, id: str) -> bytes:
        return self._ask("GET", f"assets/{id}")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        with self._open(method, path, body) as answer:
            return answer.read()

    def _open(self, method: str, path: str, body: dict[str, Any] | None = None, timeout: float | None = 60) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self._url}/{path}", data, {"Content-Type": "application/json"}, method=method
        )
        try:
            return _OPENER.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                answer = json.loads(error.read())
                raise StudioError(answer["error"], field=answer["field"], status=error.code) from error
            raise StudioError(f"The running studio answered {error.code}; look at its log.") from error
        except OSError as error:
            raise StudioError("The running studio does not answer; stop it and start it again.") from error
