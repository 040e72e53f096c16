"""The studio that a command talks to: the running server over REST, else one of its own."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import TypeAdapter

from studio.capability import Source
from studio.cli.terminal import printable, tell
from studio.errors import StudioError
from studio.references import Purpose
from studio.server import SERVER_FILE
from studio.settings import Settings

if TYPE_CHECKING:
    from studio import Studio
    from studio.jobs import Job
    from studio.search import Found
    from studio.store.boards import Board
    from studio.store.gallery import Asset
    from studio.store.words import Style

QUIET = 15.0
"""Seconds without a job after which nobody looks at pictures any more; what is left cannot be read."""


@dataclass(frozen=True)
class Caller:
    """Who runs a command, and what a studio of its own can do."""

    user: str
    capabilities: str
    """``package.module:NAME``, as `Studio` takes it."""


class Connection(Protocol):
    def submit(self, capability: str, request: dict[str, Any]) -> Job: ...
    def events(self, id: str) -> Iterator[Job]: ...
    def cancel(self, id: str) -> None: ...
    def asset(self, id: str) -> Asset: ...
    def picture(self, id: str) -> bytes: ...
    def results(self, id: str) -> list[dict[str, Any]]: ...
    def upload(self, path: Path, purpose: Purpose) -> str: ...
    def source(self, id: str) -> Source: ...
    def boards(self) -> list[Board]: ...

    def fill_board(self, id: str, name: str, pictures: list[str]) -> str:
        """Add to a board, a new one when ``id`` is empty; returns its id."""
        ...

    def search(self, wanted: dict[str, Any]) -> Found: ...
    def styles(self) -> list[Style]: ...
    def save_style(self, name: str, prompt: str, negative: str) -> None: ...
    def delete_style(self, name: str) -> None: ...
    def wildcards(self) -> list[str]: ...
    def wildcard(self, name: str) -> list[str]: ...
    def save_wildcard(self, name: str, text: str) -> None: ...
    def delete_wildcard(self, name: str) -> None: ...

    def settle(self) -> None:
        """Have what can be found looked at first, where that is this command's business."""
        ...


@contextlib.contextmanager
def connect(server: str | None, settings: Settings, caller: Caller) -> Iterator[Connection]:
    """The running server at this URL, else a studio of our own while the command lasts."""
    if server:
        yield _Remote(server, settings.max_upload_mb)
        return
    from studio import Studio

    studio = Studio(settings, capabilities=caller.capabilities, preload=False)
    studio.start()
    try:
        yield _Own(studio, caller.user)
    finally:
        studio.stop()


def running_server(settings: Settings) -> str | None:
    try:
        entry = json.loads((settings.data_dir / SERVER_FILE).read_text())
        with _OPENER.open(f"{entry['url']}/healthz", timeout=10) as answer:
            return entry["url"] if json.load(answer)["instance"] == entry["instance"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no server, or one that was killed and left its file


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Never through a proxy: the server is on this computer."""


class _Own:
    def __init__(self, studio: Studio, user: str) -> None:
        self._studio = studio
        self._user = user

    def submit(self, capability: str, request: dict[str, Any]) -> Job:
        return self._studio.jobs.submit(capability, request, user=self._user, source="cli")

    def events(self, id: str) -> Iterator[Job]:
        for event in self._studio.jobs.events(id, user=self._user):
            yield event.job

    def cancel(self, id: str) -> None:
        self._studio.jobs.cancel(id, user=self._user)
        for _ in self.events(id):  # until the worker has really stopped
            pass

    def asset(self, id: str) -> Asset:
        return self._studio.gallery.get(id, user=self._user)

    def picture(self, id: str) -> bytes:
        return self._studio.gallery.file(id, user=self._user).read_bytes()

    def results(self, id: str) -> list[dict[str, Any]]:
        return list(self._studio.jobs.results(id, user=self._user))

    def upload(self, path: Path, purpose: Purpose) -> str:
        return self._studio.library.add(path, printable(path.name), user=self._user, purpose=purpose).id

    def source(self, id: str) -> Source:
        return self._studio.library.source(id, user=self._user)

    def boards(self) -> list[Board]:
        return self._studio.library.boards.all(self._user)

    def fill_board(self, id: str, name: str, pictures: list[str]) -> str:
        if not id:
            return self._studio.library.boards.create(self._user, name, pictures).id
        self._studio.library.boards.add(id, pictures, user=self._user)
        return id

    def search(self, wanted: dict[str, Any]) -> Found:
        return self._studio.search.find(user=self._user, **wanted)

    def styles(self) -> list[Style]:
        return self._studio.words.list_styles(self._user)

    def save_style(self, name: str, prompt: str, negative: str) -> None:
        self._studio.words.save_style(self._user, name, prompt, negative)

    def delete_style(self, name: str) -> None:
        self._studio.words.delete_style(self._user, name)

    def wildcards(self) -> list[str]:
        return self._studio.words.list_wildcards(self._user)

    def wildcard(self, name: str) -> list[str]:
        return self._studio.words.read_wildcard(self._user, name)

    def save_wildcard(self, name: str, text: str) -> None:
        self._studio.words.save_wildcard(self._user, name, text)

    def delete_wildcard(self, name: str) -> None:
        self._studio.words.delete_wildcard(self._user, name)

    def settle(self) -> None:
        """Nobody else looks at the pictures of a studio that lives only as long as a command."""
        end = time.monotonic() + QUIET
        while time.monotonic() < end:
            status = self._studio.search.status(self._user)
            if status.embedded >= status.total:
                return
            if self._studio.jobs.list(user=self._user, active=True, hidden=True):
                end = time.monotonic() + QUIET
            tell(f"looking at pictures: {status.embedded}/{status.total}")
            time.sleep(0.5)


class _Remote:
    """The same over REST."""

    def __init__(self, url: str, max_upload_mb: int) -> None:
        from studio.jobs import Job
        from studio.search import Found
        from studio.store.boards import Board
        from studio.store.gallery import Asset
        from studio.store.words import Style

        self._url = f"{url}/api/v1"
        self._max_upload_mb = max_upload_mb
        self._job, self._asset = TypeAdapter(Job), TypeAdapter(Asset)
        self._boards, self._found = TypeAdapter(list[Board]), TypeAdapter(Found)
        self._styles = TypeAdapter(list[Style])

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

    def upload(self, path: Path, purpose: Purpose) -> str:
        from studio.store.library import read_upload

        content = read_upload(path, self._max_upload_mb)  # a server that refuses by size does not listen to the end
        query = urllib.parse.urlencode({"name": printable(path.name), "purpose": purpose})
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

    def styles(self) -> list[Style]:
        return self._styles.validate_json(self._ask("GET", "styles"))

    def save_style(self, name: str, prompt: str, negative: str) -> None:
        self._ask("POST", "styles", {"name": name, "prompt": prompt, "negative": negative})

    def delete_style(self, name: str) -> None:
        self._ask("DELETE", f"styles/{urllib.parse.quote(name, safe='')}")

    def wildcards(self) -> list[str]:
        return json.loads(self._ask("GET", "wildcards"))

    def wildcard(self, name: str) -> list[str]:
        return json.loads(self._ask("GET", f"wildcards/{urllib.parse.quote(name, safe='')}"))["lines"]

    def save_wildcard(self, name: str, text: str) -> None:
        self._ask("POST", "wildcards", {"name": name, "text": text})

    def delete_wildcard(self, name: str) -> None:
        self._ask("DELETE", f"wildcards/{urllib.parse.quote(name, safe='')}")

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
            raise StudioError(f"The running studio answered {error.code}; look at its log.", status=500) from error
        except OSError as error:
            raise StudioError("The running studio does not answer; stop it and start it again.", status=502) from error
