"""Settings as a command reads them."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from studio.errors import refusal
from studio.settings import Settings


def settings_of(**changes: Any) -> Settings:
    """From the environment and flags. Raises `StudioError` naming the variable at fault."""
    try:
        return Settings(**{name: value for name, value in changes.items() if value is not None})
    except ValidationError as error:
        rows = [{**row, "loc": tuple(f"STUDIO_{str(part).upper()}" for part in row["loc"])} for row in error.errors()]
        raise refusal(rows) from error
