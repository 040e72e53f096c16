"""``python -m studio``: every capability as a command, its flags made from its Request; `serve` starts the page.

A command uses the studio that runs on the same data folder when there is one, else it starts its own for the moment.
Where a request names pictures, a command takes files and folders and hands them in.
Exit codes: 0 done, 1 the job failed, 2 bad input (one sentence on stderr), 130 Ctrl+C (the job is cancelled).
"""

from __future__ import annotations

from collections.abc import Sequence

from studio.cli.terminal import complain
from studio.errors import StudioError

LOCAL_USER = "local"
"""Owner of everything, until there are accounts."""


def main(
    argv: Sequence[str] | None = None, *, capabilities: str = "studio.capabilities:ALL", user: str = LOCAL_USER
) -> int:
    """Run one command and return its exit code. ``capabilities`` is a ``package.module:NAME``, as `Studio` takes it."""
    try:
        from studio.cli.connection import Caller
        from studio.cli.flags import build_parser
        from studio.worker import find_capabilities

        parser = build_parser({each.name: each for each in find_capabilities(capabilities)})
        arguments = parser.parse_args(argv)
        return arguments.run(arguments, Caller(user, capabilities))
    except StudioError as error:
        return complain(error.message)
    except KeyboardInterrupt:
        complain("Stopped.")
        return 130
