"""Columns of lists -> the values of all lists, one after the other. `ctrfast.data.lists` has the rule.

values, counts = split_lists(cells, field)          # Cells (M,), (R,): M values of R lists, at least one of each
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ctrfast.data.cells import Bytes, Cells, Places, to_arrow
from ctrfast.data.compiled import compiled
from ctrfast.data.lists import Counts
from ctrfast.schema import IdField


def split_lists(cells: Cells, field: IdField) -> tuple[Cells, Counts]:
    """Values (M,) of R cells, and how many each cell has; an empty value stands for a missing list."""
    separator = np.frombuffer((field.separator or "").encode(), np.uint8)
    size = len(separator)
    most = np.clip((cells.ends - cells.starts + size) // (1 + size), 1, field.slots).sum()  # a value has a byte or more
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    counts = np.empty(len(cells), np.int64)
    M = _split(cells.text, cells.starts, cells.ends, separator, field.slots, starts, ends, counts)
    return Cells(cells.text, starts[:M], ends[:M]), counts


def joined(column: pa.Array, separator: str) -> pa.Array:
    """A column of lists of texts or whole numbers -> large text (R,), empty where a list is null or has no value."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    values = pc.fill_null(column.flatten().cast(pa.large_string()), "")
    lists = pa.ListArray.from_arrays(to_arrow(offsets), values)
    return pc.binary_join(lists, pa.scalar(separator, pa.large_string()))


def is_list(kind: pa.DataType) -> bool:
    """Whether a column holds lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


@compiled
def _split(
    text: Bytes,
    cell_starts: Places,
    cell_ends: Places,
    separator: Bytes,
    most: int,
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    counts: Counts,
) -> int:
    """Fill starts, ends (M,) and counts (R,); return M."""
    done, size = 0, len(separator)
    for row in range(len(cell_starts)):
        first, place, end, before = cell_starts[row], cell_starts[row], cell_ends[row], done
        while done - before < most:
            while place < end and not _is_at(text, place, end, separator):
                place += 1
            if place > first:
                starts[done], ends[done] = first, place
                done += 1
            if place >= end:
                break
            place += size
            first = place
        if done == before:
            starts[done], ends[done] = first, first
            done += 1
        counts[row] = done - before
    return done


@compiled
def _is_at(text: Bytes, place: int, end: int, separator: Bytes) -> bool:
    if place + len(separator) > end:
        return False
    is_at = True
    for offset in range(len(separator)):
        is_at &= text[place + offset] == separator[offset]
    return is_at
