"""Pairs leave by the size of their weight; what is left computes what the whole network does with those weights 0."""

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx

from ctrfast.errors import ConfigError
from ctrfast.model_config import ModelConfig
from ctrfast.models import build_model
from ctrfast.models.field_pairs import WeightedPairs
from ctrfast.prune_pairs import kept_pairs, without_pairs
from ctrfast.traced import traced

F, N, D = 5, 2, 3
NETWORKS = {
    "fwfm": {},
    "deep_fwfm": {"hidden": (6, 4), "tower": {"name": "mlp", "norm": "batch"}},
    "deep_fwfm of two labels": {"hidden": (6, 4), "tasks": {"kind": "shared_bottom"}},
}


@pytest.fixture(params=NETWORKS)
def model(request):
    """With weights that are drawn, those of batch norms and heads too."""
    config = ModelConfig(name=request.param.split()[0], embedding_dim=D, **NETWORKS[request.param])
    tasks = 1 if config.tasks is None else 2
    model = build_model(config, id_fields=F, numeric_fields=N, seed=1, tasks=tasks)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if variable.dtype.is_floating:
            variable.assign(rng.uniform(0.2, 0.8, variable.shape))
    model.pairs.pair_weights.assign(rng.permutation(np.linspace(-0.9, 1.2, 10)))
    return model


@pytest.fixture
def inputs():
    rng = np.random.default_rng(1)
    return rng.normal(size=(7, F, D + 1)).astype(np.float32), rng.normal(size=(7, N)).astype(np.float32)


def onnx_of(model):
    rows, numbers = tf.TensorSpec((None, F, D + 1), name="rows"), tf.TensorSpec((None, N), name="numbers")
    return tf2onnx.convert.from_function(traced(model.logits), input_signature=(rows, numbers), opset=18)[0]


def operations(proto):
    return sorted(node.op_type for node in proto.graph.node)


def test_pairs_by_hand():
    weights = np.array([0.5, -0.1, 0.0, 2.0, -3.0, 0.1], np.float32)
    assert kept_pairs(weights, 1 / 6) == [0, 1, 3, 4, 5]
    assert kept_pairs(weights, 0.5) == [0, 3, 4]
    assert kept_pairs(weights, 0.99) == [4]
    assert kept_pairs(weights, 0.01) == list(range(6))


@pytest.mark.parametrize("leave", [2, 9])  # all fields are multiplied with all, or the pairs that stay alone
def test_the_rest_computes_as_with_the_smallest_weights_0(model, inputs, leave):
    smaller = without_pairs(model, leave / 10)
    weights = model.pairs.pair_weights.numpy()
    limit = np.sort(np.abs(weights))[leave]
    assert smaller.pairs.kept == tuple(np.flatnonzero(np.abs(weights) >= limit))
    model.pairs.pair_weights.assign(np.where(np.abs(weights) < limit, 0, weights))
    np.testing.assert_allclose(smaller.logits(*inputs), model.logits(*inputs), rtol=1e-5, atol=1e-5)
    dense = sum(variable.shape.num_elements() for variable in model.dense_variables)
    assert sum(variable.shape.num_elements() for variable in smaller.dense_variables) == dense - leave


@pytest.mark.filterwarnings("ignore")  # of tf2onnx, as in `ctrfast.graph`
def test_the_onnx_graph_takes_the_kept_pairs_alone(model, inputs):
    smaller = without_pairs(model, 0.9)
    proto = onnx_of(smaller)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    (found,) = session.run(None, dict(zip(("rows", "numbers"), inputs, strict=True)))
    np.testing.assert_allclose(found, smaller.logits(*inputs), rtol=1e-5, atol=1e-5)
    whole = onnx_of(model)
    assert operations(whole).count("MatMul") > operations(proto).count("MatMul")  # of all fields with all fields
    assert operations(onnx_of(without_pairs(model, 0.01))) == operations(whole)  # none of ten pairs left out


def test_the_trained_network_stays_whole(model, inputs):
    before = model.logits(*inputs).numpy()
    without_pairs(model, 0.7)
    np.testing.assert_array_equal(model.logits(*inputs), before)
    assert isinstance(model.pairs, WeightedPairs)


@pytest.mark.parametrize("name", ["lr", "fm", "deepfm", "pnn", "afm", "fibinet"])
def test_a_network_whose_pairs_have_no_weights_is_refused(name):
    model = build_model(ModelConfig(name=name, hidden=(4,)), id_fields=3, numeric_fields=1, seed=1)
    with pytest.raises(ConfigError, match=rf"needs a network that weights its pairs: fwfm or deep_fwfm\. Got {name}\."):
        without_pairs(model, 0.5)
