"""Links of the OpenAPI document: which answer names what other routes ask for, for readers and for tests that follow.

POST /v1/jobs, 202  --id-->  GET /v1/jobs/{job_id}, POST /v1/jobs/{job_id}/cancel, ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Route = tuple[str, str]  # method, path

_ID, _NAME = "$response.body#/id", "$response.body#/name"
_JOB = "/v1/jobs/{job_id}"
_OF_A_JOB: tuple[Route, ...] = (
    ("get", _JOB),
    *(("get", f"{_JOB}/{part}") for part in ("events", "logs", "metrics")),
    *(("post", f"{_JOB}/{action}") for action in ("cancel", "pause", "resume", "retry")),
)
_DATASET = "/v1/datasets/{name}"
_MODEL = "/v1/models/{name}"

# (method, path, status) -> the routes that its answer leads to, and what it tells them.
_LINKS: Mapping[tuple[str, str, str], tuple[tuple[Route, ...], Mapping[str, str]]] = {
    ("post", "/v1/jobs", "202"): (_OF_A_JOB, {"job_id": _ID}),
    ("get", _JOB, "200"): (_OF_A_JOB[1:], {"job_id": _ID}),
    **{("post", path, "202"): (_OF_A_JOB, {"job_id": _ID}) for method, path in _OF_A_JOB if method == "post"},
    ("post", "/v1/datasets", "201"): ((("get", _DATASET), ("get", f"{_DATASET}/report")), {"name": _NAME}),
    ("post", "/v1/datasets", "202"): (_OF_A_JOB, {"job_id": _ID}),
    ("get", _MODEL, "200"): (
        (("get", f"{_MODEL}/versions/{{version}}"), ("post", f"{_MODEL}/versions/{{version}}:predict")),
        {"name": _NAME, "version": "$response.body#/versions/0/version"},
    ),
    ("put", f"{_MODEL}/aliases/{{alias}}", "200"): (
        (("post", f"{_MODEL}/labels/{{alias}}:predict"),),
        {"name": "$response.body#/model", "alias": "$response.body#/alias"},
    ),
}


def add_links(document: dict[str, Any]) -> None:
    """Write the links into a document that has all of the routes."""
    paths = document["paths"]
    for (method, path, status), (targets, parameters) in _LINKS.items():
        answer = paths[path][method]["responses"][status]
        operations = [paths[to][by] for by, to in targets]
        answer["links"] = {
            operation["operationId"].partition("_v1_")[0]: {
                "operationId": operation["operationId"],
                "parameters": dict(parameters),
            }
            for operation in operations
        }
