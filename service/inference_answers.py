"""Answers of the Open Inference Protocol's health and metadata routes, in the protocol's own words."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel

from service.served import Served

_ANY_ROWS = -1


class Live(BaseModel):
    """The process answers."""

    live: Literal[True] = True


class ServerIsReady(BaseModel):
    """The server can score."""

    ready: Literal[True] = True


class ModelIsReady(BaseModel):
    """A model can score."""

    name: str
    ready: Literal[True] = True


class InferenceServer(BaseModel):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class TensorPublic(BaseModel):
    """A tensor that goes in or comes out; -1 is any number of rows."""

    name: str
    datatype: str
    shape: list[int]


class InferenceModel(BaseModel):
    """A model's tensors: one for each raw column. Columns of numbers also take other numeric types, and text."""

    name: str
    versions: list[str]
    platform: Literal["ctrfast_onnx"] = "ctrfast_onnx"
    inputs: list[TensorPublic]
    outputs: list[TensorPublic]

    @classmethod
    def of(cls, served: Served) -> Self:
        """The metadata of one version."""
        schema = served.scorer.encoder.fitted.schema_
        texts = {field.source for field in schema.id_fields if field.bucket is None}
        return cls(
            name=served.name,
            versions=[str(served.version)],
            inputs=[_column(name, "BYTES" if name in texts else "FP32") for name in schema.input_columns],
            outputs=[
                *(_column(name, "FP32") for name in ("probability", "calibrated")),
                *_of_labels(len(schema.tasks)),
            ],
        )


def _of_labels(count: int) -> list[TensorPublic]:
    """Of a model of several labels."""
    return [TensorPublic(name="probabilities", datatype="FP32", shape=[_ANY_ROWS, count])] if count else []


def _column(name: str, datatype: str) -> TensorPublic:
    return TensorPublic(name=name, datatype=datatype, shape=[_ANY_ROWS])
