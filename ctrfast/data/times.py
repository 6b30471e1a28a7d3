"""Columns of times, and the fields made of their parts. A log holds few distinct times, so each is read once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.cells import Cells, Mask, time_part
from ctrfast.data.keys import keys_of
from ctrfast.schema import IdField


def part_cells(cells: Cells, field: IdField) -> Cells:
    """The field's part of R times."""
    texts, codes = distinct(cells)
    parts = pa.array([time_part(text, field) if text else None for text in texts], pa.string())
    return Cells.of(parts)[codes]


def bad_times(cells: Cells, field: IdField) -> Mask:
    """(R,) whether there is text that does not fit the field's time format."""
    texts, codes = distinct(cells)
    bad: Mask = np.array([text != "" and time_part(text, field) is None for text in texts], bool)[codes]
    return bad


def distinct(cells: Cells) -> tuple[list[str], npt.NDArray[np.intp]]:
    """Distinct texts (K,) of R cells, and the codes (R,) into them; missing cells give the text ""."""
    _, first, codes = np.unique(keys_of(cells), return_index=True, return_inverse=True)
    return [value or "" for value in cells[first].to_arrow().to_pylist()], codes
