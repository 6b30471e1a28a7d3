"""Put a network's weights into fewer bytes, and leave it computing with what those read back as.

    stored = quantize(network, "int8")      # arrays by name, for the bundle's weights file
    network.logits(ids, numbers)            # the logits of the quantised network

So the training graph itself says what the quantised ONNX graph must score. Packed are the table and the kernels (matrix
weights); biases, linear weights and tensors of three axes are few, and stay float32.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ctrfast.network import Network
from ctrfast.packing import TABLE, Parts, Precision, pack_kernel, pack_table, unpack_kernel, unpack_table

_ROWS_AT_ONCE = 1_000_000


def quantize(network: Network, precision: Precision) -> Parts:
    """Round a network's weights, and return them as they are to be stored, wide numbers first.

    Args:
        network: takes the rounded weights.
        precision: `float16` or `int8`.

    Raises:
        ConfigError: a weight is too large for it.
    """
    stored: Parts = {}
    for name, variable in network.weights().items():
        if name == TABLE:
            stored |= _quantize_table(variable, precision)
        elif is_kernel(variable):
            parts = pack_kernel(name, variable.numpy(), precision)
            variable.assign(unpack_kernel(name, parts))
            stored |= parts
        else:
            stored[name] = variable.numpy()
    # Each tensor then starts at a multiple of its numbers' size, which readers that map the file rely on.
    return dict(sorted(stored.items(), key=lambda item: -item[1].dtype.itemsize))


def is_kernel(variable: tf.Variable) -> bool:
    """Whether a dense weight is a matrix of more than one row and column."""
    return len(variable.shape) == 2 and min(variable.shape) > 1


def _quantize_table(table: tf.Variable, precision: Precision) -> Parts:
    """By pieces: a large table is held once, and its short form."""
    stored: Parts = {}
    rows = table.shape[0]
    for start in range(0, rows, _ROWS_AT_ONCE):
        piece = slice(start, min(start + _ROWS_AT_ONCE, rows))
        parts = pack_table(table[piece].numpy(), precision)
        table[piece].assign(unpack_table(parts))
        for name, part in parts.items():
            stored.setdefault(name, np.empty((rows, *part.shape[1:]), part.dtype))[piece] = part
    return stored
