"""The other servers' encoding gives what ours gives."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.peers.serving import Model
from bench.serve_bodies import last_rows
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.schema import preset

WEIGHTS = np.sqrt(np.arange(2, 41, dtype=np.float32))[:, None]  # one for each input, no two alike


def write_graph(path):
    """probability = [ids, numbers] @ WEIGHTS."""
    nodes = [
        helper.make_node("Cast", ["ids"], ["places"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["places", "numbers"], ["inputs"], axis=1),
        helper.make_node("MatMul", ["inputs", "weights"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis"], ["probability"]),
    ]
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT32, ["rows", 26]),
        helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["rows", 13]),
    ]
    output = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows"])
    constants = [numpy_helper.from_array(WEIGHTS, "weights"), numpy_helper.from_array(np.array([1]), "axis")]
    graph = helper.make_graph(nodes, "made", inputs, [output], constants)
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    file = tmp_path_factory.mktemp("serving") / "clicks.tsv"
    synth(file, "criteo", 600, 1)
    return file


def test_rows_and_columns_are_encoded_as_ours(raw):
    bundle = raw.parent / "dataset"
    prepare([raw], preset("criteo"), bundle, min_count=2, split="sequential")
    write_graph(bundle / "model.onnx")
    rows = [*last_rows(raw, 100), {}, {"C1": "never seen", "I1": -3, "I2": 2, "I3": 2.5}]
    encoder = Dataset.open(bundle).encoder()
    encoded = encoder.encode_rows(rows)
    ids = encoded.ids + np.asarray(encoder.fitted.slot_offsets, np.int32)
    expected = np.concatenate([ids.astype(np.float32), encoded.numbers], axis=1) @ WEIGHTS
    model = Model(bundle)
    assert any(encoded.unseen.values())
    np.testing.assert_allclose(model.predict(rows), expected[:, 0], rtol=1e-5)
    texts = [[row.get(name) for row in rows] for name in model.id_names]
    numbers = np.array([[row.get(name) for name in model.number_names] for row in rows], np.float64)
    np.testing.assert_allclose(model.predict_columns(texts, numbers), expected[:, 0], rtol=1e-5)
