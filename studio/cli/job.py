"""Running one capability: its files handed in, its progress shown, what it made written down."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from studio.capability import Capability
from studio.cli.connection import Caller, Connection, connect, running_server
from studio.cli.handing_in import HandingIn, board_id
from studio.cli.settings import settings_of
from studio.cli.terminal import complain, follow, line_of, output_folder, write_whole
from studio.errors import refusal
from studio.references import boards


def run_job(arguments: argparse.Namespace, caller: Caller) -> int:
    request = {
        name.removeprefix("field:"): value
        for name, value in vars(arguments).items()
        if name.startswith("field:") and value is not None
    }
    capability: Capability = arguments.capability
    settings = settings_of()
    answers = capability.makes == "records"
    named = {name: request[name] for name in boards(capability.request) if name in request}
    handing = HandingIn(capability.request, request)
    # Ids are known only once the files are handed in; a refusal need not wait for that, nor for a studio to start.
    try:
        asked = capability.request.model_validate({**handing.stand_in(), **dict.fromkeys(named, "board")})
    except ValidationError as error:
        raise refusal(error.errors()) from error
    folder = Path(arguments.out) if answers else output_folder(Path(arguments.out))
    server = running_server(settings)
    if server is None and not named:
        from studio.models.catalog import Catalog

        capability.prepare(asked, Catalog(settings))
    with connect(server, settings, caller) as studio:
        request = handing.run(studio) | {name: board_id(studio, board) for name, board in named.items()}
        job = studio.submit(capability.name, request)
        try:
            job = follow(job, studio.events(job.id))
        except KeyboardInterrupt:
            studio.cancel(job.id)
            raise
        if job.status != "done":
            return complain(job.error or "The job was cancelled by someone else; run the command again.", code=1)
        if job.asset_ids:
            output_folder(folder)
        images = [_fetch(studio, id, folder) for id in job.asset_ids]
        results = studio.results(job.id) if job.results else []
    for record in results:
        about = record.get("pictures") or [record.get("picture") or record.get("clip")]
        if here := [handing.paths[id] for id in about if id in handing.paths]:
            record["path"] = ", ".join(here)
    if arguments.csv:
        from studio.reading.records import to_csv

        write_whole(arguments.csv, to_csv(results), flag="--csv", kept=f"the answers are safe in job {job.id}")
    for note in job.notes:
        print(f"Note: {note}", file=sys.stderr)
    seconds = round(job.seconds or 0.0, 3)
    if arguments.json:
        told = {"job": job.id, "model": job.family, "seconds": seconds, "images": images}
        print(json.dumps(told | {"results": results, "skipped": handing.skipped} if answers else told))
    else:
        for image in images:
            print(f"{image['path']}  seed {image['seed']}  {image['width']} x {image['height']}")
        for record in results:
            print(line_of(record))
        made = f"{len(images)} picture(s)" if images or not answers else f"{len(results)} answer(s)"
        print(f"{made} by {job.family} in {seconds:.1f} s")
    return 0


def _fetch(studio: Connection, id: str, folder: Path) -> dict[str, Any]:
    asset = studio.asset(id)
    path = folder / f"{asset.capability}-{asset.seed}-{asset.id[:8]}.png"
    write_whole(path, studio.picture(id), flag="--out", kept="the picture itself is safe in the gallery")
    return {"path": str(path), "seed": asset.seed, "width": asset.width, "height": asset.height}
