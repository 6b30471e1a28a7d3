"""A network as an ONNX graph: ids (R, S) int32, numbers (R, N) float32 -> probability (R,) float32.

Of a network of several labels the output is `probabilities`, (R, T).

The graph reads the table, and packed kernels, from the bundle's weights file as ONNX external data: a large table
neither doubles the bundle nor meets protobuf's limit of 2 GB.

    float32    rows = table[ids]                        float16    rows = float32(table[ids])
    int8       rows = [float32(table[ids]) * scale, linear],  with scale, linear = table.scale_linear[ids]

Only rows that are looked up are unpacked. Kernels are unpacked once, when the runtime loads the graph and folds its
constants: in memory and time they are float32's, and a row's score does not depend on the rows beside it, as it would
with activations in int8 too.
"""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from ctrfast.network import Network
from ctrfast.packing import SCALE_LINEAR, TABLE, scale_of
from ctrfast.traced import traced

_OPSET = 18
_TYPES = {"F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "I8": TensorProto.INT8}
_PACKED = ("F16", "I8")


def scoring_graph(network: Network, weights: Path) -> onnx.ModelProto:
    """The network is converted from looked-up rows on; the look-up is put before it.

    Args:
        network: computes with what the weights file reads back as.
        weights: safetensors file beside which the graph will lie.
    """
    model, pooling = network.model, network.pooling
    rows_of = tf.TensorSpec((None, network.slots, network.table.shape[1]), tf.float32, name="rows")
    ids_of = tf.TensorSpec((None, network.slots), tf.int32, name="ids")
    numbers_of = tf.TensorSpec((None, model.numeric_fields), tf.float32, name="numbers")

    def plain(rows: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(network.corrected_logits(rows, numbers))

    signature = (rows_of, numbers_of) if pooling is None else (rows_of, numbers_of, ids_of)
    score = plain if pooling is None else lambda rows, numbers, ids: plain(pooling(rows, ids), numbers)
    function = traced(score, input_signature=signature)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf2onnx calls numpy and protobuf in ways that newer versions deprecate
        import tf2onnx

        proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=_OPSET)
    graph = proto.graph
    output = "probability" if model.tasks == 1 else "probabilities"
    rename = {graph.output[0].name: output}
    for node in graph.node:
        node.output[:] = [rename.get(name, name) for name in node.output]
        node.input[:] = [rename.get(name, name) for name in node.input]
    graph.output[0].name = output

    inputs = [value for value in graph.input if value.name == "numbers"]
    del graph.input[:]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT32, ["rows", network.slots])
    graph.input.extend([ids, *inputs])
    stored = _Stored(weights)
    kernels = list(_packed_kernels(graph, network, stored))
    for place, node in enumerate([*_look_up(graph, stored), *kernels]):
        graph.node.insert(place, node)
    graph_model: onnx.ModelProto = proto
    return graph_model


def _look_up(graph: onnx.GraphProto, stored: _Stored) -> Iterator[onnx.NodeProto]:
    """Nodes from `ids` to float32 `rows`."""
    graph.initializer.append(stored.tensor(TABLE))
    if not stored.is_packed(TABLE):
        yield helper.make_node("Gather", [TABLE, "ids"], ["rows"], axis=0, name="look_up")
        return
    yield helper.make_node("Gather", [TABLE, "ids"], ["packed"], axis=0, name="look_up")
    if SCALE_LINEAR not in stored:
        yield helper.make_node("Cast", ["packed"], ["rows"], to=TensorProto.FLOAT)
        return
    graph.initializer.append(stored.tensor(SCALE_LINEAR))
    yield helper.make_node("Cast", ["packed"], ["levels"], to=TensorProto.FLOAT)
    yield helper.make_node("Gather", [SCALE_LINEAR, "ids"], ["packed_scale_linear"], axis=0)
    yield helper.make_node("Cast", ["packed_scale_linear"], ["scale_linear"], to=TensorProto.FLOAT)
    yield helper.make_node("Split", ["scale_linear"], ["scale", "linear"], axis=2, num_outputs=2)
    yield helper.make_node("Mul", ["levels", "scale"], ["embeddings"])
    yield helper.make_node("Concat", ["embeddings", "linear"], ["rows"], axis=2)


def _packed_kernels(graph: onnx.GraphProto, network: Network, stored: _Stored) -> Iterator[onnx.NodeProto]:
    """Nodes from packed kernels to the constants that the converter has made of them; these leave the graph."""
    kernels = {
        name: kernel.numpy() for name, kernel in network.weights().items() if name != TABLE and stored.is_packed(name)
    }
    for constant in list(graph.initializer):
        value = numpy_helper.to_array(constant) if constant.data_location != TensorProto.EXTERNAL else None
        name = next(
            (name for name, kernel in kernels.items() if value is not None and np.array_equal(value, kernel)), None
        )
        if name is None:
            continue
        graph.initializer.remove(constant)
        graph.initializer.append(stored.tensor(name))
        levels = f"{name}.levels" if scale_of(name) in stored else constant.name
        yield helper.make_node("Cast", [name], [levels], to=TensorProto.FLOAT)
        if scale_of(name) in stored:
            graph.initializer.append(stored.tensor(scale_of(name)))
            yield helper.make_node("Mul", [levels, scale_of(name)], [constant.name])
        del kernels[name]


class _Stored:
    """The tensors of a safetensors file, for a graph beside it."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            (header_bytes,) = struct.unpack("<Q", file.read(8))
            self._entries: Mapping[str, Any] = json.loads(file.read(header_bytes))
        self._file, self._start = path.name, 8 + header_bytes

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def is_packed(self, name: str) -> bool:
        """Whether a tensor has fewer bytes than float32."""
        return self._entries[name]["dtype"] in _PACKED

    def tensor(self, name: str) -> onnx.TensorProto:
        """A constant whose bytes stay in the file."""
        entry = self._entries[name]
        start, end = entry["data_offsets"]
        tensor = onnx.TensorProto(name=name, data_type=_TYPES[entry["dtype"]], dims=entry["shape"])
        tensor.raw_data = b""
        external_data_helper.set_external_data(tensor, self._file, offset=self._start + start, length=end - start)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        return tensor
