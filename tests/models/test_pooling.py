"""Pooling equals a plain loop; padding takes part in nothing; each network is fed pooled rows."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.model_config import ModelConfig
from ctrfast.models import MODELS
from ctrfast.models.pooling import Pooling
from ctrfast.network import Network
from ctrfast.schema import preset
from tests import list_clicks
from tests.list_oracle import pooled
from tests.models.networks_oracle import OWN, logits
from tests.oracle import forward, forward_deep_cross
from tests.tiny_clicks import SCHEMA as TINY

FITTED = list_clicks.fitted()
ITEMS, TAGS = FITTED.table_sizes  # 40 + 2 + 2 unseen + 1 padding, 10 + 2 + 1 padding
FIELDS = [(0, slice(0, 3), "mean"), (0, slice(3, 4), "sum"), (1, slice(4, 8), "sum")]


def some_ids(rows, seed=0):
    """Local ids (R, S), -1 without a value; the last row's lists are empty."""
    rng = np.random.default_rng(seed)
    ids = np.full((rows, 8), -1)
    for row in range(rows):
        history, tags = rng.integers(1, 4), rng.integers(1, 5)
        ids[row, :history] = rng.integers(0, ITEMS - 1, history)
        ids[row, 3] = rng.integers(0, ITEMS - 1)
        ids[row, 4 : 4 + tags] = rng.integers(0, TAGS - 1, tags)
    ids[-1, [*range(3), *range(4, 8)]] = -1
    return ids


def fused(ids):
    """Rows of the fused table, with each table's padding row where there is no value."""
    sizes = np.array([ITEMS] * 4 + [TAGS] * 4)
    return (np.where(ids < 0, sizes - 1, ids) + np.array([0] * 4 + [ITEMS] * 4)).astype(np.int32)


def tables_of(table):
    return [table[:ITEMS].astype(np.float64), table[ITEMS:].astype(np.float64)]


@pytest.mark.parametrize("jit", [False, True])
def test_pooling_equals_a_plain_loop(jit):
    table = np.random.default_rng(1).normal(size=(ITEMS + TAGS, 5)).astype(np.float32)
    ids = some_ids(20)
    pooling = tf.function(Pooling.of(FITTED), jit_compile=jit)
    rows = pooling(tf.gather(table, fused(ids)), fused(ids))
    assert rows.shape == (20, 3, 5)
    np.testing.assert_allclose(rows, pooled(tables_of(table), FIELDS, ids), rtol=0, atol=1e-6)
    assert not rows.numpy()[-1, [0, 2]].any()


def test_padding_has_no_gradient():
    ids = some_ids(20)
    rows = tf.constant(np.random.default_rng(2).normal(size=(20, 8, 5)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(rows)
        total = tf.reduce_sum(tf.square(Pooling.of(FITTED)(rows, fused(ids))))
    gradient = tape.gradient(total, rows).numpy()
    assert not gradient[ids < 0].any()
    assert gradient[ids >= 0].any(axis=1).all()


def test_a_schema_without_lists_has_no_pooling():
    sizes = {"a": 3, "b": 2}
    plain = FITTED.model_copy(update={"schema_": TINY, "vocabulary_sizes": sizes})
    assert Pooling.of(plain) is None
    assert preset("criteo").slots == 26


@pytest.mark.parametrize("name", MODELS)
def test_each_network_takes_pooled_rows(name):
    network = Network(ModelConfig(name=name, embedding_dim=4, hidden=(8, 4)), FITTED, seed=1, embedding_init_std=0.3)
    rng = np.random.default_rng(3)
    for variable in network.model.dense_variables:
        variable.assign(rng.normal(0, 0.5, size=variable.shape))
    dense = [variable.numpy().astype(np.float64) for variable in network.model.dense_variables]
    ids, numbers = some_ids(20), rng.normal(size=(20, 1)).astype(np.float32)
    rows = pooled(tables_of(network.table.numpy()), FIELDS, ids)
    if name in ("deepfm", "wide_deep"):
        expected = forward(name, rows, numbers.astype(np.float64), dense)[0]
    elif name in OWN:
        expected = logits(network.model, rows, numbers)
    else:
        expected = forward_deep_cross(name, rows, numbers.astype(np.float64), dense, 2)
    np.testing.assert_allclose(network.logits(fused(ids), numbers), expected, rtol=1e-4, atol=1e-4)
    assert not network.table.numpy()[[ITEMS - 1, ITEMS + TAGS - 1]].any()
