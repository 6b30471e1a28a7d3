"""Open Inference Protocol v2: a tensor for each raw column in, `probability` and `calibrated` out.

Of a model of several labels these are the first one's, and there is a third tensor, `probabilities`, [rows, labels].

    {"inputs": [{"name": "C1", "datatype": "BYTES", "shape": [2], "data": ["68fd1e64", "05db9164"]},
                {"name": "I1", "datatype": "FP32", "shape": [2], "data": [3, 1]}]}

With the binary tensor extension a tensor's data follows the JSON, whose length is in the header
Inference-Header-Content-Length; a NaN among such numbers is a missing value, since they know no null. A column that is
not sent is missing.

Source: kserve/open-inference-protocol, inference_rest.md, and its binary tensor data extension.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Struct, UnsetType

from service.problems import BadRowError, BadValueError, TooLargeError
from service.scoring.bodies import decode

JSON_LENGTH = "inference-header-content-length"
EXTENSIONS = ("binary_tensor_data",)

Scores = npt.NDArray[np.float32]

_BYTES, _FLOATS = "BYTES", ("FP16", "FP32", "FP64")
_TYPES = {
    **{
        f"{sign}INT{bits}": np.dtype(f"<{letter}{bits // 8}")
        for sign, letter in (("", "i"), ("U", "u"))
        for bits in (8, 16, 32, 64)
    },
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}


class _Input(Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class _Output(Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Body(Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[_Output] | None = None


class _Tensor(Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | UnsetType = UNSET
    data: list[float] | UnsetType = UNSET


class _Answer(Struct):
    model_name: str
    model_version: str
    outputs: list[_Tensor]
    id: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class InferRequest:
    """columns: raw values (R,) by name, of `rows` impressions.

    wanted: outputs by name, and whether each is binary; None for all. is_binary: whether these are.
    """

    id: str | None
    columns: Mapping[str, Sequence[object]]
    rows: int
    wanted: Mapping[str, bool] | None
    is_binary: bool

    def place(self, path: str | None) -> str:
        """An encoder's "row.column" -> the value's path in the body."""
        row, _, name = (path or "").partition(".")
        number = list(self.columns).index(name)
        return f"inputs[{number}].data[{row}]"


_decoder = msgspec.json.Decoder(_Body)
_encoder = msgspec.json.Encoder()
_OUTPUTS = ("probability", "calibrated")
_OF_LABELS = "probabilities"
_LONGEST_SHOWN = 50


def read_infer(body: bytes, json_length: str | None, max_rows: int) -> InferRequest:
    """Read an inference request.

    Args:
        body: of the request.
        json_length: the header `JSON_LENGTH`, where there is one.
        max_rows: of one request.

    Raises:
        MalformedBodyError, BadValueError, TooLargeError.
        BadRowError: a value is none of its tensor's datatype.
    """
    head, tail = body, memoryview(b"")
    if json_length is not None:
        if not (json_length.isascii() and json_length.isdigit() and int(json_length[:20]) <= len(body)):
            raise BadValueError(
                "Inference-Header-Content-Length must be the length of the JSON before the tensors, in bytes. "
                f"Got {json_length[:50]!r}."
            )
        head, tail = body[: int(json_length)], memoryview(body)[int(json_length) :]
    parsed = decode(_decoder, head)
    columns: dict[str, Sequence[object]] = {}
    for index, tensor in enumerate(parsed.inputs):
        if tensor.name in columns:
            raise BadValueError(f"The input {tensor.name[:100]!r} is there twice.", path=f"inputs[{index}].name")
        columns[tensor.name], tail = _values(tensor, tail, f"inputs[{index}]", max_rows)
    if len(tail):
        raise BadValueError(f"{len(tail):,} bytes follow the last binary tensor. Correct `binary_data_size`.")
    rows = {name: len(values) for name, values in columns.items()}
    if len(set(rows.values())) > 1:
        shown = ", ".join(f"{name[:64]}: {count}" for name, count in list(rows.items())[:5])
        raise BadValueError(f"All inputs must have the same length. Got {shown}.", path="inputs")
    for index, tensor in enumerate(parsed.inputs):
        if tensor.data is not None and tensor.datatype != _BYTES:
            _refuse_others(columns[tensor.name], tensor.datatype, f"inputs[{index}]")
    return InferRequest(parsed.id, columns, next(iter(rows.values()), 0), _wanted(parsed), _binary_unless_said(parsed))


def infer_answer(
    request: InferRequest, model: str, version: int, outputs: Mapping[str, Scores]
) -> tuple[bytes, int | None]:
    """The body of the answer, and the length of its JSON where tensors follow it.

    outputs: (R,) or (R, T) by name.

    Raises:
        BadValueError: an output is wanted that a model of one label has not.
    """
    wanted = dict.fromkeys(outputs, request.is_binary) if request.wanted is None else request.wanted
    tensors, tails = [], []
    for index, (name, is_binary) in enumerate(wanted.items()):
        if name not in outputs:
            problem = f"There is no output {name!r}: the model has one label."
            raise BadValueError(f"{problem} Ask for {' and '.join(_OUTPUTS)}.", path=f"outputs[{index}].name")
        values = outputs[name]
        tensor = _Tensor(name, list(values.shape), "FP32")
        if is_binary:
            tails.append(values.astype("<f4").tobytes())
            tensor.parameters = {"binary_data_size": len(tails[-1])}
        else:
            tensor.data = values.ravel().tolist()
        tensors.append(tensor)
    head = _encoder.encode(_Answer(model, str(version), tensors, UNSET if request.id is None else request.id))
    return head + b"".join(tails), len(head) if tails else None


def _binary_unless_said(body: _Body) -> bool:
    return body.parameters.get("binary_data_output", False) is True


def _wanted(body: _Body) -> Mapping[str, bool] | None:
    if body.outputs is None:
        return None
    wanted: dict[str, bool] = {}
    for index, output in enumerate(body.outputs):
        if output.name not in (*_OUTPUTS, _OF_LABELS):
            raise BadValueError(
                f"There is no output {output.name[:100]!r}. There are {' and '.join(_OUTPUTS)}.",
                path=f"outputs[{index}].name",
            )
        wanted[output.name] = output.parameters.get("binary_data", _binary_unless_said(body)) is True
    return wanted


def _values(tensor: _Input, tail: memoryview, path: str, max_rows: int) -> tuple[Sequence[object], memoryview]:
    """A tensor's values (R,), and what follows its binary data."""
    rows = _rows(tensor.shape, path)
    if rows > max_rows:
        raise TooLargeError(f"`inputs` must hold at most {max_rows:,} rows. Got {rows:,}. Send several requests.")
    if tensor.datatype != _BYTES and tensor.datatype not in _TYPES:
        known = ", ".join((_BYTES, *_TYPES))
        raise BadValueError(
            f"The datatype must be one of {known}. Got {tensor.datatype[:50]!r}.", path=f"{path}.datatype"
        )
    size = tensor.parameters.get("binary_data_size")
    if (size is None) == (tensor.data is None):
        raise BadValueError("Give either `data` or the parameter `binary_data_size`.", path=f"{path}.data")
    if tensor.data is not None:
        data = tensor.data
        values = list(chain.from_iterable(data)) if data and all(isinstance(item, list) for item in data) else data
    else:
        if type(size) is not int or not 0 <= size <= len(tail):
            raise BadValueError(
                f"`binary_data_size` must be a count of bytes, at most the {len(tail):,} that are left. Got {size!r}.",
                path=f"{path}.parameters.binary_data_size",
            )
        raw, tail = tail[:size], tail[size:]
        values = _texts(raw, path) if tensor.datatype == _BYTES else _numbers(raw, tensor.datatype, path)
    if len(values) != rows:
        raise BadValueError(
            f"The shape {tensor.shape} needs {rows:,} values. Got {len(values):,}.", path=f"{path}.data"
        )
    return values, tail


def _refuse_others(values: Sequence[Any], datatype: str, path: str) -> None:
    """Raise BadRowError where a value from JSON is none of a numeric datatype; a null is missing in each."""
    if datatype in _FLOATS:
        kinds, low, high = {int, float, type(None)}, -math.inf, math.inf
    else:
        limits = np.iinfo(_TYPES[datatype])
        kinds, low, high = {int, type(None)}, int(limits.min), int(limits.max)
    if kinds.issuperset(map(type, values)):
        present = [] if datatype in _FLOATS else [value for value in values if value is not None]
        if not present or (low <= min(present) and max(present) <= high):
            return
    wanted = "numbers" if datatype in _FLOATS else f"whole numbers from {low:,} to {high:,}"
    for row, value in enumerate(values):
        if type(value) not in kinds or (value is not None and not low <= value <= high):
            raise BadRowError(f"{datatype} takes {wanted}. Got {_shown(value)}.", path=f"{path}.data[{row}]")


def _shown(value: Any) -> str:
    text = _encoder.encode(value)
    return text.decode() if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN].decode(errors='ignore')}..."


def _rows(shape: Sequence[int], path: str) -> int:
    if len(shape) not in (1, 2) or shape[0] < 0 or (len(shape) == 2 and shape[1] != 1):
        raise BadValueError(
            f"The shape must be [rows] or [rows, 1]: a tensor is one column. Got {list(shape)[:8]}.",
            path=f"{path}.shape",
        )
    return shape[0]


def _texts(raw: memoryview, path: str) -> list[object]:
    texts: list[object] = []
    at = 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise BadValueError("The binary data ends inside an element's length.", path=f"{path}.data")
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4
        if at + length > len(raw):
            raise BadValueError("The binary data ends inside an element.", path=f"{path}.data")
        try:
            texts.append(str(raw[at : at + length], "utf-8"))
        except UnicodeDecodeError as error:
            raise BadValueError("An element is no UTF-8.", path=f"{path}.data[{len(texts)}]") from error
        at += length
    return texts


def _numbers(raw: memoryview, datatype: str, path: str) -> list[object]:
    kind = _TYPES[datatype]
    if len(raw) % kind.itemsize:
        raise BadValueError(
            f"{datatype} takes {kind.itemsize} bytes an element. Got {len(raw):,} bytes.", path=f"{path}.data"
        )
    values: list[object] = np.frombuffer(raw, kind).tolist()
    return [None if value != value else value for value in values] if datatype in _FLOATS else values
