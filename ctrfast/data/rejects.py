"""Rows that cannot be used: kept with file, line and reason, or refused at once.

`RejectWriter` keeps them in a parquet file beside the dataset, so that rows in = rows out + rejected.
`RefuseRejects` is for scoring, where each row in must have its score out: the first bad row is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.data.sources import Source
from ctrfast.errors import DataError

# The closed list of reasons. Order matters: a row gets the first reason that fits.
REASONS: dict[str, str] = {
    "too_long": "a value is longer than 4096 bytes, or a list than 65536",
    "encoding": "the line is not UTF-8",
    "carriage_return": "a carriage return stands inside the line",
    "quote": "a quoted value is not opened or closed properly",
    "columns": "the number of columns is wrong",
    "label": "the label is neither 0 nor 1",
    "number": "a numeric field holds no finite decimal number",
    "time": "a time does not fit the schema's format",
    "split": "the split column holds neither train, valid nor test",
}
TEXT_CHARACTERS = 1000  # of a rejected line that are kept
_SCHEMA = pa.schema([("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("text", pa.string())])
_BUFFER_ROWS = 10_000


class RejectSink(Protocol):
    """Takes the rejected rows of a file, in the order of their lines."""

    def add(self, file: Source, lines: Sequence[int], reasons: Sequence[str], texts: Sequence[bytes]) -> None:
        """Take rows: line numbers from 1, codes from `REASONS`, raw lines without their newline."""


class RejectWriter:
    """Keeps rejected rows in a parquet file: file name, line, reason, text. Use as a context manager.

    Attributes:
        counts: rows so far, per reason.
    """

    def __init__(self, path: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._writer = pq.ParquetWriter(path, _SCHEMA)
        self._rows: list[tuple[str, int, str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._flush()
        self._writer.close()

    def add(self, file: Source, lines: Sequence[int], reasons: Sequence[str], texts: Sequence[bytes]) -> None:
        """Keep rows (see `RejectSink`)."""
        self.counts.update(reasons)
        for line, reason, text in zip(lines, reasons, texts, strict=True):
            self._rows.append((file.name, line, reason, readable(text)))
        if len(self._rows) >= _BUFFER_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = [list(column) for column in zip(*self._rows, strict=True)]
            self._writer.write_table(pa.table(columns, schema=_SCHEMA))
            self._rows.clear()


class RefuseRejects:
    """Turns the first bad row into a DataError that names file, line and reason."""

    def add(self, file: Source, lines: Sequence[int], reasons: Sequence[str], texts: Sequence[bytes]) -> None:
        """Raise DataError (see `RejectSink`)."""
        if lines:
            raise DataError(
                f"Every row must be usable here. Line {lines[0]} of {file} is not: {REASONS[reasons[0]]}. "
                f"Correct or remove it. It reads {readable(texts[0])[:200]!r}."
            )


def readable(text: bytes) -> str:
    """Give the start of a raw line as text; bytes that are not UTF-8 become replacement characters."""
    return text[: 4 * TEXT_CHARACTERS].decode("utf-8", errors="replace")[:TEXT_CHARACTERS]
