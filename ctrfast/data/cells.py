"""Cells of a column: texts in one buffer, and what a single one means.

A number is decimal text, `-12`, `3.5`, `1e-3`, finite and within float32. No spaces, no hexadecimal, no `nan`.
Whole columns follow the same rules: `ctrfast.data.numbers`, `ctrfast.data.keys`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.schema import IdField

LONGEST_VALUE = 4096  # bytes; an id of that length is a broken file, not an id

_COPIED_BYTES = 2**18
LARGEST = float(np.finfo(np.float32).max)
_IS_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?").fullmatch

_SATURDAY = 5
_TIME_PARTS: dict[str, Callable[[datetime], int]] = {
    "hour_of_day": lambda time: time.hour,
    "weekday": lambda time: time.weekday(),
    "day_of_month": lambda time: time.day,
    "month": lambda time: time.month,
    "is_weekend": lambda time: int(time.weekday() >= _SATURDAY),
}

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cells:
    """R texts. text: bytes of all; starts, ends: (R,) where each one lies. An empty one is missing."""

    text: Bytes
    starts: Places
    ends: Places

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: npt.NDArray[np.generic] | slice) -> Cells:
        """The cells of some rows."""
        return Cells(self.text, self.starts[rows], self.ends[rows])

    @classmethod
    def of(cls, column: pa.Array) -> Self:
        """Cells of an arrow column: text, dictionary of text, or numbers (the shortest text that reads back)."""
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        if pa.types.is_floating(column.type):
            column = column.cast(pa.float64())
        if not pa.types.is_large_string(column.type):
            column = column.cast(pa.large_string())
        validity, offsets, data = column.buffers()
        ends = np.frombuffer(offsets, np.int64, len(column) + 1 + column.offset)[column.offset :]
        text = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
        starts, ends = ends[:-1].copy(), ends[1:].copy()
        if column.null_count:
            bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
            ends = np.where(bits[column.offset : column.offset + len(column)], ends, starts)
        return cls(text.copy(), starts, ends)

    def to_arrow(self) -> pa.Array:
        """Text column (R,), null where missing. The bytes must be UTF-8."""
        lengths = self.ends - self.starts
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        text = np.empty(offsets[-1], np.uint8)
        # A part at a time: the index of a byte takes eight. The last row of a part ends in it or beyond.
        edges = np.searchsorted(offsets, np.arange(_COPIED_BYTES, offsets[-1], _COPIED_BYTES))
        for first, last in itertools.pairwise(np.unique([0, *edges, len(self)]).tolist()):
            # The bytes of cell r lie at starts[r] + 0, 1, ...: a running index, shifted anew at the start of each cell.
            shifts = np.repeat(self.starts[first:last] - offsets[first:last], lengths[first:last])
            text[offsets[first] : offsets[last]] = self.text[np.arange(offsets[first], offsets[last]) + shifts]
        present = np.packbits(lengths > 0, bitorder="little")
        buffers = [pa.py_buffer(values) for values in (present, offsets, text)]
        return pa.Array.from_buffers(pa.large_string(), len(self), buffers).cast(pa.string())


def is_text_type(kind: pa.DataType) -> bool:
    """Whether an arrow column holds text; its dictionary decoded."""
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_id_type(kind: pa.DataType) -> bool:
    """Whether an id field can be made from such a column: of text, whole numbers, or nothing."""
    return bool(is_text_type(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind))


def is_number_type(kind: pa.DataType) -> bool:
    """Whether numbers can be made from such a column, and so a numeric field or buckets."""
    return is_id_type(kind) or bool(pa.types.is_floating(kind))


def to_arrow(values: npt.NDArray[np.generic]) -> pa.Array:
    """Numbers (R,) as an arrow column, without a copy. Arrow's own ways, both to and fro, load pandas first."""
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def from_arrow(column: pa.Array, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """Numbers (R,) of an arrow column of that type without nulls, without a copy."""
    return np.frombuffer(column.buffers()[1], kind, len(column), offset=column.offset * np.dtype(kind).itemsize)


def parse_number(text: str) -> float | None:
    """One number from text; None where it is none."""
    if _IS_NUMBER(text) is None:
        return None
    value = float(text)
    return value if abs(value) <= LARGEST else None


def time_part(text: str, field: IdField) -> str | None:
    """The field's part of a time, as `IdField` says; None where the text does not fit the format."""
    return _time_part(text, field.time_format or "", field.part or "")


@lru_cache(maxsize=65536)
def _time_part(text: str, time_format: str, part: str) -> str | None:
    try:
        time = datetime.strptime(text, time_format)
    except ValueError:
        return None
    return str(_TIME_PARTS[part](time))
