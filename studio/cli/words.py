"""Commands about the words a user keeps: prompt styles and wildcard lists."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from studio.cli.connection import Caller, connect, running_server
from studio.cli.settings import settings_of
from studio.errors import StudioError


def styles(arguments: argparse.Namespace, caller: Caller) -> int:
    settings = settings_of()
    with connect(running_server(settings), settings, caller) as studio:
        if arguments.action == "save":
            studio.save_style(arguments.name, arguments.prompt, arguments.negative)
            return 0
        kept = studio.styles()
        if arguments.action == "delete":
            _known(arguments.name, [style.name for style in kept], "style")
            studio.delete_style(arguments.name)
            return 0
    if arguments.json:
        print(json.dumps([asdict(style) for style in kept]))
    else:
        for style in kept:
            print(f"{style.name}: {style.prompt}" + (f" / not: {style.negative}" if style.negative else ""))
    return 0


def wildcards(arguments: argparse.Namespace, caller: Caller) -> int:
    text = _read(arguments.file) if arguments.action == "save" else ""
    settings = settings_of()
    with connect(running_server(settings), settings, caller) as studio:
        if arguments.action == "save":
            studio.save_wildcard(arguments.name, text)
            return 0
        names = studio.wildcards()
        if arguments.action == "delete":
            _known(arguments.name, names, "wildcard list")
            studio.delete_wildcard(arguments.name)
            return 0
        kept = {name: studio.wildcard(name) for name in names}
    if arguments.json:
        print(json.dumps([{"name": name, "lines": lines} for name, lines in kept.items()]))
    else:
        for name, lines in kept.items():
            print(f"__{name}__  {len(lines):6} choice(s)")
    return 0


def _known(name: str, names: list[str], what: str) -> None:
    if name not in names:
        raise StudioError(
            f"There is no {what} '{name[:80]}'; there is: {', '.join(names) or 'none yet'}.", field="name"
        )


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise StudioError(f"{file} cannot be read ({reason}); check it.", field="file") from error
