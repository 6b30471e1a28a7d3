"""Preparation in duckdb by hand: text -> a table in memory -> one vocabulary per id field -> splits, by 26 joins."""

from __future__ import annotations

from pathlib import Path

import duckdb

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
    types = {LABEL: "TINYINT", **dict.fromkeys(NUMBERS, "INTEGER"), **dict.fromkeys(IDS, "VARCHAR")}
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    ids = ", ".join(f"('0x' || {name})::UINTEGER AS {name}" for name in IDS)
    with duckdb.connect() as database:
        database.execute(
            f"CREATE TABLE clicks AS SELECT {LABEL}, {', '.join(NUMBERS)}, {ids} FROM read_csv('{raw}', header=false, "
            f"delim='{SEPARATOR}', quote='', escape='', nullstr='', auto_detect=false, columns={{{columns}}})"
        )
        (rows,) = database.execute("SELECT count(*) FROM clicks").fetchone()
        train_rows = next(spans(rows))[2]
        for name in IDS:
            database.execute(
                f"CREATE TABLE of_{name} AS SELECT {name} AS value, "
                f"(row_number() OVER (ORDER BY count(*) DESC, {name}) + {FIRST_ID - 1})::INTEGER AS id "
                f"FROM clicks WHERE rowid < {train_rows} AND {name} IS NOT NULL "
                f"GROUP BY {name} HAVING count(*) >= {MIN_COUNT}"
            )
        chosen = ", ".join([LABEL, *map(number, NUMBERS), *map(encoded, IDS)])
        joins = " ".join(f"LEFT JOIN of_{name} ON clicks.{name} = of_{name}.value" for name in IDS)
        for split, start, end in spans(rows):
            database.execute(
                f"COPY (SELECT {chosen} FROM clicks {joins} WHERE clicks.rowid >= {start} AND clicks.rowid < {end}) "
                f"TO '{out / split}.parquet' (FORMAT parquet, COMPRESSION zstd)"
            )


def number(name: str) -> str:
    return f"(CASE WHEN {name} > 2 THEN ln({name}) * ln({name}) ELSE {name} END)::FLOAT AS {name}"


def encoded(name: str) -> str:
    missing = f"WHEN clicks.{name} IS NULL THEN {MISSING_ID}"
    return f"(CASE {missing} ELSE coalesce(of_{name}.id, {UNSEEN_ID}) END)::INTEGER AS {name}"


if __name__ == "__main__":
    prepare(*arguments())
