"""What the OpenAPI document says of the scoring routes, which the framework does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.registry import LATEST
from service.specs import LARGEST_VERSION, NAME_PATTERN

_JSON = "application/json"
_ROW = {"type": "object", "additionalProperties": {"type": ["string", "number", "null", "array"]}}
_ROWS = {"type": "array", "items": _ROW}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_SHARES = {"anyOf": [_SHARE, {"type": "array", "items": _SHARE}]}  # a list where the model has several labels
_NAME = {"type": "string", "pattern": NAME_PATTERN}
_VERSION = {"type": "integer", "minimum": 1, "maximum": LARGEST_VERSION}
_REFUSALS = (400, 401, 403, 404, 410, 413, 422, 429, 503)

_PREDICT_BODY = {
    "type": "object",
    "properties": {
        "instances": _ROWS,
        "inputs": {"type": "object", "additionalProperties": {"type": "array"}},
        "signature_name": {"type": "string"},
    },
    "example": {"instances": [{"I1": 3, "C1": "68fd1e64"}]},
}
_PREDICTIONS = {
    "type": "object",
    "properties": {
        "predictions": {"type": "array", "items": _SHARES},
        "outputs": {"type": "array", "items": _SHARES},
    },
}
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"type": "string"},
        "parameters": {"type": "object"},
        "data": {"type": "array"},
    },
}
_INFER_BODY = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {"type": "array", "items": _TENSOR},
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
            },
        },
    },
    "example": {
        "inputs": [
            {"name": "C1", "shape": [1], "datatype": "BYTES", "data": ["68fd1e64"]},
            {"name": "I1", "shape": [1], "datatype": "FP32", "data": [3]},
        ]
    },
}
_INFERRED = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": _TENSOR},
    },
}
_SCORE_BODY = {
    "type": "object",
    "required": ["model", "candidates"],
    "properties": {
        "model": {"type": "string"},
        "context": _ROW,
        "candidates": _ROWS,
        "version": {"type": "integer"},
        "alias": {"type": "string", "default": LATEST},
    },
    "example": {"model": "ctr", "context": {"I1": 3}, "candidates": [{"C3": "a"}, {"C3": "b"}]},
}
_SCORES = {
    "type": "object",
    "required": ["model", "version", "scores", "unseen"],
    "properties": {
        "model": {"type": "string"},
        "version": {"type": "integer"},
        "scores": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["probability", "calibrated"],
                "properties": {
                    "probability": _SHARE,
                    "calibrated": _SHARE,
                    "probabilities": {"type": "object", "additionalProperties": _SHARE},
                },
            },
        },
        "unseen": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
    },
    "example": {
        "model": "ctr",
        "version": 1,
        "scores": [{"probability": 0.231, "calibrated": 0.231}],
        "unseen": {"C1": 0},
    },
}


def _operation(
    summary: str, operation: str, body: Mapping[str, Any], answer: Mapping[str, Any], **parameters: Any
) -> dict[str, Any]:
    parameter = [{"name": key, "in": "path", "required": True, "schema": schema} for key, schema in parameters.items()]
    described = "Click probabilities, in the order of the rows; X-Model-Version tells whose"
    return {
        "post": {
            "tags": ["scoring"],
            "summary": summary,
            "operationId": operation,
            **({"parameters": parameter} if parameter else {}),
            "requestBody": {"required": True, "content": {_JSON: {"schema": dict(body)}}},
            "responses": {
                "200": {"description": described, "content": {_JSON: {"schema": dict(answer)}}},
                **{str(status): {} for status in _REFUSALS},
            },
        }
    }


PATHS: Mapping[str, dict[str, Any]] = {
    "/v1/models/{name}:predict": _operation(
        "Score impressions with the version that `latest` points at.",
        "predict",
        _PREDICT_BODY,
        _PREDICTIONS,
        name=_NAME,
    ),
    "/v1/models/{name}/versions/{version}:predict": _operation(
        "Score impressions with one version.",
        "predict_version",
        _PREDICT_BODY,
        _PREDICTIONS,
        name=_NAME,
        version=_VERSION,
    ),
    "/v1/models/{name}/labels/{alias}:predict": _operation(
        "Score impressions with the version that an alias points at.",
        "predict_label",
        _PREDICT_BODY,
        _PREDICTIONS,
        name=_NAME,
        alias=_NAME,
    ),
    "/v1/score": _operation(
        "Score many candidates in one context. A candidate's fields join the context's.",
        "score",
        _SCORE_BODY,
        _SCORES,
    ),
    "/v2/models/{name}/infer": _operation(
        "Score impressions with the version that `latest` points at (Open Inference Protocol).",
        "infer",
        _INFER_BODY,
        _INFERRED,
        name=_NAME,
    ),
    "/v2/models/{name}/versions/{version}/infer": _operation(
        "Score impressions with one version (Open Inference Protocol).",
        "infer_version",
        _INFER_BODY,
        _INFERRED,
        name=_NAME,
        version=_VERSION,
    ),
}
