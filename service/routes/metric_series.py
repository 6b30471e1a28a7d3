"""A job's metric series."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic_core import to_json

from service.answers import MetricSeries
from service.compressed_route import CompressedRoute
from service.dependencies import JobId, JobsDep, problems
from service.jobs import JobStore
from service.metric_names import MetricNames
from service.routes.records import Seq
from service.series import FEWEST_POINTS, thin

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"], route_class=CompressedRoute)

_PAGE = 1000  # records that are read at once where all are asked for


@router.get("/metrics", response_model=MetricSeries, responses=problems(404, 410, 422))
def get_metric_series(
    job_id: JobId,
    jobs: JobsDep,
    names: Annotated[str | None, Query(max_length=4000, examples=["loss,valid_auc,clipped_share.*"])] = None,
    points: Annotated[int | None, Query(ge=FEWEST_POINTS, le=1_000_000)] = None,
    after: Seq = 0,
) -> Response:
    """Metric records in order; all, or those of some `names` (a comma between), or at most `points` of each name.

    A name that ends in `*` stands for all that begin so: `clipped_share.*` are those of the id fields. Thinned out, the
    first, last, least and greatest value of each stretch stay. 410: see the events.
    """
    jobs.get(job_id)
    wanted = None if names is None else MetricNames.parse(names)
    if points is None:
        pages = _pages(jobs, job_id, after, wanted)
        first = next(pages)  # refuses what was removed while that can be answered
        return StreamingResponse(itertools.chain((first,), pages), media_type="application/json")
    series, last_seq = jobs.thinned_series(job_id, after, wanted, points)
    content = to_json({"series": series, "last_seq": last_seq}, inf_nan_mode="null")  # as `MetricSeries` would be
    return Response(content, media_type="application/json")


def _pages(jobs: JobStore, job_id: str, after: int, names: MetricNames | None) -> Iterator[bytes]:
    """A `MetricSeries` of all records as JSON, piece by piece: memory holds a page of them, however many there are.

    Raises:
        EventsExpiredError: records were removed that are not sent yet.
    """
    text, comma = '{"series":[', ""
    while True:
        records, after = jobs.metric_series(job_id, after, _PAGE)
        for record in thin(records, names, None):
            text += comma + json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            comma = ","
        if len(records) < _PAGE:
            break
        yield text.encode()  # empty where no name matched: a caller that left is noticed between two pages
        text = ""
    yield f'{text}],"last_seq":{after}}}'.encode()
