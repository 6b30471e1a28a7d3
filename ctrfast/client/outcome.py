"""How a job that was waited for ended."""

from __future__ import annotations

from ctrfast.client.answers import Job
from ctrfast.client.problems import JobFailedError


def refuse_unless_succeeded(job: Job) -> None:
    """Raise JobFailedError for a job that failed or was cancelled."""
    if job.state == "succeeded":
        return
    why = f" ({job.reason}): {job.message}" if job.reason else ""
    raise JobFailedError(f"The job {job.id} is {job.state}{why or '.'}")
