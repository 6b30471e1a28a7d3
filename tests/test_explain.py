"""Contributions in closed form on linear and factorised models, and on a bundle against rows scored one by one."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from ctrfast.calibration import logits_of
from ctrfast.data.encode import Encoder
from ctrfast.data.vocabulary import Vocabulary
from ctrfast.errors import ConfigError, DataError
from ctrfast.explain import explain_score
from ctrfast.schema import MISSING_ID
from ctrfast.score import Scorer
from tests import list_clicks

ROW = {"n": 1.5, "history": "item3|item9", "item": "item3", "tags": "t1, t4"}


class Factorised:
    """Logit = bias + v n + sum of w over the values + strength * sum over pairs of fields of e_i e_j."""

    def __init__(self, strength=0.0):
        fitted = list_clicks.fitted(items=10, tags=6)
        words = {"item": [f"item{i}" for i in range(10)], "tags": [f"t{i}" for i in range(6)]}
        self.encoder = Encoder(
            fitted,
            {name: Vocabulary(pa.array(w), pa.array([1] * len(w), pa.int64())) for name, w in words.items()},
        )
        rng = np.random.default_rng(0)
        self.w, self.e = rng.normal(0, 0.3, (2, fitted.table_rows))
        padding = [row for name, row in fitted.row_ranges if name is None]
        self.w[padding] = self.e[padding] = 0
        self.strength, self.bias, self.v = strength, -1.0, 0.4
        self.calls = []

    def sums(self, encoded):
        """(R, F) of w and of e."""
        schema = self.encoder.fitted.schema_
        fused = encoded.ids + np.asarray(self.encoder.fitted.slot_offsets)
        return (np.stack([of[fused[:, s]].sum(axis=1) for s in schema.field_slots], axis=1) for of in (self.w, self.e))

    def score(self, encoded):
        self.calls.append(encoded.rows)
        linear, factors = self.sums(encoded)
        pairs = sum(factors[:, i] * factors[:, j] for i, j in itertools.combinations(range(factors.shape[1]), 2))
        logits = self.bias + self.v * encoded.numbers[:, 0] + linear.sum(axis=1) + self.strength * pairs
        return (1 / (1 + np.exp(-logits))).astype(np.float32)


def test_a_linear_model_in_closed_form():
    model = Factorised()
    explained = explain_score(model, ROW, pairs=4)
    (linear,), (nothing,) = (next(model.sums(model.encoder.encode_rows([row]))) for row in (ROW, {}))
    expected = {"n": 0.4 * 1.5} | dict(zip(("history", "item", "tags"), linear - nothing, strict=True))
    assert {field.name: field.contribution for field in explained.fields} == pytest.approx(expected, abs=1e-5)
    sizes = [abs(field.contribution) for field in explained.fields]
    assert sizes == sorted(sizes, reverse=True)
    assert [pair.contribution for pair in explained.pairs] == pytest.approx([0] * 6, abs=1e-5)
    assert explained.base == pytest.approx(-1 + nothing.sum(), abs=1e-5)
    assert explained.logit == pytest.approx(explained.base + sum(expected.values()), abs=1e-5)
    assert explained.probability == pytest.approx(1 / (1 + np.exp(-explained.logit)))
    assert {field.name: field.raw for field in explained.fields} == ROW
    assert model.calls == [2 + 4, 6]  # two passes


def test_pairs_in_closed_form():
    model = Factorised(strength=2.0)
    explained = explain_score(model, ROW, pairs=4)
    (_, (factors,)), (_, (nothing,)) = (model.sums(model.encoder.encode_rows([row])) for row in (ROW, {}))
    change = dict(zip(("history", "item", "tags"), factors - nothing, strict=True)) | {"n": 0.0}
    found = {frozenset((pair.first, pair.second)): pair.contribution for pair in explained.pairs}
    expected = {frozenset(pair): 2 * change[pair[0]] * change[pair[1]] for pair in itertools.combinations(change, 2)}
    assert found == pytest.approx(expected, abs=1e-5)
    assert max(abs(value) for value in expected.values()) > 0.1
    order = [field.name for field in explained.fields]
    few = explain_score(model, ROW, pairs=2)
    assert [(pair.first, pair.second) for pair in few.pairs] == [tuple(order[:2])]
    assert explain_score(model, ROW, pairs=0).pairs == ()


def test_a_bundle_against_rows_without_a_field(bundle_path, dataset):
    scorer = Scorer.load(bundle_path)
    ids = [name for name in dataset.fitted.schema_.id_names if len(scorer.encoder.vocabularies[name])]
    row = {name: str(scorer.encoder.vocabularies[name].values[0]) for name in ids} | {"I1": 3, "I5": "1200"}
    explained = explain_score(scorer, row, pairs=3)

    def logit(*without):
        return logits_of(scorer.score_rows([{n: v for n, v in row.items() if n not in without}]))[0]

    found = {field.name: field for field in explained.fields}
    assert set(found) == {*dataset.fitted.schema_.id_names, *dataset.fitted.schema_.numeric_names}
    for name in ("I1", "I5", "C1", "C9"):
        assert found[name].contribution == pytest.approx(logit() - logit(name), abs=1e-5)
    assert found["I2"].contribution == pytest.approx(0, abs=1e-6)  # missing as it is
    assert found["I2"].raw is None
    for pair in explained.pairs:
        a, b = pair.first, pair.second
        assert pair.contribution == pytest.approx(logit() - logit(a) - logit(b) + logit(a, b), abs=1e-5)
    assert (scorer.encoder.encode_rows([{}]).ids == MISSING_ID).all()
    assert explained.base == pytest.approx(logits_of(scorer.score_rows([{}]))[0], abs=1e-6)


def test_refusals():
    with pytest.raises(DataError, match="no column 'tag'"):
        explain_score(Factorised(), {"tag": "a"})
    for pairs in (-1, 51):
        with pytest.raises(ConfigError, match="`pairs` must be 0 to 50") as caught:
            explain_score(Factorised(), {}, pairs=pairs)
        assert caught.value.path == "pairs"
