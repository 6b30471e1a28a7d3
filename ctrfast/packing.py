"""Weights in fewer bytes, and what they read back as.

    float16    h = w rounded to float16                          w' = h
    int8       q = w / scale rounded, in -127 .. 127             w' = scale * q

One scale for each row of the table, over its embedding, and for each column of a kernel, so that one large weight
costs no other row or unit its digits. A scale is the largest magnitude / 127, rounded up where it is kept as float16:
no weight is cut off, and each is off by half a scale at most. The table's last column, the linear weight, is of another
size than the embedding beside it and stays float16.

    parts = pack_table(table, "int8")      # {"table": (V, D) int8, "table.scale_linear": (V, 2) float16}
    unpack_table(parts)                    # (V, D+1) float32, to the bit what the exported graph computes with

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR, section 2.1, with zero point 0; Guan et al. 2019, arXiv:1911.02079 (a scale per embedding row).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ctrfast.errors import ConfigError

Floats = npt.NDArray[np.float32]
Parts = dict[str, npt.NDArray[Any]]
Precision = Literal["float32", "float16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")

TABLE = "table"
SCALE_LINEAR = f"{TABLE}.scale_linear"
_LEVELS = np.float32(127)
_LARGEST_HALF = float(np.finfo(np.float16).max)


def scale_of(name: str) -> str:
    """Name of the tensor with a kernel's scales."""
    return f"{name}.scale"


def pack_table(rows: Floats, precision: Precision) -> Parts:
    """Table rows (V, D+1) float32, all or some, in a short form: one tensor, or with int8 two.

    Raises:
        ConfigError: a weight is too large for it.
    """
    if precision == "float16":
        return {TABLE: _half(rows, TABLE)}
    embeddings, linear = rows[:, :-1], rows[:, -1:]
    largest = np.abs(embeddings).max(axis=1, keepdims=True, initial=0)  # (V, 1)
    scales = _half(largest / _LEVELS, TABLE)
    too_small = scales.astype(np.float32) * _LEVELS < largest
    scales = np.where(too_small, np.nextafter(scales, np.float16(np.inf)), scales)
    return {
        TABLE: _levels(embeddings, scales.astype(np.float32)),
        SCALE_LINEAR: np.concatenate((scales, _half(linear, TABLE)), axis=1),
    }


def unpack_table(parts: Mapping[str, npt.NDArray[Any]]) -> Floats:
    """What `pack_table` gave -> rows (V, D+1) float32."""
    if SCALE_LINEAR not in parts:
        return parts[TABLE].astype(np.float32)
    scales, linear = np.split(parts[SCALE_LINEAR].astype(np.float32), 2, axis=1)
    return np.concatenate((parts[TABLE].astype(np.float32) * scales, linear), axis=1)


def pack_kernel(name: str, kernel: Floats, precision: Precision) -> Parts:
    """A kernel (H, H') float32 in a short form.

    Raises:
        ConfigError: a weight is too large for it.
    """
    if precision == "float16":
        return {name: _half(kernel, name)}
    scales = np.abs(kernel).max(axis=0, keepdims=True) / _LEVELS  # (1, H')
    return {name: _levels(kernel, scales), scale_of(name): scales}


def unpack_kernel(name: str, parts: Mapping[str, npt.NDArray[Any]]) -> Floats:
    """What `pack_kernel` gave -> the kernel (H, H') float32."""
    kernel = parts[name].astype(np.float32)
    return kernel * parts[scale_of(name)] if scale_of(name) in parts else kernel


def _levels(weights: Floats, scales: Floats) -> npt.NDArray[np.int8]:
    """Weights over their scales; 0 where a scale is 0, since all of its weights are."""
    levels = np.rint(weights / np.where(scales == 0, np.float32(1), scales))
    return np.clip(levels, -_LEVELS, _LEVELS).astype(np.int8)


def _half(weights: Floats, name: str) -> npt.NDArray[np.float16]:
    largest = float(np.abs(weights).max(initial=0))
    if not largest <= _LARGEST_HALF:
        raise ConfigError(
            f"The weights of {name} must be at most {_LARGEST_HALF:g} in size to be stored in fewer bytes. "
            f"Got {largest:g}. Export without `quantize`.",
            path="quantize",
        )
    return weights.astype(np.float16)
