"""What goes wrong between a client and the service. Each is one of ctrfast's errors (`ctrfast.errors`).

CtrFastError
|-- ProblemError       the service refused a request, and says why (RFC 9457)
|-- UnreachableError   no answer came
`-- JobFailedError     a job that was waited for did not succeed
"""

from __future__ import annotations

import json
from typing import Any

import httpx

from ctrfast.errors import CtrFastError

_PROBLEM = "application/problem+json"


class ProblemError(CtrFastError):
    """An answer that is a refusal. `code` is the service's own and stable; `path` names the field at fault.

    Args:
        status: of HTTP.
        code: `not_found`, `illegal_state`, ...; `http_error` where something else than the service answered.
        detail: what is wrong.
        path: the field at fault, where there is one.
        request_id: under which the service's log has the request.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, path: str | None = None, request_id: str | None = None
    ) -> None:
        marks = [
            f"{status} {code}",
            *([f"at {path}"] if path else []),
            *([f"request {request_id}"] if request_id else []),
        ]
        super().__init__(f"{detail} ({', '.join(marks)})", path=path)
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id

    @classmethod
    def of(cls, answer: httpx.Response) -> ProblemError:
        """The refusal that an answer holds; its body must have been read."""
        fields = _fields(answer)
        where = f"{answer.request.method} {answer.request.url.copy_with(query=None)}"
        return cls(
            answer.status_code,
            code_of(answer),
            str(fields.get("detail", f"{where} was answered {answer.status_code} {answer.reason_phrase}.")),
            path=fields.get("path"),
            request_id=answer.headers.get("x-request-id"),
        )


class UnreachableError(CtrFastError):
    """The service does not answer, or hung up before the end of its answer."""

    code = "unreachable"

    def __init__(self, url: httpx.URL | str, cause: Exception) -> None:
        super().__init__(
            f"The service at {url} does not answer: {str(cause) or type(cause).__name__}. "
            "Look whether it runs there, or give another URL."
        )


class JobFailedError(CtrFastError):
    """A job ended, and not well."""

    code = "job_failed"


def not_ours(answer: httpx.Response) -> ProblemError:
    """The error for a good answer that cannot be read: something else listens there."""
    detail = f"The answer of {answer.request.url.copy_with(query=None)} is none of ctrfast's. Check the URL."
    return ProblemError(answer.status_code, "bad_answer", detail)


def code_of(answer: httpx.Response) -> str:
    """The code of the refusal that an answer holds: see `ProblemError`."""
    return str(_fields(answer).get("code", "http_error"))


def _fields(answer: httpx.Response) -> dict[str, Any]:
    if not answer.headers.get("content-type", "").startswith(_PROBLEM):
        return {}
    try:
        fields = answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return fields if isinstance(fields, dict) else {}
