"""Raw values -> model inputs: the one implementation, for preparing training data and for scoring.

    ids      (R, F) int32, local to the field: 0 unseen or rare, 1 missing, 2.. kept values
    numbers  (R, N) float32: (transform(x) - mean) / std with the training split's mean and std; missing = 0

Columns take the arrow path, a few JSON-like rows the Python path; both end in the same tables and the same arithmetic,
and a test holds them together.

    encoder = Encoder.load(dataset.path)
    encoder.encode_rows([{"I1": 3, "C1": "68fd1e64"}]).ids        # absent fields are missing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.cells import LARGEST, parse_numbers, time_part
from ctrfast.data.rows import RowReader
from ctrfast.data.vocabulary import Vocabulary, hash_vocabularies
from ctrfast.errors import ArtifactError, DataError
from ctrfast.schema import MISSING_ID, UNSEEN_ID, FittedSchema, IdField, NumericField

SCHEMA_FILE = "schema.json"
VOCABULARY_FOLDER = "vocabulary"

Ids = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Encoded:
    """Inputs of R impressions. unseen: per id field, how many values got the unseen id."""

    ids: Ids  # (R, F), local
    numbers: Numbers  # (R, N)
    unseen: dict[str, int]
    rows: int


class Encoder:
    """Applies what the training split taught.

    Args:
        fitted: schema, statistics and vocabulary sizes.
        vocabularies: one per id field, in the schema's order.
    """

    def __init__(self, fitted: FittedSchema, vocabularies: Mapping[str, Vocabulary]) -> None:
        self.fitted = fitted
        self.vocabularies = dict(vocabularies)
        schema = fitted.schema_
        self._mean = np.array([fitted.statistics[name].mean for name in schema.numeric_names])  # (N,)
        self._std = np.array([fitted.statistics[name].std for name in schema.numeric_names])  # (N,)
        self._is_log = np.array([field.transform == "log_squared" for field in schema.numeric_fields], dtype=bool)
        self._rows = RowReader(schema)
        self._id_names = schema.id_names

    def encode(self, columns: Mapping[str, pa.Array], rows: int | None = None) -> Encoded:
        """Encode raw columns by name: text (plain or dictionary-encoded), or numbers for numeric fields.

        Args:
            columns: an absent column means that all its values are missing.
            rows: R; needed only where no column is given.

        Raises:
            DataError: a numeric column holds text that is no number.
        """
        schema = self.fitted.schema_
        rows = rows if rows is not None else len(next(iter(columns.values())))
        values = np.full((rows, len(schema.numeric_fields)), np.nan)  # (R, N)
        for index, number in enumerate(schema.numeric_fields):
            if number.name in columns:
                values[:, index] = _numbers_of(columns[number.name], number)
        ids = np.full((rows, len(schema.id_fields)), MISSING_ID, dtype=np.int32)  # (R, F)
        for index, field in enumerate(schema.id_fields):
            if field.source in columns:
                ids[:, index] = self._ids_of(columns[field.source], field)
        return self._encoded(ids, self._standardise(values))

    def encode_rows(self, rows: Sequence[Mapping[str, object]]) -> Encoded:
        """Encode JSON-like rows of raw values by column name; absent, None and "" mean missing.

        Raises:
            DataError: a name is unknown or a value has the wrong type; `path` is "row.field".
        """
        texts, values = self._rows.read(rows)
        by_field = [
            [index.get(text, UNSEEN_ID) for text in field_texts]
            for index, field_texts in zip((v.index for v in self.vocabularies.values()), texts, strict=True)
        ]
        ids = np.ascontiguousarray(np.array(by_field, dtype=np.int32).T)  # (R, F)
        return self._encoded(ids, self._standardise(values))

    def save(self, folder: Path) -> None:
        """Write `schema.json` and `vocabulary/` into a folder."""
        (folder / SCHEMA_FILE).write_text(self.fitted.to_json(), encoding="utf-8")
        (folder / VOCABULARY_FOLDER).mkdir()
        for name, vocabulary in self.vocabularies.items():
            vocabulary.save(folder / VOCABULARY_FOLDER / f"{name}.parquet")

    @classmethod
    def load(cls, folder: Path) -> Encoder:
        """Read what `save` wrote.

        Raises:
            ArtifactError: a file is missing or unreadable, or a vocabulary is not the one that was fitted.
        """
        fitted = FittedSchema.from_file(folder / SCHEMA_FILE)
        names = fitted.schema_.id_names
        vocabularies = {name: Vocabulary.load(folder / VOCABULARY_FOLDER / f"{name}.parquet") for name in names}
        sizes = {name: len(vocabulary) for name, vocabulary in vocabularies.items()}
        if sizes != dict(fitted.vocabulary_sizes) or hash_vocabularies(vocabularies) != fitted.vocabulary_hash:
            raise ArtifactError(f"The vocabulary of {folder.name} is not its schema's. Write the artefact again.")
        return cls(fitted, vocabularies)

    def _standardise(self, values: Floats) -> Numbers:
        """(R, N) raw numbers, NaN where missing -> inputs."""
        scaled = (_transform(values, self._is_log) - self._mean) / self._std
        scaled[np.isnan(scaled)] = 0.0
        numbers: Numbers = np.maximum(np.minimum(scaled, LARGEST), -LARGEST).astype(np.float32)
        return numbers

    def _ids_of(self, column: pa.Array, field: IdField) -> Ids:
        values, codes = distinct(column)
        ids = self.vocabularies[field.name].encode(field_values(values, field))
        return np.append(ids, np.int32(MISSING_ID))[codes]

    def _encoded(self, ids: Ids, numbers: Numbers) -> Encoded:
        counts = (ids == UNSEEN_ID).sum(axis=0).tolist()
        return Encoded(ids, numbers, dict(zip(self._id_names, counts, strict=True)), len(ids))


def distinct(column: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int32]]:
    """Distinct texts (K,) of a column and the codes (R,) into them; missing values have code K."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    return encoded.dictionary, codes


def field_values(values: pa.Array, field: IdField) -> pa.Array:
    """Give the texts that a field's vocabulary holds: the raw ones, or their time part."""
    if field.part is None:
        return values
    return pa.array([time_part(value, field) for value in values.to_pylist()], type=pa.string())


def transformed(column: pa.Array, field: NumericField) -> Floats:
    """(R,) numbers of a raw column after the field's transform, NaN where missing: what is standardised."""
    values = _numbers_of(column, field)
    return _transform(values, np.array(field.transform == "log_squared"))


def _transform(values: Floats, is_log: npt.NDArray[np.bool_]) -> Floats:
    """log_squared, where asked: ln(x)^2 for x > 2, x otherwise. NaN stays NaN."""
    return np.where(is_log & (values > 2), np.log(np.maximum(values, 1.0)) ** 2, values)


def _numbers_of(column: pa.Array, field: NumericField) -> Floats:
    values, bad = parse_numbers(column)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"`{field.name}` must hold finite decimal numbers. Got {column[row].as_py()!r} in row {row}. Correct it.",
            path=f"{row}.{field.name}",
        )
    return values
