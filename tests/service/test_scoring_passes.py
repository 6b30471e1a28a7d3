"""A pass over several requests gives each what a pass of its own gives it, and one bad value spoils no other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.encode import Encoder
from ctrfast.data.rows import Repeated
from ctrfast.data.vocabulary import Vocabulary
from ctrfast.errors import DataError
from ctrfast.fitted_schema import FittedSchema, Statistics
from ctrfast.schema import IdField, NumericField, Schema
from service.scoring.bodies import Impressions
from service.scoring.passes import score_together

TEXTS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def scorer():
    schema = Schema(
        name="tiny",
        columns=("label", "n", "x", "y"),
        label="label",
        numeric_fields=(NumericField(name="n", scale="none"),),
        id_fields=(IdField(name="x"), IdField(name="y", unseen_buckets=3)),
    )
    vocabularies = {name: Vocabulary.fit(pa.array(TEXTS), np.array([3, 2, 1])) for name in schema.id_names}
    fitted = FittedSchema(
        schema_=schema,
        statistics={"n": Statistics(mean=5.0, std=1.0)},
        vocabulary_sizes=dict.fromkeys(schema.id_names, len(TEXTS)),
        vocabulary_hash="",
    )
    return FakeScorer(Encoder(fitted, vocabularies))


class FakeScorer:
    """A network that adds up what it is given."""

    def __init__(self, encoder):
        self.encoder = encoder

    def predict(self, encoded):
        return (encoded.ids @ np.array([1, 100]) + encoded.numbers[:, 0] / 100).astype(np.float32)


VALUES = st.sampled_from([None, "", "a", "c", "z", "unseen", 7, 10**20, "é"])
BAD = st.sampled_from([True, 1.5, [1], {}, "\ud800"])


@st.composite
def impressions(draw):
    rows = draw(st.integers(0, 4))
    columns = {name: draw(st.lists(VALUES, min_size=rows, max_size=rows)) for name in ("x", "y")}
    columns["n"] = draw(st.lists(st.none() | st.integers(-5, 5) | st.just("3"), min_size=rows, max_size=rows))
    if rows and draw(st.integers(0, 5)) == 0:
        columns["y"][draw(st.integers(0, rows - 1))] = draw(BAD)
    kind = draw(st.sampled_from(["whole", "repeated", "absent"]))
    if kind == "repeated":
        columns["x"] = Repeated(draw(VALUES))
    elif kind == "absent":
        del columns["x"]
    return Impressions(lambda: columns, rows, str, is_whole=kind == "whole")


@given(st.lists(impressions(), min_size=1, max_size=6))
def test_each_gets_what_it_gets_alone(scorer, requests):
    done = score_together(scorer, requests)
    rows, unseen = 0, dict.fromkeys(("x", "y"), 0)
    for request, part in zip(requests, done.parts, strict=True):
        try:
            alone = scorer.encoder.encode_values(request.values(), request.rows)
        except DataError as error:
            assert isinstance(part, DataError) and (part.path, part.message) == (error.path, error.message)
            continue
        np.testing.assert_array_equal(part.ids, alone.ids)
        np.testing.assert_array_equal(part.probabilities, scorer.predict(alone))
        rows += request.rows
        unseen = {field: count + alone.unseen[field] for field, count in unseen.items()}
    assert (done.encoded.rows, done.encoded.unseen) == (rows, unseen)
