"""Write named tensors as a safetensors file, one after the other.

The library's own writer holds all tensors twice while it works, as arrays and as bytes: more memory than training
takes. This one holds one tensor. The library reads what it writes.

    [8 bytes: N, little-endian] [N bytes: JSON, {name: {"dtype", "shape", "data_offsets"}}] [the tensors' bytes]

Source: the format's description at huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ctrfast.storage import storing

_NAMES = {"float16": "F16", "float32": "F32", "float64": "F64", "int8": "I8", "int32": "I32", "int64": "I64"}
_ALIGNMENT = 8


def write_tensors(path: Path, tensors: Mapping[str, tf.Variable | npt.NDArray[Any]]) -> None:
    """Write a file.

    Args:
        path: of the file.
        tensors: variables and arrays by name, of numbers.

    Raises:
        StorageError: the disk takes no more.
    """
    header, end = {}, 0
    for name, tensor in tensors.items():
        dtype, shape = np.dtype(getattr(tensor.dtype, "as_numpy_dtype", tensor.dtype)), [int(n) for n in tensor.shape]
        start, end = end, end + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        header[name] = {"dtype": _NAMES[dtype.name], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with storing(path.name), path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).data)
