"""The OpenAPI document: what the framework makes of the routes, with the refusals that every route shares.

The framework gives a refusal's form under `application/json` alone; ours are `application/problem+json`. Refusals of
`service.guard` come before any route, so no route can declare them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from service.guard import OPEN_PATHS
from service.links import add_links
from service.problem_answers import MEDIA_TYPE, STATUS_OF
from service.problems import ServiceError
from service.scoring.described import PATHS

_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token of the identity provider"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_OF_ALL = (431, 500)
_OF_BODIES = (400, 408, 413, 422)
_OF_CALLERS = (401, 403, 429, 503)


class DescribedApi(FastAPI):
    """An application whose document lists every refusal."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        is_new = self.openapi_schema is None
        document = super().openapi()
        if is_new:
            document["paths"].update(copy.deepcopy(dict(PATHS)))
            _complete(document)
        return document


def _complete(document: dict[str, Any]) -> None:
    codes = _codes()
    document["components"]["securitySchemes"] = _SECURITY
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path not in OPEN_PATHS:
                operation["security"] = [{name: []} for name in _SECURITY]
            answers = operation["responses"]
            shared = (*_OF_ALL, *(_OF_BODIES if "requestBody" in operation else ()))
            shared = (*shared, *(_OF_CALLERS if path not in OPEN_PATHS else ()))
            refusals = {status for status in answers if status >= "400"} | {str(status) for status in shared}
            for status in refusals:
                answers[status] = _refusal(codes[int(status)])
            operation["responses"] = dict(sorted(answers.items()))
    add_links(document)


def _refusal(codes: list[str]) -> dict[str, Any]:
    return {
        "description": f"Problem (RFC 9457); `code` is one of {', '.join(codes)}",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _codes() -> dict[int, list[str]]:
    """Codes by status, of the service's own refusals and of the library's errors."""
    found = {(kind.status, kind.code) for kind in _all_below(ServiceError)}
    found |= {(status, kind.code) for kind, status in STATUS_OF.items()}
    return {status: sorted(code for of, code in found if of == status) for status, _ in found}


def _all_below(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all_below(below)
