"""One contract for all networks: shapes, gradients, parameter counts, logits equal to an independent forward pass."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.config import ModelConfig
from ctrfast.errors import ConfigError
from ctrfast.models import MODELS, build_model
from tests.oracle import forward

F, D = 5, 3
CONFIG = {"embedding_dim": D, "hidden": (8, 4)}


def make(name, N=2, seed=1):
    return build_model(ModelConfig(name=name, **CONFIG), id_fields=F, numeric_fields=N, seed=seed)


def inputs(B=7, N=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(B, F, D + 1)).astype(np.float32), rng.normal(size=(B, N)).astype(np.float32)


@pytest.mark.parametrize("N", [0, 2])
@pytest.mark.parametrize("name", MODELS)
def test_logits_equal_an_independent_forward_pass(name, N):
    model = make(name, N)
    rng = np.random.default_rng(1)
    for variable in model.dense_variables:
        variable.assign(rng.normal(size=variable.shape))
    rows, numbers = inputs(N=N)
    dense = [variable.numpy().astype(np.float64) for variable in model.dense_variables]
    expected, _ = forward(name, rows.astype(np.float64), numbers.astype(np.float64), dense)
    logits = model.logits(tf.constant(rows), tf.constant(numbers))
    assert logits.shape == (7,)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_a_gradient_reaches_every_weight_and_row(name):
    model = make(name)
    rows, numbers = (tf.constant(part) for part in inputs())
    with tf.GradientTape() as tape:
        tape.watch(rows)
        total = tf.reduce_sum(tf.square(model.logits(rows, numbers)))
    for gradient in tape.gradient(total, [rows, *model.dense_variables]):
        assert np.any(gradient.numpy() != 0)


@pytest.mark.parametrize("name", MODELS)
def test_parameter_count_is_the_closed_form(name):
    N, (h1, h2) = 2, CONFIG["hidden"]
    mlp = (F * D + N) * h1 + h1 + h1 * h2 + h2 + h2 + 1
    assert sum(int(np.prod(variable.shape)) for variable in make(name).dense_variables) == N + 1 + mlp


@pytest.mark.parametrize("name", MODELS)
def test_one_seed_gives_one_start(name):
    def start(seed):
        return np.concatenate([v.numpy().ravel() for v in make(name, seed=seed).dense_variables])

    np.testing.assert_array_equal(start(1), start(1))
    assert np.any(start(1) != start(2))


def test_an_unknown_model_is_refused():
    with pytest.raises(ConfigError, match="Did you mean wide_deep"):
        make("wide_and_deep")
