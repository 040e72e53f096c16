"""Every command but the capabilities' own."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from studio.capability import Capability, PicturesRequest
from studio.cli.connection import Caller, connect, running_server
from studio.cli.handing_in import HandingIn
from studio.cli.settings import settings_of
from studio.cli.terminal import printable, tell
from studio.errors import StudioError
from studio.server import serve

PATIENCE = 120.0
"""Seconds for which a search is asked again while the studio is busy."""


def run_server(arguments: argparse.Namespace, caller: Caller) -> int:
    settings = settings_of(host=arguments.host, port=arguments.port, data_dir=arguments.data_dir)
    return serve(settings, user=caller.user, capabilities=caller.capabilities)


def list_capabilities(arguments: argparse.Namespace, _: Caller) -> int:
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


def verify(arguments: argparse.Namespace, _: Caller) -> int:
    """0 when the file carries a watermark or settings, 1 when it carries neither."""
    from studio.media.images import open_image
    from studio.media.parameters import read_settings

    image, found = open_image(arguments.file), read_settings(arguments.file)
    from studio.trust import read_watermark

    key = read_watermark(image)
    parameters = found.values if found else None
    lost = list(found.losses) if found else []
    file = printable(arguments.file)
    if arguments.json:
        made_by = found.tool if found else None
        told = {"made_by": made_by, "parameters": parameters, "unused": [asdict(each) for each in lost]}
        print(json.dumps({"file": file, "watermark": key} | told))
    else:
        stamp = (parameters or {}).get("watermark")
        written = stamp.get("key") if isinstance(stamp, dict) else None
        agreement = (
            "" if not (key and written) else " (as its settings say)" if key == written else " (NOT its settings')"
        )
        print(f"watermark: {key}{agreement}" if key else "watermark: none found")
        if found:
            print(f"made by: {found.tool}")
        for name, value in (parameters or {"settings": "none found"}).items():
            print(f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
        for each in lost:
            print(f"unused: {each.field}{f' ({each.said})' if each.said else ''}: {each.why}")
    return 0 if key or parameters else 1


def list_boards(arguments: argparse.Namespace, caller: Caller) -> int:
    settings = settings_of()
    with connect(running_server(settings), settings, caller) as studio:
        boards = studio.boards()
    if arguments.json:
        print(json.dumps([{"id": board.id, "name": board.name, "count": board.count} for board in boards]))
    else:
        for board in boards:
            print(f"{board.id}  {board.count:6} picture(s)  {board.name}")
    return 0


def import_board(arguments: argparse.Namespace, caller: Caller) -> int:
    handing = HandingIn(PicturesRequest, {"pictures": arguments.paths})
    name = " ".join(arguments.name.split()) or next(
        (Path(each).resolve().name for each in arguments.paths if Path(each).is_dir()), ""
    )
    if not name:
        raise StudioError("The board needs a name; give it with --name.", field="name")
    settings = settings_of()
    with connect(running_server(settings), settings, caller) as studio:
        ids = handing.run(studio)["pictures"]
        known = next((board.id for board in studio.boards() if board.name == name), "")
        for start in range(0, len(ids), 5000):  # as many as one request takes
            known = studio.fill_board(known, name, ids[start : start + 5000])
        board = next(board for board in studio.boards() if board.id == known)
    if arguments.json:
        print(json.dumps({"id": board.id, "name": board.name, "count": board.count, "skipped": handing.skipped}))
    else:
        print(f"{board.id}  {board.count} picture(s)  {board.name}")
    return 0


def search(arguments: argparse.Namespace, caller: Caller) -> int:
    handing = HandingIn(PicturesRequest, {"pictures": arguments.like})
    if not (arguments.text.strip() or arguments.unlike.strip() or arguments.like):
        raise StudioError("Say what to look for: some words, or pictures after --like.")
    settings = settings_of()
    with connect(running_server(settings), settings, caller) as studio:
        wanted = {
            "text": arguments.text,
            "like": handing.run(studio)["pictures"],
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
                tell("waiting for the studio")
                time.sleep(1)
        tell("")
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
