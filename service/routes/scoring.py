"""Online scoring: TensorFlow Serving's `:predict` on a model, a version or an alias, and `/v1/score`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from service.dependencies import AliasName, ModelName, ProjectDep, ServicesDep, Version, problems
from service.problems import BadValueError, NotFoundError
from service.projects import qualified
from service.registry import LATEST
from service.scoring import Answer, answer_predict, answer_score, decode_predict, decode_score
from service.shelf import Served
from service.specs import LARGEST_VERSION
from service.wiring import Services

router = APIRouter(prefix="/v1", tags=["scoring"])

_ROWS_IN_LOOP = 32  # fewer are scored faster than a thread is woken

_ROW = {"type": "object", "additionalProperties": {"type": ["string", "number", "null"]}}
_ROWS = {"type": "array", "items": _ROW}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
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
                "properties": {"probability": _SHARE, "calibrated": _SHARE},
            },
        },
        "unseen": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
    },
}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_PREDICT: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {
            "description": "Click probabilities, in order: `predictions` for rows, `outputs` for columns",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "predictions": {"type": "array", "items": {"type": "number"}},
                            "outputs": {"type": "array", "items": {"type": "number"}},
                        },
                    }
                }
            },
        },
        **problems(400, 404, 409, 413, 422),
    },
    "openapi_extra": _body(
        {
            "type": "object",
            "properties": {
                "instances": _ROWS,
                "inputs": {"type": "object", "additionalProperties": {"type": "array"}},
                "signature_name": {"type": "string"},
            },
            "example": {"instances": [{"I1": 3, "C1": "68fd1e64"}]},
        }
    ),
}


@router.post("/models/{name}:predict", **_PREDICT)
async def predict(name: ModelName, request: Request, services: ServicesDep, project: ProjectDep) -> Response:
    """Score impressions with the version that `latest` points at."""
    return await _predict(await services.shelf.by_alias(project, name, LATEST), request, services)


@router.post("/models/{name}/versions/{version}:predict", **_PREDICT)
async def predict_version(
    name: ModelName, version: Version, request: Request, services: ServicesDep, project: ProjectDep
) -> Response:
    """Score impressions with one version."""
    return await _predict(await services.shelf.by_version(project, name, version), request, services)


@router.post("/models/{name}/labels/{alias}:predict", **_PREDICT)
async def predict_label(
    name: ModelName, alias: AliasName, request: Request, services: ServicesDep, project: ProjectDep
) -> Response:
    """Score impressions with the version that an alias points at."""
    return await _predict(await services.shelf.by_alias(project, name, alias), request, services)


@router.post(
    "/score",
    response_class=Response,
    responses={
        200: {
            "description": "A probability for each candidate, in order, and how many values were unseen",
            "content": {
                "application/json": {
                    "schema": _SCORES,
                    "example": {
                        "model": "ctr",
                        "version": 1,
                        "scores": [{"probability": 0.231, "calibrated": 0.231}],
                        "unseen": {"C1": 0},
                    },
                }
            },
        },
        **problems(400, 404, 409, 413, 422),
    },
    openapi_extra=_body(
        {
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
    ),
)
async def score(request: Request, services: ServicesDep, project: ProjectDep) -> Response:
    """Score many candidates in one context. A candidate's fields join the context's."""
    body = decode_score(await request.body(), services.settings.max_instances)
    try:
        if body.version is None:
            served = await services.shelf.by_alias(project, body.model, body.alias)
        elif 1 <= body.version <= LARGEST_VERSION:
            served = await services.shelf.by_version(project, body.model, body.version)
        else:
            raise NotFoundError("version", body.version, of=f"model {body.model[:100]!r}")
    except NotFoundError as error:
        raise BadValueError(error.detail, path="model") from error
    return await _answer(services, served, len(body.candidates), lambda: answer_score(served, body))


async def _predict(served: Served, request: Request, services: Services) -> Response:
    rows, columnar = decode_predict(await request.body(), services.settings.max_instances)
    return await _answer(services, served, len(rows), lambda: answer_predict(served, rows, columnar))


async def _answer(services: Services, served: Served, rows: int, work: Callable[[], Answer]) -> Response:
    answer = work() if rows <= _ROWS_IN_LOOP else await run_in_threadpool(work)
    services.telemetry.count_scores(qualified(served.project, served.name), answer.rows, answer.unseen)
    return Response(answer.content, media_type="application/json", headers={"X-Model-Version": str(served.version)})
