"""What a job leaves to read: its events, log, metric series and output files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import FileResponse, StreamingResponse
from sse_starlette import EventSourceResponse, ServerSentEvent

from service.answers import MetricSeries
from service.assignments import LOG, OUTPUTS
from service.dependencies import JobId, JobsDep, SettingsDep, problems
from service.jobs import JobStore
from service.problems import NotFoundError
from service.tables import Event
from service.times import iso_time

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])

_LOOK_S = 0.25
_PING_S = 15
_CHUNK_BYTES = 1 << 16
_LARGEST_SEQ = 2**31 - 1

Seq = Annotated[int, Query(ge=0, le=_LARGEST_SEQ)]
LastEventId = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=_LARGEST_SEQ)]


@router.get("/events", response_class=EventSourceResponse, responses=problems(404, 422))
def stream_events(
    job_id: JobId, jobs: JobsDep, after: Seq = 0, last_event_id: LastEventId = None
) -> EventSourceResponse:
    """Server-sent events `state`, `progress`, `metric`, until the job ends; `Last-Event-ID` or `after` goes on."""
    jobs.get(job_id)
    start = after if last_event_id is None else last_event_id
    return EventSourceResponse(_events(jobs, job_id, start), ping=_PING_S)


@router.get(
    "/logs", response_class=StreamingResponse, responses={200: {"content": {"text/plain": {}}}, **problems(404)}
)
def get_log(
    job_id: JobId, jobs: JobsDep, settings: SettingsDep, offset: Annotated[int, Query(ge=0, le=2**62)] = 0
) -> StreamingResponse:
    """What the job's process wrote, from a byte offset on; `X-Next-Offset` goes on from there."""
    jobs.get(job_id)
    log = settings.job_folder(job_id) / LOG
    end = log.stat().st_size if log.is_file() else 0
    headers = {"X-Next-Offset": str(max(end, offset))}
    return StreamingResponse(_bytes(log, offset, end), media_type="text/plain; charset=utf-8", headers=headers)


@router.get("/metrics", responses=problems(404))
def get_metric_series(job_id: JobId, jobs: JobsDep) -> MetricSeries:
    """All metric records of the job, in order."""
    jobs.get(job_id)
    return MetricSeries(series=jobs.metric_series(job_id))


@router.get("/outputs/{name}", response_class=FileResponse, responses=problems(404))
def get_output(job_id: JobId, name: str, jobs: JobsDep, settings: SettingsDep) -> FileResponse:
    """A file that the job made, by a name from its `result.outputs`."""
    listed = name in jobs.get(job_id).result.get("outputs", [])
    file = settings.job_folder(job_id) / OUTPUTS / name
    if not listed or not file.is_file():
        raise NotFoundError("output", name[:100], of=f"job {job_id!r}")
    return FileResponse(file, filename=name)


async def _events(jobs: JobStore, job_id: str, after: int) -> AsyncIterator[ServerSentEvent]:
    while True:
        page = await asyncio.to_thread(jobs.events, job_id, after)
        for event in page.events:
            yield _as_sse(event)
            after = event.seq
        if page.finished:
            return
        if not page.events:
            await asyncio.sleep(_LOOK_S)


def _as_sse(event: Event) -> ServerSentEvent:
    data = {"seq": event.seq, "at": iso_time(event.at), **event.data}
    return ServerSentEvent(data=json.dumps(data), event=event.type, id=str(event.seq))


def _bytes(path: Path, start: int, end: int) -> Iterator[bytes]:
    if start >= end:
        return
    with path.open("rb") as file:
        file.seek(start)
        left = end - start
        while left > 0 and (chunk := file.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
