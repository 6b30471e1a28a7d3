"""Bodies that are read by type give what bodies read by name give, and refusals say where."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.encode import Encoder
from ctrfast.data.rows import Repeated, columns_of
from ctrfast.data.vocabulary import Vocabulary
from ctrfast.fitted_schema import FittedSchema, Statistics
from ctrfast.schema import IdField, NumericField, Schema
from service.problems import BadRowError, BadValueError, MalformedBodyError, TooLargeError
from service.scoring.bodies import BodyReader, read_score

SCHEMA = Schema(
    name="s",
    columns=("label", "n", "a", "unused", "é"),
    label="label",
    numeric_fields=(NumericField(name="n"),),
    id_fields=(IdField(name="a"), IdField(name="e", column="é")),
)
QUOTED = SCHEMA.model_copy(
    update={"columns": ("label", "n", 'a"b', "é"), "id_fields": (IdField(name="a", column='a"b'), SCHEMA.id_fields[1])}
)

VALUES = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
ANYTHING = VALUES | st.booleans() | st.lists(VALUES, max_size=2)


@cache
def reader_of(schema):
    """With the vocabularies a, b, c."""
    vocabularies = {name: Vocabulary.fit(pa.array(["a", "b", "c"]), np.array([3, 2, 1])) for name in schema.id_names}
    fitted = FittedSchema(
        schema_=schema,
        statistics={"n": Statistics(mean=5.0, std=1.0)},
        vocabulary_sizes=dict.fromkeys(schema.id_names, 3),
        vocabulary_hash="",
    )
    return BodyReader(Encoder(fitted, vocabularies))


def rows_of(schema):
    return st.lists(st.dictionaries(st.sampled_from(schema.columns), ANYTHING), max_size=4)


def expanded(impressions):
    return {
        name: [column.value] * impressions.rows if isinstance(column, Repeated) else list(column)
        for name, column in impressions.values().items()
    }


@pytest.mark.parametrize("schema", [SCHEMA, QUOTED], ids=["plain", "quoted"])
@given(data=st.data())
def test_rows_become_columns(schema, data):
    rows = data.draw(rows_of(schema))
    impressions, columnar = reader_of(schema).predict(json.dumps({"instances": rows}).encode(), 10)
    assert not columnar
    assert impressions.rows == len(rows)
    if rows:
        assert expanded(impressions) == columns_of(rows, schema)


@pytest.mark.parametrize("schema", [SCHEMA, QUOTED], ids=["plain", "quoted"])
@given(data=st.data())
def test_a_candidates_fields_join_the_contexts(schema, data):
    context, candidates = (
        data.draw(st.dictionaries(st.sampled_from(schema.columns), ANYTHING)),
        data.draw(rows_of(schema)),
    )
    body = json.dumps({"model": "m", "context": context, "candidates": candidates}).encode()
    impressions = reader_of(schema).score(read_score(body), 10)
    assert impressions.rows == len(candidates)
    if candidates:
        assert expanded(impressions) == columns_of([{**context, **candidate} for candidate in candidates], schema)


def test_what_all_candidates_have_from_the_context_is_encoded_once():
    body = json.dumps({"model": "m", "context": {"a": "x", "n": 1}, "candidates": [{}, {"n": 2}]}).encode()
    columns = reader_of(SCHEMA).score(read_score(body), 10).values()
    assert (columns["n"], columns["a"], columns["é"]) == ([1, 2], Repeated("x"), Repeated(None))


@pytest.mark.parametrize(
    ("body", "error", "path"),
    [
        ({"instances": [{}, {"b": 1}]}, BadRowError, "instances[1].b"),
        ({"instances": [{}, 1]}, BadValueError, "instances[1]"),
        ({"instances": [{}], "inputs": {}}, BadValueError, "instances"),
        ({}, BadValueError, "instances"),
        ({"instances": [{}] * 11}, TooLargeError, "instances"),
        ({"inputs": {"n": [1] * 11}}, TooLargeError, "inputs"),
        ({"inputs": {"n": [1], "a": []}}, BadValueError, "inputs"),
        ({"inputs": {"b": [1]}}, BadRowError, "inputs.b[0]"),
        ({"inputs": {"n": 1}}, BadValueError, "inputs"),
        ({"rows": []}, BadValueError, "rows"),
        ([], BadValueError, None),
    ],
)
def test_a_predict_body_that_breaks_a_rule(body, error, path):
    with pytest.raises(error) as caught:
        reader_of(SCHEMA).predict(json.dumps(body).encode(), 10)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("body", "error", "path"),
    [
        ({"candidates": [{}, {"b": 1}]}, BadRowError, "candidates[1].b"),
        ({"context": {"b": 1}, "candidates": [{}]}, BadRowError, "context.b"),
        ({"context": [], "candidates": [{}]}, BadValueError, "context"),
        ({"candidates": {}}, BadValueError, "candidates"),
        ({"candidates": [{}, []]}, BadValueError, "candidates[1]"),
        ({"candidates": [{}] * 11}, TooLargeError, "candidates"),
    ],
)
def test_a_score_body_that_breaks_a_rule(body, error, path):
    with pytest.raises(error) as caught:
        reader_of(SCHEMA).score(read_score(json.dumps({"model": "m", **body}).encode()), 10)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"candidates": [{}]}, "model"),
        ({"model": "m"}, "candidates"),
        ({"model": "m", "candidates": [{}], "foo": 1}, "foo"),
        ({"model": "m", "candidates": [{}], "a`b\nc": 1}, "a`b\nc"),
        ({"model": 1, "candidates": [{}]}, "model"),
        ({"model": "m", "candidates": [{}], "version": "1"}, "version"),
    ],
)
def test_a_member_that_is_missing_unknown_or_of_another_type_is_named(body, path):
    with pytest.raises(BadValueError) as caught:
        read_score(json.dumps(body).encode())
    assert caught.value.path == path


@pytest.mark.parametrize("body", [b"", b"{", b'{"instances": [{"n": 1e999}]}', b"\xff", b"[" * 100_000, b"NaN"])
def test_what_is_no_json_is_refused(body):
    with pytest.raises((MalformedBodyError, BadValueError)):
        reader_of(SCHEMA).predict(body, 10)
    with pytest.raises((MalformedBodyError, BadValueError)):
        read_score(body)


def test_places_of_bad_values():
    reader = reader_of(SCHEMA)
    assert reader.predict(b'{"instances": [{}]}', 10)[0].place("3.n") == "instances[3].n"
    assert reader.predict(b'{"inputs": {"n": [1]}}', 10)[0].place("0.n") == "inputs.n[0]"
    body = read_score(b'{"model": "m", "context": {"n": 1}, "candidates": [{}, {"n": 2}]}')
    impressions = reader.score(body, 10)
    assert [impressions.place(f"{row}.n") for row in range(2)] == ["context.n", "candidates[1].n"]
    assert np.array_equal(impressions.values()["n"], [1, 2])


def test_white_space_takes_no_longer_the_more_there_is():
    spaces = b" " * 2**21  # with a quadratic way to match it, hours
    impressions, columnar = reader_of(SCHEMA).predict(b"{%b%b" % (spaces, b'"inputs": {"n": [1]}}'), 10)
    assert columnar and impressions.rows == 1
    assert reader_of(SCHEMA).predict(b'{%b"instances": [{}]}' % spaces, 10)[0].coded is not None
