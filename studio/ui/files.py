"""The page's own files, under an address that changes with their content, so that a browser may keep them for good."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_FOR_GOOD = "public, max-age=31536000, immutable"


class VersionedFiles(StaticFiles):
    """``<version>/<path>`` is ``<path>`` of ``folder``; what a script imports has the version that it has itself."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
        self.version = digest.hexdigest()[:12]

    def get_path(self, scope: Scope) -> str:
        version, _, path = super().get_path(scope).replace("\\", "/").partition("/")
        scope["studio.version"] = version
        return path

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        current = scope.get("studio.version") == self.version
        response.headers["Cache-Control"] = _FOR_GOOD if current else "no-cache"
        return response

    def tags(self, script: str) -> str:
        """For the page's head: style sheets, ``script`` (before any module) and the scripts, relative to the page."""
        at = f"ui/{self.version}"
        assert isinstance(self.directory, Path)
        sheets = sorted(path.name for path in self.directory.glob("*.css"))
        styles = "".join(f'<link rel="stylesheet" href="{at}/{name}">' for name in sheets)
        return f'{styles}<script>{script}</script><script type="module" src="{at}/main.js"></script>'


def script_json(value: Any) -> str:
    """JSON that may stand inside a ``<script>``."""
    return json.dumps(value).replace("<", "\\u003c")
