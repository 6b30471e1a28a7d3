"""Preparation in pyarrow and numpy by hand, in memory: ids as numbers, sorted to be counted, found by bisection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from bench.prepare_work import (
    COLUMNS,
    FIRST_ID,
    IDS,
    LABEL,
    MIN_COUNT,
    MISSING_ID,
    NUMBERS,
    SEPARATOR,
    UNSEEN_ID,
    arguments,
    spans,
)

_DIGITS = np.zeros(256, np.uint8)  # value of a hexadecimal digit, by its character
_DIGITS[list(b"0123456789abcdef")] = np.arange(16)
_ABSENT = "00000000"


def prepare(raw: Path, out: Path) -> None:
    types = {LABEL: pa.int8(), **dict.fromkeys(NUMBERS, pa.float32()), **dict.fromkeys(IDS, pa.string())}
    table = pyarrow.csv.read_csv(
        raw,
        read_options=pyarrow.csv.ReadOptions(column_names=list(COLUMNS)),
        parse_options=pyarrow.csv.ParseOptions(delimiter=SEPARATOR, quote_char=False),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
    )
    train_rows = next(spans(table.num_rows))[2]
    for name in NUMBERS:
        table = _replaced(table, name, _number(table[name]))
    for name in IDS:
        table = _replaced(table, name, _encoded(table[name], train_rows))
    for split, start, end in spans(table.num_rows):
        pq.write_table(table.slice(start, end - start), out / f"{split}.parquet", compression="zstd")


def _replaced(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _number(column: pa.ChunkedArray) -> pa.Array:
    x = column.to_numpy()  # (R,) float32, NaN where missing
    return pa.array(np.where(x > 2, np.log(np.maximum(x, 1)) ** 2, x), from_pandas=True)


def _encoded(column: pa.ChunkedArray, train_rows: int) -> pa.Array:
    missing = column.is_null().to_numpy()
    values = np.concatenate([_numbers_of(chunk) for chunk in column.chunks])
    train = values[:train_rows][~missing[:train_rows]]
    distinct, counts = np.unique(train, return_counts=True)
    distinct, counts = distinct[counts >= MIN_COUNT], counts[counts >= MIN_COUNT]
    if not len(distinct):
        return pa.array(np.where(missing, MISSING_ID, UNSEEN_ID).astype(np.int32))
    ids = np.empty(len(distinct), np.int32)
    ids[np.argsort(-counts, kind="stable")] = np.arange(FIRST_ID, FIRST_ID + len(distinct))
    place = np.minimum(np.searchsorted(distinct, values), len(distinct) - 1)
    encoded = np.where(distinct[place] == values, ids[place], np.int32(UNSEEN_ID))
    encoded[missing] = MISSING_ID
    return pa.array(encoded)


def _numbers_of(texts: pa.Array) -> npt.NDArray[np.uint32]:
    """(R,) numbers of texts of 8 hexadecimal digits."""
    filled = texts.fill_null(_ABSENT)
    digits = np.frombuffer(filled.buffers()[2], np.uint8, 8 * len(filled), 8 * filled.offset)
    halves = _DIGITS[digits]
    return (halves[0::2] << 4 | halves[1::2]).view(">u4").astype(np.uint32)


if __name__ == "__main__":
    prepare(*arguments())
