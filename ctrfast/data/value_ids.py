"""JSON-like values of the id fields -> local ids, as `ctrfast.data.encode` does it for arrow columns.

Values of all fields that keep the text itself are looked up at once. What their vocabularies have needs no other check:
they hold texts that were checked when they were fitted. Of the rest, the common cases take a line, others are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ctrfast.data.field_ids import FieldIds
from ctrfast.data.lists import in_slots
from ctrfast.data.rows import Column, Repeated, is_plain, is_whole, read_texts
from ctrfast.fitted_schema import FittedSchema
from ctrfast.id_rows import ABSENT
from ctrfast.schema import MISSING_ID, UNSEEN_ID, IdField

if TYPE_CHECKING:
    from ctrfast.data.text_table import TextTable

Ids = npt.NDArray[np.int32]
Places = npt.NDArray[np.int_]

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
        self._texts = [field for field in fields if field.keeps_the_text]
        self._others = [field for field in fields if not field.keeps_the_text]
        self._sources = [field.field.source for field in self._texts]
        self._tables = np.array([field.table for field in self._texts], np.int64)
        self._has_one_unseen_id = [field.ids.field.unseen_buckets == 1 for field in self._texts]

    @cached_property
    def _table(self) -> TextTable:
        from ctrfast.data.text_table import TextTable  # compiled code: half a second that a start need not wait for

        return TextTable(list(self._vocabularies.values()))

    @property
    def texts(self) -> tuple[TextTable, npt.NDArray[np.int64]]:
        """What texts are looked up in, and which of its vocabularies is whose: of the fields that keep the text."""
        return self._table, self._tables

    def of(self, columns: Mapping[str, Column], rows: int) -> Ids:
        """Local ids (R, S) of R values of each column; all values of an absent one are missing.

        Raises:
            DataError: a value has the wrong type or is too long; `path` is "row.column".
        """
        ids = self._of_texts([columns.get(source, _MISSING) for source in self._sources], rows)
        if self._others:
            all_ids = np.empty((self._slots, rows), np.int32)
            all_ids[[field.slots.start for field in self._texts]] = ids
            for field in self._others:
                all_ids[field.slots] = self._read(_values(columns.get(field.field.source, _MISSING)), field)
            ids = all_ids
        return np.ascontiguousarray(ids.T)

    def _of_texts(self, columns: Sequence[Column], rows: int) -> Ids:
        """Ids (fields, R) of the fields that keep the text."""
        given = [_values(column) for column in columns]
        lengths = [len(values) for values in given]
        ids = self._looked_up(list(chain.from_iterable(given)), lengths)
        if len(ids) != len(given) * rows:
            times = [rows if isinstance(column, Repeated) else 1 for column in columns]
            ids = np.repeat(ids, np.repeat(times, lengths))
        return ids.reshape(len(given), rows)

    def _looked_up(self, values: Sequence[object], lengths: Sequence[int]) -> Ids:
        """Ids of values, so many of each field one after the other."""
        ids = self._table.find(values, np.repeat(self._tables, lengths))
        absent = np.flatnonzero(ids == ABSENT)
        fields = np.repeat(np.arange(len(lengths)), lengths)[absent]
        whole = [index for index, place in enumerate(absent.tolist()) if is_whole(values[place])]
        if whole:
            values = [str(value) if is_whole(value) else value for value in values]
            again = absent[whole]
            ids[again] = self._table.find([values[place] for place in again.tolist()], self._tables[fields[whole]])
            is_left = ids[absent] == ABSENT
            absent, fields = absent[is_left], fields[is_left]
        if not len(absent):
            return ids
        found: list[int] = []
        unread: list[int] = []
        for place, field in zip(absent.tolist(), fields.tolist(), strict=True):
            value = values[place]
            if value is None:
                found.append(MISSING_ID)
                continue
            if not (is_plain(value) and self._has_one_unseen_id[field]):
                unread.append(len(found))
            found.append(UNSEEN_ID)
        ids[absent] = found
        if unread:
            self._read_singly(ids, values, absent[unread], fields[unread], np.cumsum([0, *lengths]))
        return ids

    def _read_singly(self, ids: Ids, values: Sequence[object], places: Places, fields: Places, starts: Places) -> None:
        """Set the ids at some places by reading each value; row = place - where its field starts."""
        for place, number in zip(places.tolist(), fields.tolist(), strict=True):
            field = self._texts[number]
            texts = read_texts((values[place],), (place - int(starts[number]),), field.field, None)[0]
            ids[place] = field.ids.of_texts(texts, self._lookup(field))[0]

    def _read(self, values: Sequence[object], field: _Field) -> Ids:
        """Ids (slots, R) of R values of a field that does not keep the text."""
        lists = read_texts(values, range(len(values)), field.field, self._edges.get(field.field.name))
        ids = np.array(field.ids.of_texts([text for texts in lists for text in texts], self._lookup(field)), np.int32)
        if field.field.separator is None:
            return ids[None]
        return in_slots(ids, np.array([len(texts) for texts in lists], np.int64), field.field.slots, field.padding).T

    def _lookup(self, field: _Field) -> Callable[[Sequence[str | None]], list[int]]:
        return lambda texts: self._table.find(texts, np.full(len(texts), field.table)).tolist()


def _values(column: Column) -> Sequence[object]:
    return (column.value,) if isinstance(column, Repeated) else column
