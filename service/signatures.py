"""What a version takes and gives, in the form of TensorFlow Serving's `GET /v1/models/{name}/metadata`.

    {"model_spec": {...}, "metadata": {"signature_def": {"signature_def": {"serving_default": {"inputs": {...}, ...}}}}}

An input is a column of raw values: numbers (DT_FLOAT), or text (DT_STRING), which may also be sent as whole numbers; of
lists it has two dimensions. Any of them may be left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ctrfast.data.encode import SCHEMA_FILE
from ctrfast.errors import ArtifactError
from ctrfast.fitted_schema import FittedSchema
from ctrfast.schema import Schema
from service.model_answers import ModelMetadata, ModelSpec
from service.paths import without_server_paths
from service.problems import ModelUnavailableError

_DEFAULT = "serving_default"


def metadata_of(name: str, version: int, folder: Path) -> ModelMetadata:
    """The metadata of a version whose bundle lies in `folder`. Raises ModelUnavailableError."""
    try:
        schema = FittedSchema.from_file(folder / SCHEMA_FILE).schema_
    except ArtifactError as error:
        raise ModelUnavailableError(without_server_paths(error.message)) from error
    signatures = {"signature_def": {_DEFAULT: signature_of(schema)}}
    return ModelMetadata(model_spec=ModelSpec(name=name, version=str(version)), metadata={"signature_def": signatures})


def signature_of(schema: Schema) -> dict[str, Any]:
    """A SignatureDef as JSON."""
    numeric = {field.source for field in schema.numeric_fields}
    numeric |= {field.source for field in schema.id_fields if field.bucket is not None}
    lists = {field.source for field in schema.id_fields if field.separator is not None}
    inputs = {
        column: _tensor(column, "DT_FLOAT" if column in numeric else "DT_STRING", 2 if column in lists else 1)
        for column in schema.input_columns
    }
    output = "probabilities" if schema.tasks else "probability"
    return {
        "inputs": inputs,
        "outputs": {output: _tensor(output, "DT_FLOAT", 2 if schema.tasks else 1)},
        "method_name": "tensorflow/serving/predict",
    }


def _tensor(name: str, dtype: str, dimensions: int) -> dict[str, Any]:
    dim = [{"size": "-1", "name": ""} for _ in range(dimensions)]
    return {"dtype": dtype, "tensor_shape": {"dim": dim, "unknown_rank": False}, "name": name}
