"""Rows of JSON: what is read from the bytes is what the decoder's values are encoded to; all else is left to it."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.encode import Encoder
from ctrfast.data.json_rows import JsonRows
from ctrfast.data.vocabulary import Vocabulary
from ctrfast.fitted_schema import FittedSchema, Statistics
from ctrfast.schema import IdField, NumericField, Schema

TEXTS = ["a", "68fd1e64", "17", "0", "1234567890123456", "x" * 20, "[,:]}", "null"]
SCHEMA = Schema(
    name="s",
    columns=("label", "n", "m", "C1", "C2", "C10", "unused"),
    label="label",
    numeric_fields=(NumericField(name="n", scale="none"), NumericField(name="m", scale="none")),
    id_fields=(IdField(name="C1"), IdField(name="C10"), IdField(name="C2", share="C1")),
)


def encoder_of(schema):
    vocabularies = {
        name: Vocabulary.fit(pa.array(TEXTS[place:]), np.ones(len(TEXTS) - place, np.int64))
        for place, name in enumerate(schema.table_names)
    }
    fitted = FittedSchema(
        schema_=schema,
        statistics={field.name: Statistics(mean=5.0, std=1.0) for field in schema.numeric_fields},
        vocabulary_sizes={name: len(vocabulary) for name, vocabulary in vocabularies.items()},
        vocabulary_hash="",
    )
    return Encoder(fitted, vocabularies)


ENCODER = encoder_of(SCHEMA)
READER = JsonRows.of(ENCODER)

IDS = st.none() | st.sampled_from(["", "new", "new text", *TEXTS]) | st.integers(0, 10**15 - 1)
NUMBERS = st.none() | st.integers(-(10**15) + 1, 10**15 - 1) | st.decimals(-9999, 9999, places=3).map(float)
ROWS = st.fixed_dictionaries(
    {}, optional={"C1": IDS, "C2": IDS, "C10": IDS, "n": NUMBERS, "m": NUMBERS, "label": IDS, "unused": IDS}
)
SPACE = st.sampled_from(["", " ", "\n", "\t \r\n"])


def assert_same(coded, rows):
    encoded, expected = ENCODER.encode_coded(*coded), ENCODER.encode_rows(rows)
    np.testing.assert_array_equal(encoded.ids, expected.ids)
    np.testing.assert_array_equal(encoded.numbers, expected.numbers)
    assert encoded.unseen == expected.unseen and encoded.rows == len(rows)


def written(value, space):
    """JSON with white space wherever it may be."""
    if isinstance(value, dict):
        items = (f"{space}{json.dumps(key)}{space}:{written(each, space)}" for key, each in value.items())
        return f"{space}{{{','.join(items) or space}}}{space}"
    if isinstance(value, list):
        return f"{space}[{','.join(written(each, space) for each in value)}]{space}"
    return f"{space}{json.dumps(value)}{space}"


@given(st.lists(ROWS, min_size=1, max_size=4), ROWS, SPACE)
def test_plain_rows_are_read_as_the_decoder_reads_them(rows, shared, space):
    coded = READER.read(written(rows, space).encode(), 4, written(shared, space).encode())
    if any(isinstance(each, float) and "e" in repr(each) for row in (shared, *rows) for each in row.values()):
        assert coded is None
        return
    assert coded is not None
    assert_same(coded, [{**shared, **row} for row in rows])


@given(
    st.lists(ROWS, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 500), st.sampled_from(list(b'{}[]",:.-019nulltrue\\ \n\x00\x7f\x80eE+')))),
)
def test_broken_rows_are_left_to_the_decoder_or_mean_the_same(rows, changes):
    text = bytearray(json.dumps(rows).encode())
    for place, byte in changes:
        text[place % len(text)] = byte
    coded = READER.read(bytes(text), 10)
    if coded is not None:
        pairs = json.loads(text, object_pairs_hook=list)
        assert all(len({name for name, _ in row}) == len(row) for row in pairs)
        assert_same(coded, [dict(row) for row in pairs])


@given(st.binary(max_size=60) | st.text('{}[]",:C12n \n', max_size=60).map(str.encode))
def test_anything(text):
    if (coded := READER.read(text, 10)) is not None:
        assert_same(coded, json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "[{}", "[{},]", "[{}]]", "[{}] x", "[[{}]]", "[null]", "[1, {}]", "[{}{}]", "[{},,{}]",
        '[{"C1"}]', '[{"C1":}]', '[{"C1" "a"}]', '[{"C1": "a",}]', '[{,"C1": "a"}]', '[{"C1": "a" "C2": "a"}]',
        '[{"C1": "a", "C1": "b"}]', '[{"C": "a"}]', '[{"C3": "a"}]', '[{"": "a"}]', '[{"C1": "a}]', '[{"C1: "a"}]',
        '[{"C1": "\\u0061"}]', '[{"C1": "é"}]', '[{"C1": "a\nb"}]', '[{"C1": "a\x00b"}]', '[{"C1": true}]',
        '[{"C1": 1.5}]', '[{"C1": -1}]', '[{"C1": 01}]', '[{"C1": [1]}]', '[{"C1": {}}]', '[{"C1": nul}]',
        '[{"n": "3"}]', '[{"n": 01}]', '[{"n": 1.}]', '[{"n": .5}]', '[{"n": -}]', '[{"n": +1}]', '[{"n": 1e3}]',
        '[{"n": 1234567890.123456}]', '[{"n": NaN}]', '[{"n": 1 2}]', '[{"n": --1}]', '[{"n": 0x1}]',
        '[{"C1": "' + "x" * 1025 + '"}]', '\x7f[{}]', '[{}]\x7f', '[{\x7f}]', '[{}, {}, {}]',
    ],
)  # fmt: skip
def test_what_is_not_plain(text):
    assert READER.read(text.encode(), 2) is None


def test_more_quotes_than_names_and_values_have():
    assert READER.read(b"[" + b'"' * 2**20 + b"{}]", 10) is None


@pytest.mark.parametrize(
    "number", ["0", "-0", "-0.0", "7", "-12", "0.1", "-0.125", "123456789012345", "3.14159265358979"]
)
def test_numbers_are_the_nearest(number):
    _, numbers = READER.read(f'[{{"n": {number}}}]'.encode(), 1)
    expected = float(json.loads(number))  # -0 is a whole number, and 0
    assert numbers[0, 0] == expected
    assert math.copysign(1, numbers[0, 0]) == math.copysign(1, expected)


@pytest.mark.parametrize(
    "field",
    [
        {"hash_buckets": 10}, {"unseen_buckets": 3}, {"separator": "|", "max_values": 3}, {"bucket": "log_squared"},
        {"column": "n"},
    ],
)  # fmt: skip
def test_schemas_that_need_more(field):
    odd = SCHEMA.model_copy(update={"id_fields": (IdField(name="C1", **field),)})
    assert JsonRows.of(encoder_of(odd)) is None
