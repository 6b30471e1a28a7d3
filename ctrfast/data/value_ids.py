"""JSON-like values of one id field -> local ids in the field's slots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctrfast.data.field_ids import FieldIds
from ctrfast.data.lists import in_slots
from ctrfast.data.rows import Column, Repeated, read_texts
from ctrfast.schema import IdField

Ids = npt.NDArray[np.int32]
Slot = Sequence[int] | Ids  # (R,)


class ValueIds:
    """Ids of one field.

    Args:
        field: the field.
        table: its table's ids.
        edges: of its quantile buckets, where it has them.
        padding: the id of a list's slots behind its values.
    """

    def __init__(self, field: IdField, table: FieldIds, edges: npt.NDArray[np.float64] | None, padding: int) -> None:
        self.source = field.source
        self._field = field
        self._table = table
        self._edges = edges
        self._padding = padding
        self._is_text_itself = field.separator is None and field.part is None and field.bucket is None

    def of(self, column: Column, rows: int) -> Sequence[Slot]:
        """Local ids (R,) of R values, for each slot. Raises DataError: a value has the wrong type or is too long."""
        if isinstance(column, Repeated):
            return [(int(slot[0]),) * rows for slot in self._of((column.value,))]
        return self._of(column)

    def _of(self, values: Sequence[object]) -> Sequence[Slot]:
        if not self._is_text_itself:
            return self._of_any(values, range(len(values)))
        try:  # the vocabulary's keys are texts, each checked when it was fitted: what it finds is right
            found = list(map(self._table.vocabulary.index.get, values))  # type: ignore[arg-type]
        except TypeError:  # a list or a mapping: the way below says where
            return self._of_any(values, range(len(values)))
        if None in found:
            odd = [row for row, id_ in enumerate(found) if id_ is None]
            for row, id_ in zip(odd, self._of_any([values[row] for row in odd], odd)[0], strict=True):
                found[row] = id_
        return [found]  # type: ignore[list-item]

    def _of_any(self, values: Sequence[object], rows: Sequence[int]) -> Sequence[Slot]:
        lists = read_texts(values, rows, self._field, self._edges)
        ids = self._table.of_texts([text for texts in lists for text in texts])
        if self._field.separator is None:
            return [ids]
        counts = np.array([len(texts) for texts in lists], np.int64)
        return list(in_slots(np.array(ids, np.int32), counts, self._field.slots, self._padding).T)
