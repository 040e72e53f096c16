"""Pictures that a command is given: files, folders, boards or ids, handed in where they are not known yet."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studio.capability import Request
from studio.cli.connection import Connection
from studio.cli.terminal import tell
from studio.errors import StudioError
from studio.references import Reference, replaced, slots

_ID = re.compile(r"[0-9a-f]{32}")


def find_files(given: Sequence[str], field: str = "pictures") -> list[Path | str]:
    """Files as paths, also those in folders and their folders; ids of pictures as they are."""
    found: list[Path | str] = []
    for each in given:
        path = Path(each)
        if path.is_dir():
            inside = [file for file in sorted(path.rglob("*")) if file.is_file() and not _is_hidden(file, path)]
            if not inside:
                raise StudioError(f"There is no file in the folder {path}; choose another.", field=field)
            found += inside
        elif path.exists():
            found.append(path)
        elif _ID.fullmatch(each):
            found.append(each)
        else:
            raise StudioError(f"There is no file, folder or picture {each}; check its path.", field=field)
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
        self._done = 0
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
            raise StudioError(f"{reference.id} is a folder; name one file in it.", field=reference.field)
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
                id = studio.upload(file, reference.purpose)
            except StudioError as error:
                if error.status not in (413, 422):
                    raise
                self._skip(file, error.message)
                continue
            if id in ids:
                self._skip(file, f"It is the same picture as {self.paths.get(id, id)}.")
            else:
                ids.append(id)
                self.paths[id] = str(file)
        return ids[before:]

    def _skip(self, path: Path, reason: str) -> None:
        self.skipped.append({"path": str(path), "error": reason})
        print(f"Skipped {path}: {reason}", file=sys.stderr)


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
