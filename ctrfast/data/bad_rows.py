"""How many rows may be bad before preparation stops: a number of rows, or a share of all that were read.

limit = BadRowLimit.parse("0.1%")
guard = BadRowGuard(limit)
guard.add(file, usable_rows, rejected_rows, rejects)         # raises as soon as a number of rows is passed
guard.end()                                                  # raises where a share is passed
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, Self

from ctrfast.data.rejects import REASONS
from ctrfast.errors import ConfigError, DataError

_PATH = "max_bad_rows"
_LIMIT = re.compile(r"([0-9]{1,18})|([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%").fullmatch


class _Rows(Protocol):
    @property
    def lines(self) -> list[int]: ...
    @property
    def reasons(self) -> list[str]: ...


@dataclass(frozen=True)
class BadRowLimit:
    """rows: the most rows that may be bad. share: the same as a share of all rows, 0 to 1. One of them is None."""

    rows: int | None
    share: Fraction | None
    text: str

    @classmethod
    def parse(cls, given: int | str) -> Self:
        """Read a limit such as 100 or 0.1%.

        Raises:
            ConfigError: it is neither a whole number of rows nor a share of 0 to 100 %.
        """
        match = None if isinstance(given, bool) else _LIMIT(str(given).strip())
        share = Fraction(match[2]) / 100 if match and match[2] else None
        if match is None or (share is not None and share > 1):
            raise ConfigError(f"`{_PATH}` must be a number of rows or a share such as 0.1%. Got {given!r}.", path=_PATH)
        return cls(int(match[1]) if match[1] else None, share, match[0])


class BadRowGuard:
    """Counts bad rows against a limit; without one, anything goes."""

    def __init__(self, limit: BadRowLimit | None) -> None:
        self._limit = limit
        self._rows = self._bad = 0
        self.first: str | None = None

    @property
    def bad(self) -> int:
        """Bad rows so far."""
        return self._bad

    def add(self, file: str, usable: int, bad: int, rejects: Callable[[], _Rows]) -> None:
        """Count rows of a file, in order.

        Args:
            file: its name.
            usable: rows that are good.
            bad: rows that are not.
            rejects: gives them; called for the first ones alone.

        Raises:
            DataError: more rows are bad than the limit allows.
        """
        self._rows += usable + bad
        self._bad += bad
        if bad and self.first is None:
            rows = rejects()
            self.first = f"line {rows.lines[0]} of {file}: {REASONS[rows.reasons[0]]}"
        if self._limit and self._limit.rows is not None and self._bad > self._limit.rows:
            self._refuse(" so far")

    def end(self) -> None:
        """All rows were counted.

        Raises:
            DataError: a greater share is bad than the limit allows.
        """
        if self._limit and self._limit.share is not None and self._bad > self._limit.share * self._rows:
            self._refuse("")

    def _refuse(self, when: str) -> None:
        allowed = self._limit.text if self._limit else ""
        raise DataError(
            f"At most {allowed} bad rows are allowed (`{_PATH}`). Got {self._bad:,} of {self._rows:,}{when}; the first "
            f"is {self.first}. Correct them, or raise the limit.",
            path=_PATH,
        )
