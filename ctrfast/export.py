"""Export a run as a bundle: weights, ONNX graph, encoder, golden rows, hashes.

The table is stored once, in `weights.safetensors`; the graph refers to it there as ONNX external data, so a large table
neither doubles the bundle nor meets protobuf's limit of 2 GB.
"""

from __future__ import annotations

import json
import shutil
import struct
import warnings
from pathlib import Path

import onnx
import tensorflow as tf
from onnx import TensorProto, external_data_helper, helper

from ctrfast._version import VERSION
from ctrfast.bundle import FORMAT, GOLDEN, GRAPH, KIND, WEIGHTS
from ctrfast.folders import new_folder, write_file, write_manifest
from ctrfast.network import Network
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.score import Scorer
from ctrfast.tensors import write_tensors

_OPSET = 18


def export_bundle(run_path: Path, out: Path, *, saved_model: bool = False) -> None:
    """Write a bundle and hold its scores against the training graph's on the golden rows.

    Args:
        run_path: a finished run.
        out: the bundle's folder; must not exist.
        saved_model: also write `saved_model/` for TensorFlow Serving; ctrfast never reads it.

    Raises:
        ArtifactError: the run is not whole, or the exported graph scores differently.
        ConfigError: `out` exists.
    """
    run = Run.open(run_path)
    network = open_network(run)
    with new_folder(out) as folder:
        write_tensors(folder / WEIGHTS, network.weights())
        onnx.save_model(_graph(network, folder / WEIGHTS), folder / GRAPH)
        run.encoder().save(folder)
        for name in ("config.json", "plan.json", GOLDEN):
            shutil.copyfile(run.path / name, folder / name)
        write_file(folder / "metrics.json", json.dumps(run.metrics, indent=1))
        run.calibration().save(folder)
        if saved_model:
            _save_model(network, folder / "saved_model")
        manifest = {
            "kind": KIND,
            "format": FORMAT,
            "model": run.config.model.name,
            "dataset": run.receipt.dataset_hash,
            "negative_rate": run.negative_rate,
            "version": VERSION,
        }
        write_manifest(folder, manifest)
        Scorer.load(folder)


def _graph(network: Network, weights: Path) -> onnx.ModelProto:
    """ids, numbers -> probability. The network is converted from looked-up rows on; the look-up is put before it."""
    model, pooling = network.model, network.pooling
    rows_of = tf.TensorSpec((None, network.slots, network.table.shape[1]), tf.float32, name="rows")
    ids_of = tf.TensorSpec((None, network.slots), tf.int32, name="ids")
    numbers_of = tf.TensorSpec((None, model.numeric_fields), tf.float32, name="numbers")

    def plain(rows: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(network.corrected_logits(rows, numbers))

    signature = (rows_of, numbers_of) if pooling is None else (rows_of, numbers_of, ids_of)
    score = plain if pooling is None else lambda rows, numbers, ids: plain(pooling(rows, ids), numbers)
    function = tf.function(score, input_signature=signature)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf2onnx calls numpy and protobuf in ways that newer versions deprecate
        import tf2onnx

        proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=_OPSET)
    graph = proto.graph
    rename = {graph.output[0].name: "probability"}
    for node in graph.node:
        node.output[:] = [rename.get(name, name) for name in node.output]
        node.input[:] = [rename.get(name, name) for name in node.input]
    graph.output[0].name = "probability"

    inputs = [value for value in graph.input if value.name == "numbers"]
    del graph.input[:]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT32, ["rows", network.slots])
    graph.input.extend([ids, *inputs])
    graph.initializer.append(_external("table", network.table.shape, weights))
    graph.node.insert(0, helper.make_node("Gather", ["table", "ids"], ["rows"], axis=0, name="look_up"))
    graph_model: onnx.ModelProto = proto
    return graph_model


def _external(name: str, shape: tf.TensorShape, weights: Path) -> onnx.TensorProto:
    """A float32 tensor whose bytes lie in a safetensors file beside the graph."""
    with weights.open("rb") as file:
        (header_bytes,) = struct.unpack("<Q", file.read(8))
        start, end = json.loads(file.read(header_bytes))[name]["data_offsets"]
    tensor = onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=tuple(shape))
    tensor.raw_data = b""
    external_data_helper.set_external_data(tensor, weights.name, offset=8 + header_bytes + start, length=end - start)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def _save_model(network: Network, out: Path) -> None:
    model = network.model
    module = tf.Module()
    module.table, module.model = network.table, model
    signature = (
        tf.TensorSpec((None, network.slots), tf.int32, name="ids"),
        tf.TensorSpec((None, model.numeric_fields), tf.float32, name="numbers"),
    )

    def serve(ids: tf.Tensor, numbers: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": tf.sigmoid(network.corrected_logits(network.look_up(ids), numbers))}

    module.serve = tf.function(serve, input_signature=signature)
    tf.saved_model.save(module, str(out), signatures=module.serve)
