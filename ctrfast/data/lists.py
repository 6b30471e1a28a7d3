"""Lists of values in one cell: a text is taken apart at its separator, and ids are laid out in slots.

    "a|b||c", separator "|", max_values 2      ->  a, b            the first values; empty ones are dropped
    "", "||"                                   ->  one missing value

A list given as such (JSON, parquet) stands for its values joined by the separator, so that there is one rule.
`ctrfast.data.list_cells` does the same for columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.cells import LONGEST_VALUE
from ctrfast.schema import IdField, Schema

LONGEST_LIST = 65_536  # bytes of a cell

Ids = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]


def split_text(text: str | None, field: IdField) -> list[str | None]:
    """The values of one cell: at least one, which is None where the list is missing."""
    values = [value for value in (text or "").split(field.separator) if value]
    return [*values[: field.slots]] or [None]


def in_slots(ids: Ids, counts: Counts, slots: int, padding: int) -> Ids:
    """Ids (M,) of R lists, one after the other, and the lengths of these (R,) -> (R, slots), filled up at the end."""
    laid_out = np.full((len(counts), slots), padding, np.int32)
    laid_out[np.arange(slots) < counts[:, None]] = ids
    return laid_out


def flat_lists(column: pa.ListArray) -> tuple[Ids, Counts]:
    """Values (M,) and lengths (R,) of a shard's column of lists."""
    return column.flatten().to_numpy(), np.diff(column.offsets.to_numpy()).astype(np.int64)


def long_columns(schema: Schema) -> frozenset[str]:
    """Raw columns that hold nothing but lists: their cells may be longer than one value."""
    single = {field.source for field in schema.id_fields if field.separator is None}
    lists = {field.source for field in schema.id_fields if field.separator is not None}
    return frozenset(lists - single - {field.source for field in schema.numeric_fields})


def longest_cell(schema: Schema) -> int:
    """Bytes of the longest cell that any column may hold."""
    return LONGEST_LIST if long_columns(schema) else LONGEST_VALUE


def list_separators(schema: Schema) -> dict[str, str]:
    """Separator of each raw column that a field of lists is made from."""
    return {field.source: field.separator for field in schema.id_fields if field.separator is not None}


def list_names(fields: Sequence[IdField]) -> frozenset[str]:
    """Names of the fields of lists."""
    return frozenset(field.name for field in fields if field.separator is not None)
