"""Preparation in polars by hand, streaming from file to file: text -> a parquet copy with ids as numbers -> the splits.

The copy is read once per id field (one column each) to count its values, and once per split.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from bench.prepare_work import (
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


def prepare(raw: Path, out: Path) -> None:
    schema = {LABEL: pl.Int8, **dict.fromkeys(NUMBERS, pl.Int32), **dict.fromkeys(IDS, pl.String)}
    text = pl.scan_csv(raw, separator=SEPARATOR, has_header=False, quote_char=None, schema=schema)
    copy = out / "copy.parquet"
    ids = pl.col(IDS).str.to_integer(base=16, dtype=pl.UInt32)
    text.with_columns(ids).sink_parquet(copy, compression="lz4", statistics=False)
    rows = pl.scan_parquet(copy).select(pl.len()).collect().item()
    train_rows = next(spans(rows))[2]
    columns = [*map(number, NUMBERS), *(encoded(name, vocabulary(copy, name, train_rows)) for name in IDS)]
    for split, start, end in spans(rows):
        table = pl.scan_parquet(copy).slice(start, end - start).with_columns(columns)
        table.sink_parquet(out / f"{split}.parquet", engine="streaming")
    copy.unlink()


def vocabulary(copy: Path, name: str, train_rows: int) -> pl.Series:
    """The kept values of a field, in the order of their ids."""
    train = pl.scan_parquet(copy).select(name).head(train_rows).drop_nulls()
    kept = train.group_by(name).len().filter(pl.col("len") >= MIN_COUNT)
    return kept.sort(["len", name], descending=[True, False]).collect(engine="streaming")[name]


def encoded(name: str, values: pl.Series) -> pl.Expr:
    ids = pl.int_range(FIRST_ID, FIRST_ID + len(values), dtype=pl.Int32, eager=True)
    kept = pl.col(name).replace_strict(values, ids, default=UNSEEN_ID, return_dtype=pl.Int32)
    return pl.when(pl.col(name).is_null()).then(pl.lit(MISSING_ID, pl.Int32)).otherwise(kept).alias(name)


def number(name: str) -> pl.Expr:
    x = pl.col(name)
    return pl.when(x > 2).then(x.log() ** 2).otherwise(x).cast(pl.Float32).alias(name)


if __name__ == "__main__":
    prepare(*arguments())
