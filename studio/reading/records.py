"""Records of jobs as a table that a spreadsheet opens and does not execute."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_FORMULA = re.compile("(^|[;|\t\r\n])([ \t\r\n]*)(?=[=+\\-@\uff1d\uff0b\uff0d\uff20])|^(?=[\t\r\n])")
"""Where a spreadsheet would take what follows for a formula: at the start of a cell, and after what cells are split at
where the comma is not (the semicolon in much of Europe). The last four are the full-width forms."""


def to_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """RFC 4180 with one header line: nested values get columns such as ``labels.1.label``, lists count from 1.

    UTF-8 with a byte order mark, without which Excel reads names as Windows-1252. Columns stand in the order in which
    they first occur. Text is quoted; pictures inside records (data URIs) are left out. Text that a spreadsheet would
    run as a formula gets an apostrophe in front of it, column names included.
    """
    flat = [dict(_flatten(row)) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([_cell(name) for name in columns])
    writer.writerows([_cell(row.get(name)) for name in columns] for row in flat)
    return buffer.getvalue().encode("utf-8-sig")


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inside in value.items():
            yield from _flatten(inside, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for place, inside in enumerate(value, start=1):
            yield from _flatten(inside, f"{path}.{place}" if path else str(place))
    elif not (isinstance(value, str) and value.startswith("data:image/")):
        yield path, value


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _FORMULA.sub(r"\1'\2", value) if isinstance(value, str) else value
