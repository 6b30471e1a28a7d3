"""Who is asking, and what each route asks of them: `NEEDS` names the one right that a route needs.

A route that is missing from the table needs `admin`; a test holds that none is missing. Rights are written as OAuth
scopes are: names with a space between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from service.problems import MissingScopeError
from service.projects import DEFAULT_PROJECT


class Right(StrEnum):
    """What a key may do; the scopes of `create-key`."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    SCORE = "score"
    ADMIN = "admin"


ALL_RIGHTS = frozenset(Right)
USUAL_RIGHTS = ALL_RIGHTS - {Right.ADMIN}


@dataclass(frozen=True)
class Caller:
    """Who is asking. id: of the key, empty for a local caller without one. name: the key's, empty where it has none."""

    id: str
    project: str = DEFAULT_PROJECT
    rights: frozenset[Right] = ALL_RIGHTS
    name: str = ""


LOCAL_CALLER = Caller("")

_JOB, _DATASET, _MODEL = "/v1/jobs", "/v1/datasets", "/v1/models"

# (method, route template) -> right. None: any caller who may ask at all; it shows nothing of a project.
NEEDS: Mapping[tuple[str, str], Right | None] = {
    ("GET", _JOB): Right.JOBS_READ,
    ("GET", f"{_JOB}/{{job_id}}"): Right.JOBS_READ,
    ("GET", f"{_JOB}/{{job_id}}/events"): Right.JOBS_READ,
    ("GET", f"{_JOB}/{{job_id}}/logs"): Right.JOBS_READ,
    ("GET", f"{_JOB}/{{job_id}}/metrics"): Right.JOBS_READ,
    ("GET", f"{_JOB}/{{job_id}}/report"): Right.JOBS_READ,
    ("GET", f"{_JOB}/{{job_id}}/comparison"): Right.JOBS_READ,
    ("GET", f"{_JOB}/{{job_id}}/outputs/{{name}}"): Right.JOBS_READ,
    ("GET", _DATASET): Right.JOBS_READ,
    ("GET", f"{_DATASET}/{{name}}"): Right.JOBS_READ,
    ("GET", f"{_DATASET}/{{name}}/report"): Right.JOBS_READ,
    ("GET", "/v1/architectures"): Right.JOBS_READ,
    ("GET", "/v1/published-results"): Right.JOBS_READ,
    ("POST", _JOB): Right.JOBS_WRITE,
    ("POST", f"{_JOB}/{{job_id}}/cancel"): Right.JOBS_WRITE,
    ("POST", f"{_JOB}/{{job_id}}/pause"): Right.JOBS_WRITE,
    ("POST", f"{_JOB}/{{job_id}}/resume"): Right.JOBS_WRITE,
    ("POST", f"{_JOB}/{{job_id}}/retry"): Right.JOBS_WRITE,
    ("POST", _DATASET): Right.JOBS_WRITE,
    ("POST", "/v1/plans"): Right.JOBS_WRITE,
    ("GET", "/v1/plans/schema"): Right.JOBS_READ,
    ("GET", _MODEL): Right.MODELS_READ,
    ("GET", f"{_MODEL}/{{name}}"): Right.MODELS_READ,
    ("GET", f"{_MODEL}/{{name}}/versions/{{version}}"): Right.MODELS_READ,
    ("GET", f"{_MODEL}/{{name}}/labels/{{alias}}"): Right.MODELS_READ,
    ("GET", f"{_MODEL}/{{name}}/metadata"): Right.MODELS_READ,
    ("GET", f"{_MODEL}/{{name}}/versions/{{version}}/metadata"): Right.MODELS_READ,
    ("GET", f"{_MODEL}/{{name}}/versions/{{version}}/calibration"): Right.MODELS_READ,
    ("GET", f"{_MODEL}/{{name}}/labels/{{alias}}/metadata"): Right.MODELS_READ,
    ("GET", f"{_MODEL}/{{name}}/aliases/{{alias}}"): Right.MODELS_READ,
    ("GET", f"{_MODEL}/{{name}}/traffic"): Right.MODELS_READ,
    ("GET", f"{_MODEL}/{{name}}/shadow"): Right.MODELS_READ,
    ("PUT", f"{_MODEL}/{{name}}/aliases/{{alias}}"): Right.MODELS_WRITE,
    ("PUT", f"{_MODEL}/{{name}}/traffic"): Right.MODELS_WRITE,
    ("DELETE", f"{_MODEL}/{{name}}/versions/{{version}}"): Right.MODELS_WRITE,
    ("POST", f"{_MODEL}/{{name}}:predict"): Right.SCORE,
    ("POST", f"{_MODEL}/{{name}}/versions/{{version}}:predict"): Right.SCORE,
    ("POST", f"{_MODEL}/{{name}}/labels/{{alias}}:predict"): Right.SCORE,
    ("POST", f"{_MODEL}/{{name}}:explain-encoding"): Right.SCORE,
    ("POST", f"{_MODEL}/{{name}}:explain"): Right.SCORE,
    ("GET", f"{_MODEL}/{{name}}/drift"): Right.MODELS_READ,
    ("POST", "/v1/score"): Right.SCORE,
    ("POST", "/v2/models/{name}/infer"): Right.SCORE,
    ("POST", "/v2/models/{name}/versions/{version}/infer"): Right.SCORE,
    ("GET", "/v2/models/{name}"): Right.SCORE,
    ("GET", "/v2/models/{name}/versions/{version}"): Right.SCORE,
    ("GET", "/v2/models/{name}/ready"): Right.SCORE,
    ("GET", "/v2/models/{name}/versions/{version}/ready"): Right.SCORE,
    ("GET", "/v2"): Right.SCORE,
    ("GET", "/v2/health/live"): None,
    ("GET", "/v2/health/ready"): None,
    ("GET", "/v1/audit"): Right.ADMIN,
    ("GET", "/metrics"): Right.ADMIN,
    ("GET", "/docs"): None,
    ("GET", "/healthz"): None,
    ("HEAD", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("HEAD", "/readyz"): None,
}

# Written to the audit log: what needs one of these rights and changes something.
_CHANGING_RIGHTS = frozenset({Right.JOBS_WRITE, Right.MODELS_WRITE, Right.ADMIN})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DRY_RUNS = frozenset({"/v1/plans"})


def needed_right(method: str, template: str) -> Right | None:
    """The right that a route needs."""
    return NEEDS.get((method, template), Right.ADMIN)


def changes_something(method: str, template: str) -> bool:
    """Whether a request to this route belongs into the audit log."""
    return (
        method not in _SAFE_METHODS and template not in _DRY_RUNS and needed_right(method, template) in _CHANGING_RIGHTS
    )


async def require_right(request: Request) -> None:
    """A dependency of every route: refuse a caller who lacks its right. Raises MissingScopeError."""
    needed = needed_right(request.method, request.scope["route"].path)
    if needed is None:
        return
    caller: Caller = request.state.caller
    if needed not in caller.rights:
        raise MissingScopeError(needed)


def rights_of(names: Iterable[str]) -> frozenset[Right]:
    """Rights by name; ValueError names one that does not exist, and those that do."""
    given = set(names)
    unknown = sorted(given - set(Right))
    if unknown:
        raise ValueError(f"There is no scope {unknown[0]!r}. The scopes are: {' '.join(Right)}.")
    return frozenset(Right(name) for name in given)


def rights_text(rights: Iterable[Right]) -> str:
    """Rights as one text, in the order of their declaration."""
    return " ".join(right for right in Right if right in set(rights))
