"""Pictures that a command is given: files, folders, boards or ids, handed in where they are not known yet."""

from __future__ import annotations

import itertools
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studio.capability import Request
from studio.cli.connection import Connection
from studio.cli.terminal import printable, tell
from studio.errors import StudioError
from studio.references import Purpose, Reference, replaced, slots

_ID = re.compile(r"[0-9a-f]{32}")
_ENDS_ALL = (401, 403, 429, 503, 507)
"""What a refusal says that the next file will hear too: not allowed, too busy, no room."""
PATIENCE = 60.0
"""Seconds for which a file is offered again to a studio that is busy."""
_DEAF = 3
"""Files in a row that a studio gives no answer to: it is gone, and the rest need not be tried."""


def find_files(given: Sequence[str], field: str = "pictures") -> list[Path | str]:
    """Files as paths, also those in folders and their folders; ids of pictures as they are."""
    found: list[Path | str] = []
    for each in given:
        path = Path(each)
        if path.is_dir():
            inside = [file for file in sorted(path.rglob("*")) if file.is_file() and not _is_hidden(file, path)]
            if not inside:
                raise StudioError(f"There is no file in the folder {printable(path)}; choose another.", field=field)
            found += inside
        elif path.exists():
            found.append(path)
        elif _ID.fullmatch(each):
            found.append(each)
        else:
            raise StudioError(f"There is no file, folder or picture {printable(each)}; check its path.", field=field)
    return found


def _is_hidden(file: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(below).parts)


class HandingIn:
    """Hands in the files that a request names, and says which ids they got. Files are found before a studio is asked
    for: a path that leads nowhere is refused at once."""

    def __init__(self, kind: type[Request], request: Mapping[str, Any]) -> None:
        self._kind = kind
        self._request = _unfolded(kind, request)
        self._files: dict[Reference, list[Path | str]] = {}
        self._ids: dict[str, list[str]] = {}
        self._done = self._deaf = 0
        self.paths: dict[str, str] = {}
        """Id -> the file it was."""
        self.skipped: list[dict[str, str]] = []
        """{"path", "error"} of each file that was passed over."""
        replaced(self._kind, self._request, self._find)

    def stand_in(self) -> dict[str, Any]:
        """The request with made-up ids, to be checked before anything is handed in."""
        places = itertools.count()
        return replaced(self._kind, self._request, lambda each: [f"{next(places):032x}" for _ in self._files[each]])

    def run(self, studio: Connection) -> dict[str, Any]:
        """The request with the ids of its files. Raises `StudioError` where none of a field's can be read."""
        request = replaced(self._kind, self._request, lambda each: self._hand_in(studio, each))
        tell("")
        for field, ids in self._ids.items():
            if not ids:
                raise StudioError("None of these files could be read; see the reasons above.", field=field)
        return request

    def _find(self, reference: Reference) -> list[str]:
        found = find_files([reference.id], reference.field)
        alone = not isinstance(reference.path[-1], int)
        if alone and len(found) != 1:
            raise StudioError(f"{printable(reference.id)} is a folder; name one file in it.", field=reference.field)
        self._files[reference] = found
        return [reference.id]

    def _hand_in(self, studio: Connection, reference: Reference) -> list[str]:
        ids = self._ids.setdefault(reference.field, [])
        before = len(ids)
        for file in self._files[reference]:
            if isinstance(file, str):
                ids.append(file)
                continue
            self._done += 1
            tell(f"handing in {self._done}/{sum(map(len, self._files.values()))}")
            try:
                id = _upload(studio, file, reference.purpose)
            except StudioError as error:
                self._deaf = self._deaf + 1 if error.status == 502 else 0
                if error.status in _ENDS_ALL or self._deaf == _DEAF:
                    raise
                self._skip(file, error.message)
                continue
            except Exception as error:  # whatever one file does, the others are handed in
                self._skip(file, f"It cannot be handed in ({type(error).__name__}); export it again.")
                continue
            self._deaf = 0
            if id in ids:
                self._skip(file, f"It is the same picture as {self.paths.get(id, id)}.")
            else:
                ids.append(id)
                self.paths[id] = printable(file)
        return ids[before:]

    def _skip(self, path: Path, reason: str) -> None:
        self.skipped.append({"path": printable(path), "error": reason})
        print(f"Skipped {printable(path)}: {reason}", file=sys.stderr)


def _upload(studio: Connection, file: Path, purpose: Purpose) -> str:
    """Waits where the studio is busy with the files of others."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return studio.upload(file, purpose)
        except StudioError as error:
            if error.status != 503 or time.monotonic() > end:
                raise
            time.sleep(1)


def _unfolded(kind: type[Request], request: Mapping[str, Any]) -> dict[str, Any]:
    """``request`` with the JSON of its nested fields read."""
    found = dict(request)
    for name, slot in slots(kind).items():
        given = found.get(name)
        if slot.shape != "inside" or given is None:
            continue
        try:
            found[name] = [json.loads(each) for each in given] if isinstance(given, list) else json.loads(given)
        except ValueError:
            raise StudioError(
                f"'{name}' must be JSON on the command line; paths of files may stand in it.", field=name
            ) from None
    return found


def board_id(studio: Connection, wanted: str) -> str:
    boards = studio.boards()
    for board in boards:
        if wanted in (board.id, board.name):
            return board.id
    known = ", ".join(board.name for board in boards) or "none yet; make one with 'board import'"
    raise StudioError(f"There is no board '{wanted[:80]}'; there is: {known}.", field="board")
