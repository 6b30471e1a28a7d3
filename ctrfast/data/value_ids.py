"""JSON-like values of the id fields -> local ids, as `ctrfast.data.encode` does it for arrow columns.

Values of all fields that keep the text itself are looked up at once, unless they were lately. What their vocabularies
have needs no other check: they hold texts that were checked when they were fitted. The rest is read value by value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from ctrfast.data.field_ids import FieldIds
from ctrfast.data.lists import in_slots
from ctrfast.data.rows import Column, Repeated, read_texts
from ctrfast.data.text_table import ABSENT, TextTable
from ctrfast.schema import MISSING_ID, FittedSchema, IdField

Ids = npt.NDArray[np.int32]

_MISSING = Repeated(None)
_MOST_KEPT, _LONGEST_KEPT = 8192, 64  # texts of a field, characters


@dataclass(frozen=True)
class _Field:
    """field: of the schema. ids: its table's. table: which one. slots: its columns of the ids array.

    recent: ids of texts that were looked up lately. Traffic repeats itself, and a small dict is the fastest look-up.
    """

    field: IdField
    ids: FieldIds
    table: int
    slots: slice
    padding: int
    recent: dict[str | None, int] = dataclasses.field(default_factory=lambda: {None: MISSING_ID})

    def remember(self, value: object, id_: int) -> None:
        """Keep a text's id. Other values are not kept: 1, 1.0 and True are one key."""
        if type(value) is str and len(value) <= _LONGEST_KEPT:
            if len(self.recent) >= _MOST_KEPT:
                self.recent.clear()
                self.recent[None] = MISSING_ID
            self.recent[value] = id_

    @property
    def source(self) -> str:
        """The raw column."""
        return self.field.source

    @property
    def keeps_the_text(self) -> bool:
        """A value's text is looked up in the vocabulary as it is."""
        return (self.field.separator, self.field.part, self.field.bucket, self.ids.field.hash_buckets) == (None,) * 4


@dataclass(slots=True)
class _Found:
    """Ids of a column's values; None where a value was not looked up lately."""

    field: _Field
    values: Sequence[object]
    ids: list[Any]


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
        found: list[list[Any]] = []
        rest: list[_Found] = []
        repeated: list[int] = []
        for source, field in self._texts:
            column = columns.get(source, _MISSING)
            if isinstance(column, Repeated):
                column = (column.value,)
                repeated.append(len(found))
            try:
                ids_of_column: list[Any] = list(map(field.recent.get, column))  # type: ignore[arg-type]
            except TypeError:  # a list or a mapping: reading says where
                ids_of_column = [None] * len(column)
            if None in ids_of_column:
                rest.append(_Found(field, column, ids_of_column))
            found.append(ids_of_column)
        if rest:
            self._find_rest(rest)
        for number in repeated:
            found[number] = found[number] * rows
        ids = np.fromiter(chain.from_iterable(found), np.int32, len(found) * rows).reshape(len(found), rows)
        if self._others:
            all_ids = np.empty((self._slots, rows), np.int32)
            all_ids[[field.slots.start for _, field in self._texts]] = ids
            for field in self._others:
                column = columns.get(field.source, _MISSING)
                all_ids[field.slots] = self._read((column.value,) if isinstance(column, Repeated) else column, field)
            ids = all_ids
        return np.ascontiguousarray(ids.T)

    def _find_rest(self, texts: Sequence[_Found]) -> None:
        """Look up what is still None, all fields at once, and remember it."""
        left = [[row for row, id_ in enumerate(text.ids) if id_ is None] for text in texts]
        values = [text.values[row] for text, rows in zip(texts, left, strict=True) for row in rows]
        tables = np.repeat([text.field.table for text in texts], [len(rows) for rows in left])
        try:
            ids = iter(self._table.find(values, tables).tolist())
        except TypeError:
            ids = iter([ABSENT] * len(values))
        for text, rows in zip(texts, left, strict=True):
            for row in rows:
                text.ids[row] = next(ids)
            absent = [row for row in rows if text.ids[row] == ABSENT]
            if absent:
                read = self._absent([text.values[row] for row in absent], absent, text.field)
                for row, id_ in zip(absent, read, strict=True):
                    text.ids[row] = id_
            for row in rows:
                text.field.remember(text.values[row], text.ids[row])

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
