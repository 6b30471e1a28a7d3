"""Datasets: register one that is prepared, or have one prepared."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response

from ctrfast.data.report import DataReport
from ctrfast.data.report.tags import SECURITY_POLICY
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.store.address import is_stored
from service.answers import DatasetCreate, DatasetList, DatasetPublic
from service.dependencies import (
    CallerDep,
    DatasetName,
    DatasetsDep,
    IdempotencyKey,
    ReportsDep,
    SettingsDep,
    SubmissionsDep,
    problems,
)
from service.job_answers import JobPublic
from service.json_bodies import JsonRoute
from service.negotiation import prefers_html
from service.paths import allowed_address, allowed_path, without_server_paths
from service.places import Place
from service.states import Kind

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=JsonRoute)


@router.post(
    "",
    status_code=201,
    response_model=DatasetPublic | JobPublic,
    responses={202: {"model": JobPublic, "description": "A job prepares it"}, **problems(400, 403, 409, 422)},
)
def create_dataset(
    request: DatasetCreate,
    response: Response,
    caller: CallerDep,
    settings: SettingsDep,
    datasets: DatasetsDep,
    submissions: SubmissionsDep,
    idempotency_key: IdempotencyKey = None,
) -> DatasetPublic | JobPublic:
    """Register a prepared dataset by path (201), or prepare one (202 and a job). 409: the name is taken.

    The same content from another folder moves the name there.
    """
    if (request.path is None) == (request.prepare is None):
        raise ConfigError("Give either `path` (a prepared dataset) or `prepare` (raw files).", path="path")
    if request.path is not None:
        place: Place
        if is_stored(request.path):
            place = allowed_address(request.path, settings.stored_roots, "path")
        else:
            place = allowed_path(request.path, settings.roots, "path")
        try:
            row = datasets.register(request.name, place)
        except ArtifactError as error:
            message = without_server_paths(error.message, {str(place): request.path})
            raise ArtifactError(message, path="path") from error
        response.headers["Location"] = f"/v1/datasets/{row.name}"
        return DatasetPublic.of(row)
    if "name" in (request.prepare or {}):
        raise ConfigError("Give `name` once, beside `prepare`.", path="prepare.name")
    spec = {"name": request.name, **(request.prepare or {})}
    job, _ = submissions.submit(Kind.PREPARE, spec, owner=caller, key=idempotency_key, prefix="prepare")
    response.status_code = 202
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return JobPublic.of(job, submissions.jobs.positions([job]))


@router.get("")
def list_datasets(datasets: DatasetsDep) -> DatasetList:
    """All datasets."""
    return DatasetList(datasets=[DatasetPublic.of(row) for row in datasets.all()])


@router.get("/{name}", responses=problems(404))
def get_dataset(name: DatasetName, datasets: DatasetsDep) -> DatasetPublic:
    """One dataset."""
    return DatasetPublic.of(datasets.get(name))


@router.get(
    "/{name}/report",
    response_model=DataReport,
    responses={200: {"content": {"text/html": {}}}, **problems(404, 409, 422, 503)},
)
def get_report(
    name: DatasetName,
    reports: ReportsDep,
    form: Annotated[Literal["json", "html"] | None, Query(alias="format")] = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """What a dataset holds, drifts and costs, with warnings; as a page with `Accept: text/html` or `?format=html`.

    The first request for a dataset reads all of it. 409: its folder is gone or was changed. 503: another report is
    being made; ask again.
    """
    if form == "html" or (form is None and prefers_html(accept)):
        headers = {"Content-Security-Policy": SECURITY_POLICY, "Vary": "Accept"}
        return Response(reports.page(name), media_type="text/html", headers=headers)
    return Response(reports.json(name), media_type="application/json", headers={"Vary": "Accept"})
