"""``python -m studio``: every capability as a command, its flags made from its Request; `serve` starts the page.

A command uses the studio that runs on the same data folder when there is one, else it starts its own for the moment.
Where a request names pictures, a command takes files and folders and hands them in.
Exit codes: 0 done, 1 the job failed, 2 bad input (one sentence on stderr), 130 Ctrl+C (the job is cancelled).
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import logging
import os
import re
import signal
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from studio.capability import Capability, PicturesRequest, Source
from studio.errors import StudioError, refusal
from studio.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from studio import Studio
    from studio.jobs import Job
    from studio.search import Found
    from studio.store.gallery import Asset
    from studio.store.library import Board

SERVER_FILE = "server.json"
"""In the data folder while a server runs: {"url", "instance"}."""
SHUTDOWN_SECONDS = 3
PATIENCE = 120.0
"""Seconds for which a search is asked again while the studio is busy."""
QUIET = 15.0
"""Seconds without a job after which nobody looks at pictures any more; what is left cannot be read."""
_PICTURES = {"pictures": "board", "others": "other_board"}
"""Fields of a `PicturesRequest` that name pictures, with the field for a board of them."""
_ID = re.compile(r"[0-9a-f]{32}")


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
    known = {name: capability for name, capability in known.items() if not capability.hidden}
    for capability in known.values():
        command = commands.add_parser(
            capability.name, help=capability.summary, description=capability.summary, allow_abbrev=False
        )
        _add_flags(command, capability)
        command.add_argument("--out", default="out", metavar="DIR", help="Folder for the pictures (default: out).")
        command.add_argument("--json", action="store_true", help="Print one JSON object.")
        if issubclass(capability.request, PicturesRequest):
            command.add_argument("--csv", type=Path, metavar="FILE", help="Write the answers as a table.")
        command.set_defaults(run=_run_job, capability=capability, csv=None)
    _add_search(commands)
    _add_boards(commands)
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
        if issubclass(capability.request, PicturesRequest) and name in _PICTURES:
            options |= {"action": "extend", "nargs": "+", "metavar": "PATH"}
            options["help"] = "Picture files, clips, folders with all that is in them, or ids."
        elif issubclass(capability.request, PicturesRequest) and name in _PICTURES.values():
            options |= {"metavar": "NAME", "help": "Name or id of a board: all pictures on it."}
        elif field.annotation is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif origin in (tuple, list):
            options |= {"action": "append", "metavar": "TEXT"}
            options["help"] += " May be given several times."
        else:
            options["metavar"] = _metavar(field.annotation)
        command.add_argument(f"--{name.replace('_', '-')}", **options)


def _add_search(commands: Any) -> None:
    search = commands.add_parser("search", help="Find pictures by what is on them.", allow_abbrev=False)
    search.add_argument("text", nargs="?", default="", help="What is to be seen, in words.")
    search.add_argument(
        "--like", nargs="+", action="extend", default=[], metavar="PATH", help="Files or ids that hits should be like."
    )
    search.add_argument("--unlike", default="", metavar="TEXT", help="What is not to be seen, in words.")
    search.add_argument("--limit", type=int, default=20, metavar="N", help="Number of hits (default: 20).")
    search.add_argument("--model", default="", metavar="TEXT", help="Model id; empty is the model of the search.")
    search.add_argument("--json", action="store_true", help="Print one JSON object.")
    search.set_defaults(run=_search)


def _add_boards(commands: Any) -> None:
    boards = commands.add_parser("board", help="List boards, or make one of a folder.", allow_abbrev=False)
    actions = boards.add_subparsers(required=True, metavar="ACTION", dest="action", parser_class=_Parser)
    listing = actions.add_parser("list", help="Names, ids and numbers of pictures.", allow_abbrev=False)
    listing.set_defaults(run=_list_boards)
    filling = actions.add_parser(
        "import", help="Hand pictures in and put them on a board; an old one of that name grows.", allow_abbrev=False
    )
    filling.add_argument("paths", nargs="+", metavar="PATH", help="Folders, files or ids.")
    filling.add_argument("--name", default="", metavar="NAME", help="Of the board (default: the first folder's).")
    filling.set_defaults(run=_import_board)
    for command in (listing, filling):
        command.add_argument("--json", action="store_true", help="Print JSON.")


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
    from studio.media.images import open_image, read_parameters

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


def _run_job(arguments: argparse.Namespace, capabilities: str) -> int:
    request = {
        name.removeprefix("field:"): value
        for name, value in vars(arguments).items()
        if name.startswith("field:") and value is not None
    }
    capability: Capability = arguments.capability
    settings = _settings()
    answers = issubclass(capability.request, PicturesRequest)
    given = {name: _find_files(request[name]) for name in _PICTURES if answers and name in request}
    boards = {name: request[name] for name in _PICTURES.values() if answers and name in request}
    # Ids are known only once the files are handed in; a refusal need not wait for that, nor for a studio to start.
    places = iter(range(10**6))
    stand_ins = {name: [f"{next(places):032x}" for _ in files] for name, files in given.items()}
    try:
        asked = capability.request.model_validate({**request, **stand_ins, **dict.fromkeys(boards, "board")})
    except ValidationError as error:
        raise refusal(error.errors()) from error
    folder = Path(arguments.out) if answers else _output_folder(Path(arguments.out))
    server = _running_server(settings)
    if server is None and not boards:
        from studio.models.catalog import Catalog

        capability.prepare(asked, Catalog(settings))
    skipped: list[dict[str, str]] = []
    paths: dict[str, str] = {}
    with _connect(server, settings, capabilities) as studio:
        for name, files in given.items():
            request[name] = _hand_in(studio, files, paths, skipped)
        for name, board in boards.items():
            request[name] = _board_id(studio, board)
        job = studio.submit(capability.name, request)
        try:
            job = _follow(studio, job)
        except KeyboardInterrupt:
            studio.cancel(job.id)
            raise
        if job.status != "done":
            return _complain(job.error or "The job was cancelled by someone else; run the command again.", code=1)
        if job.asset_ids:
            _output_folder(folder)
        images = [_fetch(studio, id, folder) for id in job.asset_ids]
        results = studio.results(job.id) if job.results else []
    for record in results:
        about = record.get("pictures") or [record.get("picture") or record.get("clip")]
        if here := [paths[id] for id in about if id in paths]:
            record["path"] = ", ".join(here)
    if arguments.csv:
        from studio.reading.records import to_csv

        _write_whole(
            arguments.csv, to_csv(results).encode(), flag="--csv", kept=f"the answers are safe in job {job.id}"
        )
    for note in job.notes:
        print(f"Note: {note}", file=sys.stderr)
    seconds = round(job.seconds or 0.0, 3)
    if arguments.json:
        told = {"job": job.id, "model": job.family, "seconds": seconds, "images": images}
        print(json.dumps(told | {"results": results, "skipped": skipped} if answers else told))
    else:
        for image in images:
            print(f"{image['path']}  seed {image['seed']}  {image['width']} x {image['height']}")
        for record in results:
            print(_line(record))
        made = f"{len(images)} picture(s)" if images or not answers else f"{len(results)} answer(s)"
        print(f"{made} by {job.family} in {seconds:.1f} s")
    return 0


def _fetch(studio: _Connection, id: str, folder: Path) -> dict[str, Any]:
    asset = studio.asset(id)
    path = folder / f"{asset.capability}-{asset.seed}-{asset.id[:8]}.png"
    _write_whole(path, studio.picture(id), flag="--out", kept="the picture itself is safe in the gallery")
    return {"path": str(path), "seed": asset.seed, "width": asset.width, "height": asset.height}


def _line(record: Mapping[str, Any]) -> str:
    """A record as a person reads it: of a list the first three entries."""
    parts = [str(record.get("path") or record.get("name") or record["index"])]
    for name, value in record.items():
        if name in ("index", "picture", "pictures", "clip", "name", "path") or value in (None, "", [], {}):
            continue
        if isinstance(value, list):
            more = ", ..." if len(value) > 3 else ""
            value = ", ".join(_words(each) for each in value[:3]) + more
        parts.append(f"{name}: {_words(value)}")
    return "  ".join(parts)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(_words(each) for each in value.values())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value) if not str(value).startswith("data:image/") else "(picture)"


# -- pictures that a command is given ------------------------------------------------------------------------------


def _find_files(given: Sequence[str]) -> list[Path | str]:
    """Files as paths, also those in folders and their folders; ids of pictures as they are."""
    found: list[Path | str] = []
    for each in given:
        path = Path(each)
        if path.is_dir():
            inside = [file for file in sorted(path.rglob("*")) if file.is_file() and not _is_hidden(file, path)]
            if not inside:
                raise StudioError(f"There is no file in the folder {path}; choose another.", field="pictures")
            found += inside
        elif path.exists():
            found.append(path)
        elif _ID.fullmatch(each):
            found.append(each)
        else:
            raise StudioError(f"There is no file, folder or picture {each}; check its path.", field="pictures")
    return found


def _is_hidden(file: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(below).parts)


def _hand_in(
    studio: _Connection, files: Sequence[Path | str], paths: dict[str, str], skipped: list[dict[str, str]]
) -> list[str]:
    """Ids of all that could be read. Notes their ``paths`` by id; the others are told and added to ``skipped``."""
    ids: list[str] = []

    def skip(path: Path, reason: str) -> None:
        skipped.append({"path": str(path), "error": reason})
        print(f"Skipped {path}: {reason}", file=sys.stderr)

    for place, file in enumerate(files, start=1):
        if isinstance(file, str):
            ids.append(file)
            continue
        _tell(f"handing in {place}/{len(files)}")
        try:
            id = studio.upload(file)
        except StudioError as error:
            if error.status not in (413, 422):
                raise
            skip(file, error.message)
            continue
        if id in ids:
            skip(file, f"It is the same picture as {paths.get(id, id)}.")
        else:
            ids.append(id)
            paths[id] = str(file)
    _tell("")
    if not ids:
        raise StudioError("None of these files could be read; see the reasons above.", field="pictures")
    return ids


def _board_id(studio: _Connection, wanted: str) -> str:
    boards = studio.boards()
    for board in boards:
        if wanted in (board.id, board.name):
            return board.id
    known = ", ".join(board.name for board in boards) or "none yet; make one with 'board import'"
    raise StudioError(f"There is no board '{wanted[:80]}'; there is: {known}.", field="board")


def _list_boards(arguments: argparse.Namespace, capabilities: str) -> int:
    settings = _settings()
    with _connect(_running_server(settings), settings, capabilities) as studio:
        boards = studio.boards()
    if arguments.json:
        print(json.dumps([{"id": board.id, "name": board.name, "count": board.count} for board in boards]))
    else:
        for board in boards:
            print(f"{board.id}  {board.count:6} picture(s)  {board.name}")
    return 0


def _import_board(arguments: argparse.Namespace, capabilities: str) -> int:
    files = _find_files(arguments.paths)
    name = " ".join(arguments.name.split()) or next(
        (Path(each).resolve().name for each in arguments.paths if Path(each).is_dir()), ""
    )
    if not name:
        raise StudioError("The board needs a name; give it with --name.", field="name")
    settings, skipped = _settings(), []
    with _connect(_running_server(settings), settings, capabilities) as studio:
        ids = _hand_in(studio, files, {}, skipped)
        known = next((board.id for board in studio.boards() if board.name == name), "")
        for start in range(0, len(ids), 5000):  # as many as one request takes
            known = studio.fill_board(known, name, ids[start : start + 5000])
        board = next(board for board in studio.boards() if board.id == known)
    if arguments.json:
        print(json.dumps({"id": board.id, "name": board.name, "count": board.count, "skipped": skipped}))
    else:
        print(f"{board.id}  {board.count} picture(s)  {board.name}")
    return 0


def _search(arguments: argparse.Namespace, capabilities: str) -> int:
    files = _find_files(arguments.like)
    if not (arguments.text.strip() or arguments.unlike.strip() or files):
        raise StudioError("Say what to look for: some words, or pictures after --like.")
    settings = _settings()
    with _connect(_running_server(settings), settings, capabilities) as studio:
        wanted = {
            "text": arguments.text,
            "like": _hand_in(studio, files, {}, []) if files else [],
            "unlike": arguments.unlike,
            "limit": max(1, min(arguments.limit, 500)),
            "model": arguments.model,
        }
        studio.settle()
        found, end = None, time.monotonic() + PATIENCE
        while found is None:
            try:
                found = studio.search(wanted)
            except StudioError as error:
                if error.status != 503 or time.monotonic() > end:
                    raise
                _tell("waiting for the studio")
                time.sleep(1)
        _tell("")
        hits = [
            {"id": hit.id, "name": studio.source(hit.id).name, "score": hit.score, "time": hit.time}
            for hit in found.hits
        ]
    if found.note:
        print(f"Note: {found.note}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"hits": hits, "note": found.note, "embedded": found.embedded, "total": found.total}))
    else:
        for hit in hits:
            moment = f"  at {hit['time']:.1f} s" if hit["time"] else ""
            print(f"{hit['score']:6.3f}  {hit['id']}  {hit['name']}{moment}")
    return 0


def _tell(line: str) -> None:
    """Replace the one line of progress on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _follow(studio: _Connection, job: Job) -> Job:
    """The job once it is over; on a terminal its progress is shown in one line of stderr."""
    for state in studio.events(job.id):
        job = state
        if not job.terminal:
            place = (
                f"waiting, number {job.position} in line" if job.status == "queued" else f"step {job.step}/{job.steps}"
            )
            left = "" if job.eta_seconds is None else f", {job.eta_seconds:.0f} s left"
            _tell(f"{job.message or place}{left}")
    _tell("")
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


def _write_whole(path: Path, content: bytes, *, flag: str, kept: str) -> None:
    """All of the file or none of it; ``flag`` chose it, ``kept`` says where its content is in any case."""
    part = path.with_suffix(".part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StudioError(
            f"{path} cannot be written ({error.strerror}): free some space or choose another {flag}; {kept}."
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
    def results(self, id: str) -> list[dict[str, Any]]: ...
    def upload(self, path: Path) -> str: ...
    def source(self, id: str) -> Source: ...
    def boards(self) -> list[Board]: ...

    def fill_board(self, id: str, name: str, pictures: list[str]) -> str:
        """Add to a board, a new one when ``id`` is empty; returns its id."""
        ...

    def search(self, wanted: dict[str, Any]) -> Found: ...

    def settle(self) -> None:
        """Have what can be found looked at first, where that is this command's business."""
        ...


@contextlib.contextmanager
def _connect(server: str | None, settings: Settings, capabilities: str) -> Iterator[_Connection]:
    """The running server at this URL, else a studio of our own while the command lasts."""
    if server:
        yield _Remote(server, settings.max_upload_mb)
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
        return self._studio.jobs.submit(capability, request, user="local", source="cli")

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

    def results(self, id: str) -> list[dict[str, Any]]:
        return list(self._studio.jobs.results(id, user="local"))

    def upload(self, path: Path) -> str:
        return self._studio.library.add(path, path.name, user="local").id

    def source(self, id: str) -> Source:
        return self._studio.library.source(id, user="local")

    def boards(self) -> list[Board]:
        return self._studio.library.boards("local")

    def fill_board(self, id: str, name: str, pictures: list[str]) -> str:
        if not id:
            return self._studio.library.create_board("local", name, pictures).id
        self._studio.library.add_to_board(id, pictures, user="local")
        return id

    def search(self, wanted: dict[str, Any]) -> Found:
        return self._studio.search.find(user="local", **wanted)

    def settle(self) -> None:
        """Nobody else looks at the pictures of a studio that lives only as long as a command."""
        end = time.monotonic() + QUIET
        while time.monotonic() < end:
            status = self._studio.search.status("local")
            if status.embedded >= status.total:
                return
            if self._studio.jobs.list(user="local", active=True, hidden=True):
                end = time.monotonic() + QUIET
            _tell(f"looking at pictures: {status.embedded}/{status.total}")
            time.sleep(0.5)


class _Remote:
    """The same over REST."""

    def __init__(self, url: str, max_upload_mb: int) -> None:
        from studio.jobs import Job
        from studio.search import Found
        from studio.store.gallery import Asset
        from studio.store.library import Board

        self._url = f"{url}/api/v1"
        self._max_upload_mb = max_upload_mb
        self._job, self._asset = TypeAdapter(Job), TypeAdapter(Asset)
        self._boards, self._found = TypeAdapter(list[Board]), TypeAdapter(Found)

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

    def results(self, id: str) -> list[dict[str, Any]]:
        return json.loads(self._ask("GET", f"jobs/{id}/results"))

    def upload(self, path: Path) -> str:
        from studio.store.library import read_upload

        content = read_upload(path, self._max_upload_mb)  # a server that refuses by size does not listen to the end
        query = urllib.parse.urlencode({"name": path.name})
        return json.loads(self._ask("POST", f"uploads?{query}", content))["id"]

    def source(self, id: str) -> Source:
        told = json.loads(self._ask("GET", f"pictures/{id}"))
        return Source(told["id"], told["name"], told["prompt"], told["is_clip"])

    def boards(self) -> list[Board]:
        return self._boards.validate_json(self._ask("GET", "boards"))

    def fill_board(self, id: str, name: str, pictures: list[str]) -> str:
        if not id:
            return json.loads(self._ask("POST", "boards", {"name": name, "pictures": pictures}))["id"]
        self._ask("POST", f"boards/{id}/add", {"pictures": pictures})
        return id

    def search(self, wanted: dict[str, Any]) -> Found:
        return self._found.validate_json(self._ask("POST", "search", wanted))

    def settle(self) -> None:
        """The server looks at its pictures by itself, and says when some are missing."""

    def _ask(self, method: str, path: str, body: dict[str, Any] | bytes | None = None) -> bytes:
        with self._open(method, path, body) as answer:
            return answer.read()

    def _open(
        self, method: str, path: str, body: dict[str, Any] | bytes | None = None, timeout: float | None = 60
    ) -> Any:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        request = urllib.request.Request(f"{self._url}/{path}", data, {"Content-Type": kind}, method=method)
        try:
            return _OPENER.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                answer = json.loads(error.read())
                raise StudioError(answer["error"], field=answer["field"], status=error.code) from error
            raise StudioError(f"The running studio answered {error.code}; look at its log.") from error
        except OSError as error:
            raise StudioError("The running studio does not answer; stop it and start it again.") from error
