"""What each raw value of a row became: for a user who asks why a score is what it is.

    for field in encoder.explain({"I1": "3", "C1": "68fd1e64"}):
        field.name, field.column, field.raw          # "C1", "C1", "68fd1e64"
        field.values                                 # (IdValue(text="68fd1e64", became="kept", id=17, row=17),)

An id field gives its values, several of them where it has lists: each with the text that its vocabulary is asked for (a
part of a time, a bucket, or the raw text), what it became, its id within the table, and its row of the fused table. A
numeric field gives the number, that after its transform, and the network's input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ctrfast.data.transforms import transformed
from ctrfast.id_rows import MISSING_ID, IdRows
from ctrfast.schema import IdField, NumericField

if TYPE_CHECKING:
    from ctrfast.data.encode import Encoder

Became = Literal["kept", "hash_bucket", "unseen", "missing"]


@dataclass(frozen=True)
class IdValue:
    """One value of an id field. text: `None` where it is missing. id: within its table. row: of the fused table."""

    text: str | None
    became: Became
    id: int
    row: int


@dataclass(frozen=True)
class IdEncoding:
    """An id field. left_out: values of a list after the first `max_values`."""

    name: str
    column: str
    raw: object
    values: tuple[IdValue, ...]
    left_out: int = 0
    kind: Literal["id"] = "id"


@dataclass(frozen=True)
class NumberEncoding:
    """A numeric field. number, transformed: `None` where it is missing; the input is then the training mean's."""

    name: str
    column: str
    raw: object
    number: float | None
    transformed: float | None
    input: float
    kind: Literal["number"] = "number"


FieldEncoding = NumberEncoding | IdEncoding


def explain_row(encoder: Encoder, row: Mapping[str, object]) -> tuple[FieldEncoding, ...]:
    """All fields of one JSON-like row, numeric ones first, in the schema's order.

    Raises:
        DataError: a name is unknown or a value has the wrong type; `path` is "0.field".
    """
    schema = encoder.fitted.schema_
    texts, numbers = encoder.read_row(row)
    encoded = encoder.encode_rows([row])
    of_numbers = zip(schema.numeric_fields, numbers, encoded.numbers[0].tolist(), strict=True)
    explained: list[FieldEncoding] = [_number(field, row, number, input_) for field, number, input_ in of_numbers]
    for field, field_texts, slots, table in zip(
        schema.id_fields, texts, schema.field_slots, encoder.fitted.id_rows, strict=True
    ):
        ids = encoded.ids[0, slots][: len(field_texts)].tolist()
        start = encoder.fitted.slot_offsets[slots.start]
        values = tuple(
            IdValue(text, _became(id_, field=schema.table_of(field), table=table), id_, start + id_)
            for text, id_ in zip(field_texts, ids, strict=True)
        )
        raw = row.get(field.source)
        explained.append(IdEncoding(field.name, field.source, raw, values, _left_out(raw, field)))
    return tuple(explained)


def _number(field: NumericField, row: Mapping[str, object], number: float, input_: float) -> NumberEncoding:
    is_missing = bool(np.isnan(number))
    return NumberEncoding(
        name=field.name,
        column=field.source,
        raw=row.get(field.source),
        number=None if is_missing else number,
        transformed=None if is_missing else float(transformed(np.array([number]), field)[0]),
        input=input_,
    )


def _became(id_: int, *, field: IdField, table: IdRows) -> Became:
    if id_ == MISSING_ID:
        return "missing"
    if field.hash_buckets is not None:
        return "hash_bucket"
    return "unseen" if table.is_unseen(np.array([id_], np.int32))[0] else "kept"


def _left_out(raw: object, field: IdField) -> int:
    """Values of a list, given as such or as text, beyond those that count."""
    if field.separator is None:
        return 0
    items = [str(item) for item in raw if item is not None] if isinstance(raw, list | tuple) else [str(raw or "")]
    values = [value for value in field.separator.join(items).split(field.separator) if value]
    return max(len(values) - field.slots, 0)
