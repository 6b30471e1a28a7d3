"""Why a score is what it is: what raw values became, what each adds; and how far live traffic is from training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from ctrfast.errors import DataError
from ctrfast.explain import MOST_PAIRED, Explanation, explain_score
from service.dependencies import ModelName, ProjectDep, ServicesDep, problems
from service.explained import EncodedRows, ExplainedRows, ModelDrift
from service.json_bodies import JsonRoute
from service.problems import BadRowError, NotAvailableError
from service.registry import LATEST
from service.served import Served
from service.specs import LARGEST_VERSION, Name
from service.wiring import Services

router = APIRouter(prefix="/v1/models", tags=["scoring"], route_class=JsonRoute)

_MOST_ROWS = 100
_Version = Annotated[int, Field(ge=1, le=LARGEST_VERSION)]


class EncodingRequest(BaseModel):
    """Rows of raw values. Without version and alias `latest` explains."""

    model_config = ConfigDict(extra="forbid")

    instances: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=_MOST_ROWS, examples=[[{"I1": 3}]])]
    version: _Version | None = None
    alias: Name = LATEST


class ExplanationRequest(EncodingRequest):
    """pairs: of how many fields, the strongest ones, all pairs are looked at."""

    pairs: Annotated[int, Field(ge=0, le=MOST_PAIRED)] = 5


@router.post("/{name}:explain-encoding", responses=problems(400, 404, 410, 413, 422, 503))
async def explain_encoding(
    name: ModelName, request: EncodingRequest, services: ServicesDep, project: ProjectDep
) -> EncodedRows:
    """What each value becomes: kept, unseen, missing or hashed, its id and row; a number, transformed and scaled."""
    served = await _served(services, project, name, request.version, request.alias)
    rows = []
    for number, row in enumerate(request.instances):
        try:
            rows.append(list(served.scorer.encoder.explain(row)))
        except DataError as error:
            raise _in_row(error, number) from error
    return EncodedRows(model=name, version=served.version, rows=rows)


@router.post("/{name}:explain", responses=problems(400, 404, 410, 413, 422, 503))
async def explain(
    name: ModelName, request: ExplanationRequest, services: ServicesDep, project: ProjectDep
) -> ExplainedRows:
    """What each field adds to the score, by taking it out; and what the strongest pairs add together."""
    served = await _served(services, project, name, request.version, request.alias)

    def explained() -> list[Explanation]:
        return [_explained(served, row, number, request.pairs) for number, row in enumerate(request.instances)]

    return ExplainedRows(model=name, version=served.version, rows=await run_in_threadpool(explained))


@router.get("/{name}/drift", responses=problems(404, 410, 422, 503))
async def drift(
    name: ModelName,
    services: ServicesDep,
    project: ProjectDep,
    version: Annotated[_Version | None, Query()] = None,
) -> ModelDrift:
    """How far the rows that this process scored in the last 24 hours are from the training rows, by field."""
    served = await _served(services, project, name, version, LATEST)
    report = served.live.report()
    if report is None:
        raise NotAvailableError("The model's bundle does not say what its training rows were like. Export it again.")
    return ModelDrift(
        model=name, version=served.version, hours=report.hours, rows=report.rows, fields=list(report.fields)
    )


async def _served(services: Services, project: str, name: str, version: int | None, alias: str) -> Served:
    if version is not None:
        return await services.shelf.by_version(project, name, version)
    return await services.shelf.by_alias(project, name, alias)


def _explained(served: Served, row: Mapping[str, Any], number: int, pairs: int) -> Explanation:
    try:
        return explain_score(served.scorer, row, pairs=pairs)
    except DataError as error:
        raise _in_row(error, number) from error


def _in_row(error: DataError, number: int) -> BadRowError:
    _, _, column = (error.path or "").partition(".")
    message = error.message.replace("Row 0", f"Row {number}", 1)
    return BadRowError(message, path=f"instances[{number}].{column}" if column else f"instances[{number}]")
