"""Columns of fixed width in files of their own, rows in order: written field by field, read by rows.

columns = ColumnFiles(folder, {"label": np.int8, "C1": np.int32})
columns.write("C1", blocks_of_ids)
columns.read("C1", first=65_536, rows=1_000)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class ColumnFiles:
    """A folder of columns. types: of each one by name, in the order of the dataset."""

    def __init__(self, folder: Path, types: Mapping[str, npt.DTypeLike]) -> None:
        self._folder = folder
        self.types = {name: np.dtype(kind) for name, kind in types.items()}
        folder.mkdir(parents=True, exist_ok=True)

    def has(self, name: str) -> bool:
        """Whether a column is there, whole."""
        return self._file(name).is_file()

    def write(self, name: str, parts: Iterable[npt.NDArray[Any]]) -> None:
        """Write a column from its parts; it appears when it is whole."""
        partial = self._file(name).with_suffix(".partial")
        with partial.open("wb") as file:
            for part in parts:
                part.astype(self.types[name], copy=False).tofile(file)
        partial.replace(self._file(name))

    def read(self, name: str, first: int, rows: int) -> npt.NDArray[Any]:
        """(rows,) values from row `first` on, fewer at the end."""
        kind = self.types[name]
        return np.fromfile(self._file(name), kind, count=rows, offset=first * kind.itemsize)

    def _file(self, name: str) -> Path:
        return self._folder / f"{list(self.types).index(name):05}.column"  # a field's name may hold anything
