"""What a row's values became, for every kind of field, and against the arrays that the network gets."""

import math

import numpy as np
import pyarrow as pa
import pytest

from ctrfast.data.encode import Encoder
from ctrfast.data.text_keys import hash_bucket
from ctrfast.data.vocabulary import Vocabulary
from ctrfast.errors import DataError
from ctrfast.fitted_schema import FittedSchema, Statistics
from ctrfast.schema import IdField, NumericField, Schema

SCHEMA = Schema(
    name="all_kinds",
    columns=("label", "price", "hour", "site", "url", "history", "ad"),
    label="label",
    numeric_fields=(
        NumericField(name="price", transform="log1p"),
        NumericField(name="span", column="price", scale="min_max"),
    ),
    id_fields=(
        IdField(name="part", column="hour", part="hour_of_day", time_format="%y%m%d%H"),
        IdField(name="price_part", column="price", bucket="quantile", buckets=4),
        IdField(name="site"),
        IdField(name="url", hash_buckets=1000),
        IdField(name="history", separator="|", max_values=3, share="ad"),
        IdField(name="ad", unseen_buckets=5),
    ),
)
WORDS = {"part": ["13", "9"], "price_part": ["2", "0"], "site": ["a", "b"], "url": [], "ad": ["x", "y", "z"]}
FITTED = FittedSchema(
    schema=SCHEMA,
    statistics={
        "price": Statistics(mean=1.0, std=2.0),
        "span": Statistics(mean=5.0, std=1.0, least=1.0, width=8.0),
    },
    vocabulary_sizes={name: len(words) for name, words in WORDS.items()},
    vocabulary_hash="",
    edges={"price_part": (1.0, 2.0, 4.0)},
)


@pytest.fixture(scope="module")
def encoder():
    vocabularies = {
        name: Vocabulary(pa.array(words, pa.string()), pa.array([1] * len(words), pa.int64()))
        for name, words in WORDS.items()
    }
    return Encoder(FITTED, vocabularies)


def explained(encoder, row):
    return {field.name: field for field in encoder.explain(row)}


def only(field):
    (value,) = field.values
    return value.text, value.became, value.id


def test_each_kind_of_field(encoder):
    row = {"price": "3.0", "hour": "14102113", "site": "b", "url": "u1", "history": "z|new|x|y|x", "ad": "other"}
    found = explained(encoder, row)
    assert list(found) == ["price", "span", "part", "price_part", "site", "url", "history", "ad"]
    price, span = found["price"], found["span"]
    assert (price.kind, price.column, price.raw, price.number) == ("number", "price", "3.0", 3.0)
    assert price.transformed == pytest.approx(math.log(4))
    assert price.input == pytest.approx((math.log(4) - 1) / 2)
    assert (span.transformed, span.input) == (3.0, pytest.approx(0.25))
    assert only(found["part"]) == ("13", "kept", 2)
    assert found["part"].raw == "14102113"
    assert only(found["price_part"]) == ("2", "kept", 2)  # two edges are <= 3
    assert only(found["site"]) == ("b", "kept", 3)
    assert only(found["url"]) == ("u1", "hash_bucket", 2 + hash_bucket("u1", 1000))
    history = found["history"]
    assert [(v.text, v.became) for v in history.values] == [("z", "kept"), ("new", "unseen"), ("x", "kept")]
    assert history.left_out == 2
    assert only(found["ad"])[:2] == ("other", "unseen")


def test_missing_and_unseen(encoder):
    nothing = explained(encoder, {})
    for name in SCHEMA.id_names:
        assert only(nothing[name]) == (None, "missing", 1)
    for name, value in (("price", 0.0), ("span", 0.5)):
        assert (nothing[name].raw, nothing[name].number, nothing[name].transformed) == (None, None, None)
        assert nothing[name].input == pytest.approx(value)
    empty = explained(encoder, {"history": ["", None], "site": "", "price": ""})
    assert (only(empty["history"]), empty["history"].left_out) == ((None, "missing", 1), 0)
    assert only(empty["site"])[1] == only(empty["price_part"])[1] == "missing"
    assert only(explained(encoder, {"site": 17})["site"]) == ("17", "unseen", 0)
    assert only(explained(encoder, {"price": 1.5})["price_part"]) == ("1", "unseen", 0)


@pytest.mark.parametrize(
    "row",
    [
        {"price": 7, "hour": "14102109", "site": "a", "url": "u2", "history": ["x", "new"], "ad": "z"},
        {"price": -2, "site": "none", "history": "a|b|c|d", "ad": "never"},
        {},
    ],
)
def test_it_says_what_the_network_gets(encoder, row):
    found = explained(encoder, row)
    encoded = encoder.encode_rows([row])
    np.testing.assert_array_equal(encoded.numbers[0], np.float32([found["price"].input, found["span"].input]))
    fused = encoded.ids[0] + np.asarray(FITTED.slot_offsets)
    for name, slots in zip(SCHEMA.id_names, SCHEMA.field_slots, strict=True):
        values = found[name].values
        np.testing.assert_array_equal(encoded.ids[0, slots][: len(values)], [value.id for value in values])
        np.testing.assert_array_equal(fused[slots][: len(values)], [value.row for value in values])
        assert sum(value.became == "unseen" for value in values) == encoded.unseen[name]


def test_a_row_that_cannot_be_scored_cannot_be_explained(encoder):
    with pytest.raises(DataError, match="no column 'sites'") as caught:
        encoder.explain({"sites": "a"})
    assert caught.value.path == "0.sites"
