"""Pictures that a command is given: files, folders, boards or ids, handed in where they are not known yet."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from studio.cli.connection import Connection
from studio.cli.terminal import tell
from studio.errors import StudioError

PICTURES = {"pictures": "board", "others": "other_board"}
"""Fields of a `PicturesRequest` that name pictures, with the field for a board of them."""
_ID = re.compile(r"[0-9a-f]{32}")


def find_files(given: Sequence[str]) -> list[Path | str]:
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


def hand_in(
    studio: Connection, files: Sequence[Path | str], paths: dict[str, str], skipped: list[dict[str, str]]
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
        tell(f"handing in {place}/{len(files)}")
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
    tell("")
    if not ids:
        raise StudioError("None of these files could be read; see the reasons above.", field="pictures")
    return ids


def board_id(studio: Connection, wanted: str) -> str:
    boards = studio.boards()
    for board in boards:
        if wanted in (board.id, board.name):
            return board.id
    known = ", ".join(board.name for board in boards) or "none yet; make one with 'board import'"
    raise StudioError(f"There is no board '{wanted[:80]}'; there is: {known}.", field="board")
