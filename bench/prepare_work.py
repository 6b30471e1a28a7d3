"""The work that all preparing systems are timed on: raw Criteo lines to numbers that a network takes. Needs no package.

    read      label, 13 counts (I1-I13), 26 ids of 8 hexadecimal digits (C1-C26); tabs, no header, empty = missing
    split     by order: the first 80 % of the rows train, the next 10 % validate, the last 10 % test
    fit       per id field, the values with at least 4 occurrences in the training rows, by falling count, ties by value
    encode    0 unseen or rare, 1 missing, 2, 3, ... the kept values
    numbers   ln(x)^2 for x > 2, x otherwise
    write     one table per split, rows in order

The programs of the other systems (`bench.peers.prepare_*`) take `--raw FILE --out FOLDER`, the folder being there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

LABEL = "label"
NUMBERS = tuple(f"I{index}" for index in range(1, 14))
IDS = tuple(f"C{index}" for index in range(1, 27))
COLUMNS = (LABEL, *NUMBERS, *IDS)
SEPARATOR = "\t"
MIN_COUNT = 4
UNSEEN_ID, MISSING_ID, FIRST_ID = 0, 1, 2


def spans(rows: int) -> Iterator[tuple[str, int, int]]:
    """Yield (split, its first row, the row after its last) of so many rows in all."""
    edges = (0, rows * 8 // 10, rows * 9 // 10, rows)
    yield from zip(("train", "valid", "test"), edges, edges[1:], strict=False)


def arguments() -> tuple[Path, Path]:
    """The command line of a preparing program: raw file, folder to write into."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    return given.raw, given.out
