"""Raw values -> model inputs: the one implementation, for preparing training data and for scoring.

    ids      (R, S) int32, local to the table: 0 unseen or rare, 1 missing, 2.. kept values (`ctrfast.data.field_ids`);
             a field of lists has several of the S slots, filled up with its table's padding
    numbers  (R, N) float32: transformed and scaled (`ctrfast.data.transforms`); missing = the training mean

Columns take the arrow path, a few JSON-like rows the Python path; both end in the same tables and the same arithmetic,
and a test holds them together.

    encoder = Encoder.load(dataset.path)
    encoder.encode_rows([{"I1": 3, "C1": "68fd1e64"}]).ids        # absent fields are missing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.cells import Cells, is_id_type, is_number_type
from ctrfast.data.explain import FieldEncoding, explain_row
from ctrfast.data.field_ids import FieldIds
from ctrfast.data.lists import in_slots, list_separators
from ctrfast.data.rows import Column, columns_of, read_numbers, read_texts
from ctrfast.data.transforms import NumberInputs
from ctrfast.data.value_ids import ValueIds
from ctrfast.data.vocabulary import Vocabulary, hash_vocabularies
from ctrfast.errors import ArtifactError, DataError
from ctrfast.fitted_schema import FittedSchema
from ctrfast.schema import MISSING_ID, UNSEEN_ID, IdField

if TYPE_CHECKING:
    from ctrfast.data.text_table import TextTable

SCHEMA_FILE = "schema.json"
VOCABULARY_FOLDER = "vocabulary"

Ids = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Encoded:
    """Inputs of R impressions. unseen: per id field, how many values got the unseen id."""

    ids: Ids  # (R, S), local
    numbers: Numbers  # (R, N)
    unseen: dict[str, int]
    rows: int


class Encoder:
    """Applies what the training split taught.

    Args:
        fitted: schema, statistics and vocabulary sizes.
        vocabularies: one per table, in the schema's order.
    """

    def __init__(self, fitted: FittedSchema, vocabularies: Mapping[str, Vocabulary]) -> None:
        self.fitted = fitted
        self.vocabularies = dict(vocabularies)
        schema = fitted.schema_
        self._inputs = NumberInputs(schema.numeric_fields, fitted.statistics)
        self._edges = {name: np.array(edges, dtype=np.float64) for name, edges in fitted.edges.items()}
        tables = {field: schema.table_of(field) for field in schema.id_fields}
        self.field_ids = {field.name: FieldIds(table, self.vocabularies[table.name]) for field, table in tables.items()}
        self._id_rows = fitted.id_rows
        self._value_ids = ValueIds(fitted, self.field_ids)
        self._numeric_sources = [field.source for field in schema.numeric_fields]
        self._bucketed = [index for index, rows in enumerate(self._id_rows) if rows.unseen_buckets > 1]
        self._id_names = schema.id_names
        self._slots = schema.field_slots
        self._separators = list_separators(schema)

    def encode(self, columns: Mapping[str, pa.Array], rows: int | None = None) -> Encoded:
        """Encode raw columns by name: text (plain or dictionary-encoded), or numbers for numeric fields.

        Args:
            columns: an absent column means that all its values are missing. That of a field of lists may hold lists.
            rows: R; needed only where no column is given.

        Raises:
            DataError: a column of numbers holds text that is no number, or an id field's one is neither text nor whole
                numbers.
        """
        schema = self.fitted.schema_
        rows = rows if rows is not None else len(next(iter(columns.values())))
        numbers = {
            field.name: _numbers_of(columns[field.source], field.source)
            for field in schema.numeric_fields
            if field.source in columns
        }
        for field in schema.id_fields:
            if field.source in columns:
                _require_type(columns[field.source], field)
            if field.bucket is not None and field.source in columns:
                _numbers_of(columns[field.source], field.source)
        sources = {field.source for field in schema.id_fields} & columns.keys()
        return self.encode_block({name: self._cells(columns[name], name) for name in sources}, numbers, rows)

    def _cells(self, column: pa.Array, name: str) -> Cells:
        if name not in self._separators:
            return Cells.of(column)
        from ctrfast.data.list_cells import is_list, joined

        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        return Cells.of(joined(column, self._separators[name]) if is_list(column.type) else column)

    def encode_block(self, texts: Mapping[str, Cells], numbers: Mapping[str, Floats], rows: int) -> Encoded:
        """Encode R rows.

        Args:
            texts: by column of the id fields; all values of an absent one are missing.
            numbers: (R,) by numeric field, NaN = missing; all values of an absent one are missing.
            rows: R.
        """
        schema = self.fitted.schema_
        values = np.full((rows, len(schema.numeric_fields)), np.nan)  # (R, N)
        for index, number in enumerate(schema.numeric_fields):
            if number.name in numbers:
                values[:, index] = numbers[number.name]
        from ctrfast.data.derived import field_cells  # compiled code: half a second that a start need not wait for
        from ctrfast.data.keys import keys_of
        from ctrfast.data.list_cells import split_lists

        ids = np.full((rows, schema.slots), MISSING_ID, dtype=np.int32)  # (R, S)
        for field, slots, table in zip(schema.id_fields, self._slots, self._id_rows, strict=True):
            if field.source not in texts:
                ids[:, slots.start + 1 : slots.stop] = table.padding
            elif field.separator is not None:
                cells, counts = split_lists(texts[field.source], field)
                flat = self.field_ids[field.name].of_keys(keys_of(cells))  # (M,)
                ids[:, slots] = in_slots(flat, counts, field.slots, table.padding)
            else:
                cells = field_cells(texts[field.source], field, self._edges.get(field.name))
                ids[:, slots.start] = self.field_ids[field.name].of_keys(keys_of(cells))
        return self._encoded(ids, self._inputs.of(values))

    def encode_rows(self, rows: Sequence[Mapping[str, object]]) -> Encoded:
        """Encode JSON-like rows of raw values by column name; absent, None and "" mean missing.

        Raises:
            DataError: a name is unknown or a value has the wrong type; `path` is "row.column".
        """
        return self.encode_values(columns_of(rows, self.fitted.schema_), len(rows))

    def encode_values(self, columns: Mapping[str, Column], rows: int) -> Encoded:
        """Encode R JSON-like raw values of each column; all values of an absent column are missing.

        Raises:
            DataError: a value has the wrong type; `path` is "row.column".
        """
        ids = self._value_ids.of(columns, rows)
        return self.encode_coded(ids, read_numbers(columns, self._numeric_sources, rows))

    def encode_coded(self, ids: Ids, numbers: Floats) -> Encoded:
        """Encode local ids (R, S) and raw numbers (R, N), NaN where missing."""
        return self._encoded(ids, self._inputs.of(numbers))

    @property
    def texts(self) -> tuple[TextTable, npt.NDArray[np.int64]]:
        """What texts of ids are looked up in, and by id field that keeps its text which of its vocabularies."""
        return self._value_ids.texts

    def read_row(self, row: Mapping[str, object]) -> tuple[list[list[str | None]], list[float]]:
        """What is looked up and transformed for one JSON-like row.

        Returns:
            texts: by id field, one (`None` = missing), or those of a list. numbers: by numeric field, NaN = missing.

        Raises:
            DataError: as `encode_rows`.
        """
        columns = columns_of([row], self.fitted.schema_)
        fields = self.fitted.schema_.id_fields
        texts = [read_texts(columns[field.source], (0,), field, self._edges.get(field.name))[0] for field in fields]
        return texts, read_numbers(columns, self._numeric_sources, 1)[0].tolist()

    def explain(self, row: Mapping[str, object]) -> tuple[FieldEncoding, ...]:
        """What each value of one JSON-like row became (`ctrfast.data.explain`).

        Raises:
            DataError: as `encode_rows`.
        """
        return explain_row(self, row)

    def save(self, folder: Path) -> None:
        """Write `schema.json` and `vocabulary/` into a folder."""
        (folder / SCHEMA_FILE).write_text(self.fitted.to_json(), encoding="utf-8")
        (folder / VOCABULARY_FOLDER).mkdir(exist_ok=True)
        for name, vocabulary in self.vocabularies.items():
            vocabulary.save(folder / VOCABULARY_FOLDER / f"{name}.parquet")

    @classmethod
    def load(cls, folder: Path) -> Encoder:
        """Read what `save` wrote.

        Raises:
            ArtifactError: a file is missing or unreadable, or a vocabulary is not the one that was fitted.
        """
        fitted = FittedSchema.from_file(folder / SCHEMA_FILE)
        names = fitted.schema_.table_names
        vocabularies = {name: Vocabulary.load(folder / VOCABULARY_FOLDER / f"{name}.parquet") for name in names}
        sizes = {name: len(vocabulary) for name, vocabulary in vocabularies.items()}
        found = hash_vocabularies({name: vocabulary.hash for name, vocabulary in vocabularies.items()})
        if sizes != dict(fitted.vocabulary_sizes) or found != fitted.vocabulary_hash:
            raise ArtifactError(f"The vocabulary of {folder.name} is not its schema's. Write the artefact again.")
        return cls(fitted, vocabularies)

    def count_unseen(self, ids: Ids) -> dict[str, int]:
        """Values with the unseen id, per id field, among ids (R, S) local to their tables."""
        counts = (ids == UNSEEN_ID).sum(axis=0).tolist()  # by slot
        if ids.shape[1] > len(self._slots):
            counts = [sum(counts[slots]) for slots in self._slots]
        for index in self._bucketed:
            counts[index] = int(self._id_rows[index].is_unseen(ids[:, self._slots[index]]).sum())
        return dict(zip(self._id_names, counts, strict=True))

    def _encoded(self, ids: Ids, numbers: Numbers) -> Encoded:
        return Encoded(ids, numbers, self.count_unseen(ids), len(ids))


def _require_type(column: pa.Array, field: IdField) -> None:
    from ctrfast.data.list_cells import is_list  # compiled code: half a second that a start need not wait for

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    held = kind.value_type if field.separator is not None and is_list(kind) else kind
    if not (is_id_type(held) or (field.bucket is not None and is_number_type(kind))):
        what = "text or numbers" if field.bucket is not None else "text or whole numbers"
        what += ", or lists of them" if field.separator is not None else ""
        raise DataError(
            f"`{field.source}` must hold {what}, since the id field {field.name} is made from it. Got the type {kind}. "
            "Give it as one of them.",
            path=field.source,
        )


def _numbers_of(column: pa.Array, name: str) -> Floats:
    from ctrfast.data.numbers import numbers_of

    values, bad = numbers_of(column)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"`{name}` must hold finite decimal numbers. Got {column[row].as_py()!r} in row {row}. Correct it.",
            path=f"{row}.{name}",
        )
    return values
