"""Units leave by hand-computed weight; what is left computes what the whole network does with those units silenced."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.errors import ConfigError
from ctrfast.model_config import MODEL_OPTIONS, ModelConfig
from ctrfast.models import build_model
from ctrfast.prune import kept_units, pruned


def test_units_by_hand():
    # ||in|| = 5, 1, 2, 4;  ||out|| = 1, 6, 5, 0.5  ->  5, 6, 10, 2: the fourth leaves first, then the first
    inward = np.array([[3, 1, 0, 4], [4, 0, 2, 0]], np.float32)
    outward = np.array([[1], [6], [5], [0.5]], np.float32)
    assert [units.tolist() for units in kept_units([inward, outward], 0.25)] == [[0, 1, 2]]
    assert [units.tolist() for units in kept_units([inward, outward], 0.5)] == [[1, 2]]
    assert [units.tolist() for units in kept_units([inward, outward], 0.99)] == [[2]]


WITH_MLP = [name for name, options in MODEL_OPTIONS.items() if "hidden" in options and name != "final_mlp"]


@pytest.mark.parametrize("name", WITH_MLP)
def test_the_rest_computes_as_with_the_units_silenced(name):
    variant = "parallel" if name == "masknet" else None  # the serial one has no MLP
    config = ModelConfig(name=name, embedding_dim=3, hidden=(8, 6), variant=variant)
    model = build_model(config, id_fields=4, numeric_fields=2, seed=1)
    rng = np.random.default_rng(0)
    for variable in model.dense_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    smaller = pruned(model, 0.5)
    assert smaller.config.hidden == (4, 3)
    kept = kept_units([kernel.numpy() for kernel in model.mlp.kernels], 0.5)
    for kernel, units in zip(model.mlp.kernels[1:], kept, strict=True):
        silenced = np.zeros(kernel.shape, np.float32)
        silenced[units] = kernel.numpy()[units]
        kernel.assign(silenced)
    rows = tf.constant(rng.normal(size=(5, 4, 4)), tf.float32)
    numbers = tf.constant(rng.normal(size=(5, 2)), tf.float32)
    np.testing.assert_allclose(smaller.logits(rows, numbers), model.logits(rows, numbers), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", [{"hidden": ()}, {"name": "fcn"}, {"name": "final_mlp", "hidden": (4,)}])
def test_a_network_without_hidden_layers_of_one_mlp_is_refused(settings):
    model = build_model(ModelConfig(**settings), id_fields=2, numeric_fields=0, seed=1)
    with pytest.raises(ConfigError, match="needs a network with one MLP"):
        pruned(model, 0.5)
