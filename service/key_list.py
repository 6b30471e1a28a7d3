"""Keys as text at the terminal: a list of them, and how long one is good."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Iterator, Sequence

from service.tables import ApiKeyRow

_UNITS = {"m": 60, "h": 3600, "d": 86_400}
_LONGEST_S = 100 * 366 * 86_400
_DURATION = re.compile(r"([1-9][0-9]{0,6})([mhd])")


def seconds_of(text: str) -> int:
    """`45m`, `12h` or `30d` in seconds. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    seconds = int(found.group(1)) * _UNITS[found.group(2)] if found else 0
    if not 0 < seconds <= _LONGEST_S:
        raise ValueError(f"A duration is a number with m, h or d, as 30d, up to a hundred years. Got {text[:64]!r}.")
    return seconds


def key_lines(rows: Sequence[ApiKeyRow]) -> Iterator[str]:
    """One line for each key under a line of titles, columns in line."""
    table: list[tuple[str, ...]] = [("ID", "NAME", "PROJECT", "STATE", "CREATED", "EXPIRES", "LAST USE", "SCOPES")]
    now = time.time()
    for row in rows:
        times = (_day(at) for at in (row.created_at, row.expires_at, row.last_used_at))
        table.append((row.id, row.name, row.project, _state(row, now), *times, row.scopes))
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _state(row: ApiKeyRow, now: float) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= now else "good"


def _day(at: float | None) -> str:
    return "-" if at is None else f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%d %H:%M}"
