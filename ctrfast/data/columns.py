"""Columns of fixed width in files of their own, rows in order: written field by field, read by rows.

columns = ColumnFiles(folder, {"label": np.int8, "C1": np.int32})
columns.write("C1", blocks_of_ids)
columns.read("C1", first=65_536, rows=1_000)

A column of lists has its values one after the other, and the place where each row's end in a file beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.cells import to_arrow
from ctrfast.folders import whole_file


class ColumnFiles:
    """A folder of columns. types: of each one by name, in the order of the dataset. lists: those of lists."""

    def __init__(self, folder: Path, types: Mapping[str, npt.DTypeLike], lists: Collection[str] = ()) -> None:
        self._folder = folder
        self.lists = frozenset(lists)
        self.types = {name: np.dtype(kind) for name, kind in types.items()}
        folder.mkdir(parents=True, exist_ok=True)

    def has(self, name: str) -> bool:
        """Whether a column is there, whole."""
        return self._file(name).is_file()

    def write(self, name: str, parts: Iterable[npt.NDArray[Any]]) -> None:
        """Write a column from its parts; it appears when it is whole."""
        _write(self._file(name), (part.astype(self.types[name], copy=False) for part in parts))

    def write_counts(self, name: str, parts: Iterable[npt.NDArray[np.int64]]) -> None:
        """Write how many values each row of a column of lists has."""
        _write(self._ends(name), _running_sums(parts))

    def read(self, name: str, first: int, rows: int) -> npt.NDArray[Any]:
        """(rows,) values from row `first` on, fewer at the end."""
        kind = self.types[name]
        return np.fromfile(self._file(name), kind, count=rows, offset=first * kind.itemsize)

    def read_lists(self, name: str, first: int, rows: int) -> pa.Array:
        """(rows,) lists from row `first` on, fewer at the end."""
        ends = np.fromfile(self._ends(name), np.int64, count=rows + 1, offset=first * 8)  # the first is a start
        values = self.read(name, int(ends[0]), int(ends[-1] - ends[0]))
        return pa.ListArray.from_arrays(to_arrow((ends - ends[0]).astype(np.int32)), to_arrow(values))

    def _file(self, name: str) -> Path:
        return self._folder / f"{list(self.types).index(name):05}.column"  # a field's name may hold anything

    def _ends(self, name: str) -> Path:
        return self._file(name).with_suffix(".ends")


def _write(path: Path, parts: Iterable[npt.NDArray[Any]]) -> None:
    with whole_file(path) as partial, partial.open("wb") as file:
        for part in parts:
            part.tofile(file)


def _running_sums(parts: Iterable[npt.NDArray[np.int64]]) -> Iterator[npt.NDArray[np.int64]]:
    """0, then the sum of all numbers up to each."""
    total = np.zeros(1, np.int64)
    yield total
    for part in parts:
        sums = np.cumsum(part) + total
        total = sums[-1:] if len(sums) else total
        yield sums
