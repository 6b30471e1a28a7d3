"""Errors as answers: RFC 9457 problem documents with stable codes, and one table from ctrfast's errors to HTTP.

    {"type": "urn:ctrfast:problem:not_found", "title": "Not found", "status": 404, "code": "not_found",
     "detail": "There is no job 'x'.", "error": "There is no job 'x'.", "path": "spec.dataset", "request_id": "..."}

`path` names the field at fault, where there is one; `error` is what clients of TensorFlow Serving and of the Open
Inference Protocol look for. A document holds no stack trace and no path of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from ctrfast.errors import (
    ArtifactError,
    Cancelled,
    ConfigError,
    CtrFastError,
    DamagedFileError,
    DataError,
    DependencyError,
    StorageError,
    StoreUnavailableError,
    TrainingError,
    WorkerLostError,
)
from service.problems import ServiceError

MEDIA_TYPE = "application/problem+json"

STATUS_OF: Mapping[type[CtrFastError], int] = {
    ConfigError: 422,
    DataError: 422,
    DamagedFileError: 422,
    ArtifactError: 422,
    Cancelled: 409,
    TrainingError: 500,
    StorageError: 507,
    StoreUnavailableError: 503,
    WorkerLostError: 500,
    DependencyError: 500,
    CtrFastError: 500,
}


class Problem(BaseModel):
    """The body of every error."""

    type: str
    title: str
    status: int
    detail: str
    error: str
    code: str
    path: str | None = None
    request_id: str | None = None


def problem_response(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    path: str | None = None,
    request_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem document as an answer. Absent members are left out, and text that is no Unicode reads `?`."""
    problem = Problem(
        type=f"urn:ctrfast:problem:{code}",
        title=_valid_text(title),
        status=status,
        detail=_valid_text(detail),
        error=_valid_text(detail),
        code=code,
        path=None if path is None else _valid_text(path),
        request_id=request_id,
    )
    content: dict[str, Any] = problem.model_dump(exclude_none=True)
    return JSONResponse(content, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def _valid_text(text: str) -> str:
    return text.encode(errors="replace").decode()  # half of a surrogate pair, from a JSON escape, has no UTF-8


def service_problem(error: ServiceError, request_id: str | None) -> JSONResponse:
    """A refusal of the service as an answer."""
    return problem_response(
        error.status,
        error.code,
        error.title,
        error.detail,
        path=error.path,
        request_id=request_id,
        headers=error.headers,
    )


def library_status(error: CtrFastError) -> int:
    """The HTTP status of one of ctrfast's errors: that of its nearest class in `STATUS_OF`."""
    return next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)


def library_problem(error: CtrFastError, message: str, request_id: str | None) -> JSONResponse:
    """One of ctrfast's errors as an answer; `message` is its text without the server's paths."""
    status = library_status(error)
    return problem_response(
        status, error.code, HTTPStatus(status).phrase, message, path=error.path, request_id=request_id
    )
