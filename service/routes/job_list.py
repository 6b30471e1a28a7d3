"""The list of jobs. It leaves compressed, as metric series do: rows of one page are much alike."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.compressed_route import CompressedRoute
from service.dependencies import JobsDep, problems
from service.job_answers import JobList, jobs_json
from service.options import MOST_LABELS, parse_label_filters
from service.states import Kind, State

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=CompressedRoute)


@router.get("", response_model=JobList, responses=problems(404, 422))
def list_jobs(
    jobs: JobsDep,
    state: State | None = None,
    kind: Kind | None = None,
    label: Annotated[list[str] | None, Query(max_length=MOST_LABELS, examples=[["team=ads"]])] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(pattern="^[0-9a-f]{1,32}$")] = None,
    parent: Annotated[str | None, Query(min_length=1, max_length=32)] = None,
) -> Response:
    """Jobs that match, newest first; filtered before they are cut into pages. Several labels must all be there.

    `parent`: the runs of a sweep; 404: there is no such job.
    """
    if parent is not None:
        jobs.get(parent)
    labels = parse_label_filters(label or ())
    page = jobs.page(state=state, kind=kind, labels=labels, limit=limit, cursor=cursor, parent=parent)
    return Response(jobs_json(page), media_type="application/json")
