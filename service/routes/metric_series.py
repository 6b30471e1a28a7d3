"""A job's metric series."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from service.answers import MetricSeries
from service.compressed_route import CompressedRoute
from service.dependencies import JobId, JobsDep, problems
from service.metric_names import MetricNames
from service.routes.records import Seq
from service.series import FEWEST_POINTS, thin

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"], route_class=CompressedRoute)


@router.get("/metrics", responses=problems(404, 410, 422))
def get_metric_series(
    job_id: JobId,
    jobs: JobsDep,
    names: Annotated[str | None, Query(max_length=4000, examples=["loss,valid_auc,clipped_share.*"])] = None,
    points: Annotated[int | None, Query(ge=FEWEST_POINTS, le=1_000_000)] = None,
    after: Seq = 0,
) -> MetricSeries:
    """Metric records in order; all, or those of some `names` (a comma between), or at most `points` of each name.

    A name that ends in `*` stands for all that begin so: `clipped_share.*` are those of the id fields. Thinned out, the
    first, last, least and greatest value of each stretch stay. 410: see the events.
    """
    jobs.get(job_id)
    wanted = None if names is None else MetricNames.parse(names)
    if points is None:
        records, last_seq = jobs.metric_series(job_id, after)
        return MetricSeries(series=thin(records, wanted, None), last_seq=last_seq)
    series, last_seq = jobs.thinned_series(job_id, after, wanted, points)
    return MetricSeries(series=series, last_seq=last_seq)
