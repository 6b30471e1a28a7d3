"""Trainings side by side, and whether their differences are real."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from ctrfast.comparison import Comparison
from service.dependencies import ComparisonsDep, JobId, known_form, problems

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])

Others = Annotated[str, Query(alias="with", min_length=1, max_length=2000, examples=["018f2a7c00b2,018f2a7c00c3"])]


@router.get("/comparison", responses=problems(404, 409, 422, 503))
def compare_jobs(job_id: JobId, comparisons: ComparisonsDep, others: Others) -> Comparison:
    """A training beside others (`with`, ids with a comma between): settings, test figures, and what differs for real.

    Intervals and p-values: DeLong for AUC, a paired bootstrap of rows for the rest, on the same test rows; Welch's test
    where there are several seeds of each settings. 404: there is no such job, or its files are gone.
    409: one has not succeeded. 422: one is no training, or is named twice. 503: another comparison is being made.
    """
    return comparisons.compare([job_id, *(known_form("job", other) for other in others.split(","))])
