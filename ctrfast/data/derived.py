"""Columns of an id field's raw values -> the texts that its vocabulary holds: as they are, parts of times, buckets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.buckets import bucket_numbers, bucket_texts
from ctrfast.data.cells import Cells, Mask, to_arrow
from ctrfast.data.keys import Keys, keys_of
from ctrfast.data.numbers import parse_numbers
from ctrfast.data.times import bad_times, part_cells
from ctrfast.schema import IdField

Floats = npt.NDArray[np.float64]


def field_cells(cells: Cells, field: IdField, edges: Floats | None = None) -> Cells:
    """What a field's vocabulary holds of R raw cells. edges: of quantile buckets. A bad value counts as missing."""
    if field.part is not None:
        return part_cells(cells, field)
    if field.bucket is None:
        return cells
    distinct, codes = _distinct_buckets(parse_numbers(cells)[0], field, edges)
    return distinct[codes]


def number_cells(values: Floats) -> Cells:
    """Cells of numbers (R,), each the shortest text that reads back; NaN is missing."""
    cells = Cells.of(to_arrow(values))
    return Cells(cells.text, cells.starts, np.where(np.isnan(values), cells.starts, cells.ends))


def bucket_keys(values: Floats, field: IdField, edges: Floats | None) -> Keys:
    """Keys (R,) of the buckets of numbers (R,), NaN = missing."""
    distinct, codes = _distinct_buckets(values, field, edges)
    return keys_of(distinct)[codes]


def bad_values(cells: Cells, field: IdField) -> Mask | None:
    """(R,) whether there is text that is not of the field's kind; None where any text is."""
    if field.part is not None:
        return bad_times(cells, field)
    return parse_numbers(cells)[1] if field.bucket is not None else None


def _distinct_buckets(values: Floats, field: IdField, edges: Floats | None) -> tuple[Cells, npt.NDArray[np.intp]]:
    """Texts of the distinct buckets (K,), and the codes (R,) into them."""
    distinct, codes = np.unique(bucket_numbers(values, field, edges), return_inverse=True)
    return Cells.of(pa.array(bucket_texts(distinct), pa.string())), codes
