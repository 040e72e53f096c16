"""The commands and their flags: a capability's are made from its request."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

from studio.capability import Capability
from studio.cli import commands, words
from studio.cli.job import run_job
from studio.errors import StudioError
from studio.references import boards, slots
from studio.settings import Settings


class Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong, instead of the usage."""

    def error(self, message: str) -> NoReturn:
        raise StudioError(f"{message[:1].upper()}{message[1:].rstrip('.')}; see {self.prog} --help.")


def build_parser(known: Mapping[str, Capability]) -> argparse.ArgumentParser:
    parser = Parser(prog="python -m studio", description="Creative Studio on the command line.", allow_abbrev=False)
    subs = parser.add_subparsers(required=True, metavar="COMMAND", dest="command", parser_class=Parser)
    known = {name: capability for name, capability in known.items() if not capability.hidden}
    for capability in known.values():
        command = subs.add_parser(
            capability.name, help=capability.summary, description=capability.summary, allow_abbrev=False
        )
        _add_flags(command, capability)
        command.add_argument("--out", default="out", metavar="DIR", help="Folder for the pictures (default: out).")
        command.add_argument("--json", action="store_true", help="Print one JSON object.")
        if capability.makes == "records":
            command.add_argument("--csv", type=Path, metavar="FILE", help="Write the answers as a table.")
        command.set_defaults(run=run_job, capability=capability, csv=None)
    _add_search(subs)
    _add_boards(subs)
    _add_words(subs)
    listing = subs.add_parser("capabilities", help="List what the studio can do.")
    listing.add_argument("--json", action="store_true", help="Names with the JSON schemas of their requests.")
    listing.set_defaults(run=commands.list_capabilities, known=known)
    server = subs.add_parser("serve", help="Start the page and the REST API.")
    for name in ("host", "port", "data_dir"):
        about = f"{Settings.model_fields[name].description} Else STUDIO_{name.upper()}."
        server.add_argument(f"--{name.replace('_', '-')}", dest=name, help=about)
    server.set_defaults(run=commands.run_server)
    verify = subs.add_parser("verify", help="Read the watermark and the settings of a picture file.")
    verify.add_argument("file", type=Path)
    verify.add_argument("--json", action="store_true", help="Print one JSON object.")
    verify.set_defaults(run=commands.verify)
    return parser


def _add_flags(command: argparse.ArgumentParser, capability: Capability) -> None:
    """One flag per field. Values stay text: the Request itself converts and checks them, here as everywhere."""
    pictures, on_boards = slots(capability.request), boards(capability.request)
    for name, field in capability.request.model_fields.items():
        origin = get_origin(field.annotation)
        options: dict[str, Any] = {"dest": f"field:{name}", "default": None}
        options["help"] = (field.description or "").replace("%", "%%")
        shape = pictures[name].shape if name in pictures else ""
        if shape == "many":
            options |= {"action": "extend", "nargs": "+", "metavar": "PATH"}
            options["help"] = "Picture files, clips, folders with all that is in them, or ids."
        elif shape == "one":
            options |= {"metavar": "PATH", "help": f"{options['help']} The command line takes a file."}
        elif shape == "inside":
            options |= {"metavar": "JSON", "help": f"{options['help']} Paths of files may stand in it."}
            options |= {"action": "append"} if origin in (tuple, list) else {}
        elif name in on_boards:
            options |= {"metavar": "NAME", "help": "Name or id of a board: all pictures on it."}
        elif field.annotation is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif origin in (tuple, list):
            options |= {"action": "append", "metavar": "TEXT"}
            options["help"] += " May be given several times."
        else:
            options["metavar"] = _metavar(field.annotation)
        command.add_argument(f"--{name.replace('_', '-')}", **options)


def _add_search(subs: Any) -> None:
    search = subs.add_parser("search", help="Find pictures by what is on them.", allow_abbrev=False)
    search.add_argument("text", nargs="?", default="", help="What is to be seen, in words.")
    search.add_argument(
        "--like", nargs="+", action="extend", default=[], metavar="PATH", help="Files or ids that hits should be like."
    )
    search.add_argument("--unlike", default="", metavar="TEXT", help="What is not to be seen, in words.")
    search.add_argument("--limit", type=int, default=20, metavar="N", help="Number of hits (default: 20).")
    search.add_argument("--model", default="", metavar="TEXT", help="Model id; empty is the model of the search.")
    search.add_argument("--json", action="store_true", help="Print one JSON object.")
    search.set_defaults(run=commands.search)


def _add_boards(subs: Any) -> None:
    group = subs.add_parser("board", help="List boards, or make one of a folder.", allow_abbrev=False)
    actions = group.add_subparsers(required=True, metavar="ACTION", dest="action", parser_class=Parser)
    listing = actions.add_parser("list", help="Names, ids and numbers of pictures.", allow_abbrev=False)
    listing.set_defaults(run=commands.list_boards)
    filling = actions.add_parser(
        "import", help="Hand pictures in and put them on a board; an old one of that name grows.", allow_abbrev=False
    )
    filling.add_argument("paths", nargs="+", metavar="PATH", help="Folders, files or ids.")
    filling.add_argument("--name", default="", metavar="NAME", help="Of the board (default: the first folder's).")
    filling.set_defaults(run=commands.import_board)
    for command in (listing, filling):
        command.add_argument("--json", action="store_true", help="Print JSON.")


def _add_words(subs: Any) -> None:
    for kind, about, run in (
        ("style", "Prompt styles, which a request names with --styles.", words.styles),
        ("wildcard", "Lists of choices, which a prompt names as __name__.", words.wildcards),
    ):
        group = subs.add_parser(kind, help=about, description=about, allow_abbrev=False)
        actions = group.add_subparsers(required=True, metavar="ACTION", dest="action", parser_class=Parser)
        listing = actions.add_parser("list", help="What is kept.", allow_abbrev=False)
        listing.add_argument("--json", action="store_true", help="Print JSON.")
        saving = actions.add_parser("save", help="Keep one, in place of an old one of that name.", allow_abbrev=False)
        removing = actions.add_parser("delete", help="Forget one.", allow_abbrev=False)
        for each in (saving, removing):
            each.add_argument("name")
        if kind == "style":
            saving.add_argument("--prompt", default="", help="Joins the prompt; {prompt} in it is the prompt.")
            saving.add_argument("--negative", default="", help="Joins the negative prompt.")
        else:
            saving.add_argument("file", help="Text file with one choice a line; - reads standard input.")
        for each in (listing, saving, removing):
            each.set_defaults(run=run)


def _metavar(annotation: Any) -> str:
    kinds = set(get_args(annotation)) or {annotation}
    return "N" if kinds & {int, float} else "TEXT"
