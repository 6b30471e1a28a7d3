"""JSON-like values of the id fields -> local ids, as `ctrfast.data.encode` does it for arrow columns.

Values of all fields that keep the text itself are looked up at once. What their vocabularies have needs no other check:
they hold texts that were checked when they were fitted. The rest is read value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, groupby

import numpy as np
import numpy.typing as npt

from ctrfast.data.field_ids import FieldIds
from ctrfast.data.lists import in_slots
from ctrfast.data.rows import Column, Repeated, read_texts
from ctrfast.data.text_table import ABSENT, TextTable
from ctrfast.schema import FittedSchema, IdField

Ids = npt.NDArray[np.int32]

_MISSING = Repeated(None)


@dataclass(frozen=True)
class _Field:
    """field: of the schema. ids: its table's. table: which one. slots: its columns of the ids array."""

    field: IdField
    ids: FieldIds
    table: int
    slots: slice
    padding: int

    @property
    def source(self) -> str:
        """The raw column."""
        return self.field.source

    @property
    def keeps_the_text(self) -> bool:
        """A value's text is looked up in the vocabulary as it is."""
        return (self.field.separator, self.field.part, self.field.bucket, self.ids.field.hash_buckets) == (None,) * 4


class ValueIds:
    """Ids of values.

    Args:
        fitted: schema, and edges of quantile buckets.
        field_ids: by id field, those of its table.
    """

    def __init__(self, fitted: FittedSchema, field_ids: Mapping[str, FieldIds]) -> None:
        schema = fitted.schema_
        self._edges = {name: np.array(edges, np.float64) for name, edges in fitted.edges.items()}
        self._slots = schema.slots
        self._vocabularies = {ids.field.name: ids.vocabulary.values for ids in field_ids.values()}
        tables = list(self._vocabularies)
        fields = [
            _Field(field, field_ids[field.name], tables.index(schema.table_of(field).name), slots, rows.padding)
            for field, slots, rows in zip(schema.id_fields, schema.field_slots, fitted.id_rows, strict=True)
        ]
        self._texts = [(field.source, field) for field in fields if field.keeps_the_text]
        self._others = [field for field in fields if not field.keeps_the_text]

    @cached_property
    def _table(self) -> TextTable:
        return TextTable(list(self._vocabularies.values()))

    def of(self, columns: Mapping[str, Column], rows: int) -> Ids:
        """Local ids (R, S) of R values of each column; all values of an absent one are missing.

        Raises:
            DataError: a value has the wrong type or is too long; `path` is "row.column".
        """
        ids = np.empty((self._slots, rows), np.int32)
        own: list[tuple[_Field, Sequence[object]]] = []
        shared: list[tuple[_Field, Sequence[object]]] = []
        for source, field in self._texts:
            column = columns.get(source, _MISSING)
            if isinstance(column, Repeated):
                shared.append((field, (column.value,)))
            else:
                own.append((field, column))
        if own and rows:
            ids[[field.slots.start for field, _ in own]] = self._find(own, rows)
        if shared:
            ids[[field.slots.start for field, _ in shared]] = self._find(shared, 1)
        for field in self._others:
            column = columns.get(field.source, _MISSING)
            values = (column.value,) if isinstance(column, Repeated) else column
            ids[field.slots] = self._read(values, field)
        return np.ascontiguousarray(ids.T)

    def _find(self, fields: Sequence[tuple[_Field, Sequence[object]]], rows: int) -> Ids:
        """Ids (F, R) of R values of each of F fields that keep the text."""
        values = list(chain.from_iterable(column for _, column in fields))
        tables = [field.table for field, _ in fields]
        try:
            ids = self._table.find(values, np.repeat(tables, rows))
        except TypeError:  # a list or a mapping: reading says where
            ids = np.full(len(values), ABSENT, np.int32)
        for number, places in groupby(np.flatnonzero(ids == ABSENT).tolist(), lambda place: place // rows):
            field, column = fields[number]
            at = [place % rows for place in places]
            ids[[number * rows + row for row in at]] = self._absent([column[row] for row in at], at, field)
        return ids.reshape(len(fields), rows)

    def _absent(self, values: Sequence[object], rows: Sequence[int], field: _Field) -> list[int]:
        """Ids of values that are not found as they stand: unseen texts, and what is no text yet."""
        texts = [text for (text,) in read_texts(values, rows, field.field, None)]
        ids = [ABSENT] * len(texts)
        changed = [place for place, (text, value) in enumerate(zip(texts, values, strict=True)) if text is not value]
        if changed:
            for place, id_ in zip(changed, self._lookup(field)([texts[place] for place in changed]), strict=True):
                ids[place] = id_
        return field.ids.with_unseen(ids, texts)

    def _read(self, values: Sequence[object], field: _Field) -> Ids:
        """Ids (slots, R) of R values of a field that does not keep the text."""
        lists = read_texts(values, range(len(values)), field.field, self._edges.get(field.field.name))
        ids = np.array(field.ids.of_texts([text for texts in lists for text in texts], self._lookup(field)), np.int32)
        if field.field.separator is None:
            return ids[None]
        return in_slots(ids, np.array([len(texts) for texts in lists], np.int64), field.field.slots, field.padding).T

    def _lookup(self, field: _Field) -> Callable[[Sequence[str | None]], list[int]]:
        return lambda texts: self._table.find(texts, np.full(len(texts), field.table)).tolist()
