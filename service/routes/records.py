"""What a job leaves to read: its events, log, report and output files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from sse_starlette import EventSourceResponse
from starlette.background import BackgroundTask

from ctrfast.data.report import DataReport
from ctrfast.data.report.tags import SECURITY_POLICY
from ctrfast.errors import ArtifactError
from service.assignments import LOG, OUTPUTS
from service.dependencies import EventFeedDep, JobId, JobsDep, ReportsDep, SettingsDep, problems
from service.event_answers import EventList
from service.events import TYPES
from service.job_logs import FileLog, StoredLog, follow
from service.job_pages import sweep_parquet, train_page
from service.job_reports import SweepReport, TrainReport, reported_job, sweep_report, train_report
from service.negotiation import PARQUET, prefers_html, prefers_json, prefers_parquet
from service.places import Place, folder_of, store_of
from service.problems import BadValueError, NotFoundError
from service.states import Kind

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])

_LOOK_S = 0.25
_PING_S = 15
_LARGEST_SEQ = 2**31 - 1
_FILE = {"type": "string", "format": "binary"}

Seq = Annotated[int, Query(ge=0, le=_LARGEST_SEQ)]
LastEventId = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=_LARGEST_SEQ)]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get(
    "/events",
    response_model=EventList,
    responses={200: {"content": {"text/event-stream": {}}}, **problems(404, 410, 422)},
)
def get_events(
    job_id: JobId,
    jobs: JobsDep,
    feed: EventFeedDep,
    after: Seq = 0,
    limit: Limit = 500,
    types: Annotated[str | None, Query(max_length=100, examples=["state,warning"])] = None,
    last_event_id: LastEventId = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Server-sent events until the job ends, or those that there are as JSON with `Accept: application/json`.

    `state`, `progress`, `metric`, `log`, `warning`; `Last-Event-ID` or `after` goes on. `limit` and `types` (a comma
    between: those events alone) are for JSON alone; a stream has all events. 410: events that were asked for were
    removed; `X-First-Seq` is the first that is left.
    """
    jobs.get(job_id)
    start = after if last_event_id is None else last_event_id
    if prefers_json(accept):
        page = jobs.events(job_id, start, limit, None if types is None else _known_types(types))
        return JSONResponse(EventList.of(page).model_dump(mode="json"), headers={"Vary": "Accept"})
    jobs.events(job_id, start, 1)  # refuses what was removed while that can be answered
    return EventSourceResponse(feed.stream(job_id, start), ping=_PING_S, headers={"Vary": "Accept"})


@router.get(
    "/logs",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {}}}, **problems(404, 410, 422)},
)
def get_log(
    job_id: JobId,
    jobs: JobsDep,
    settings: SettingsDep,
    offset: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    after: Annotated[int | None, Query(ge=0, le=_LARGEST_SEQ)] = None,
    tail: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    limit: Limit = 500,
    follow_it: Annotated[bool, Query(alias="follow")] = False,
) -> StreamingResponse:
    """What the job's process wrote.

    The log file, from a byte `offset` on (`X-Next-Offset` goes on from there); or, with `after`, up to `limit` lines
    that are events after that one (`X-Next-After` goes on). Without either the file, or the events where this server
    has no file. `tail`: of that the last lines that fit into so many bytes, of events at most `limit` unless followed;
    `X-Start` is 0 where these are all. `follow`: all there is, and what comes, until the job ends. 410: lines asked for
    were removed.
    """
    jobs.get(job_id)
    given = [name for name, value in (("offset", offset), ("after", after), ("tail", tail)) if value is not None]
    if len(given) > 1:
        told = "Give `offset` (of the file), `after` (of the events) or `tail` (of either): one of them."
        raise BadValueError(told, path=given[1])
    file = FileLog(jobs, job_id, settings.job_folder(job_id) / LOG)
    headers = {}
    if after is not None or (offset is None and not file.exists()):
        stored = StoredLog(jobs, job_id, limit)
        start = (after or 0) if tail is None else stored.tail(tail, None if follow_it else limit)
        first = stored.read(start)  # refuses what was removed while that can be answered
        pieces = follow(stored, start, _LOOK_S) if follow_it else _once(first.data)
        headers = {} if follow_it else {"X-Next-After": str(first.next)}
        if after is None and not follow_it:
            headers["X-Next-Offset"] = "0"  # nothing of the file was read
    else:
        start = (offset or 0) if tail is None else file.tail(tail)
        if follow_it:
            pieces = follow(file, start, _LOOK_S)
        else:
            end = max(file.size(), start)
            pieces = file.up_to(start, end)
            headers = {"X-Next-Offset": str(end)}
    if tail is not None:
        headers["X-Start"] = str(start)
    return StreamingResponse(pieces, media_type="text/plain; charset=utf-8", headers=headers)


@router.get(
    "/report",
    response_model=TrainReport | SweepReport | DataReport,
    responses={200: {"content": {"text/html": {}, PARQUET: {"schema": _FILE}}}, **problems(404, 409, 503)},
)
def get_report(
    job_id: JobId,
    jobs: JobsDep,
    settings: SettingsDep,
    reports: ReportsDep,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """What the job came to: of a training, a sweep, or the dataset that was prepared; a page with `Accept: text/html`.

    A sweep's runs are one table, a row each, with `Accept: application/vnd.apache.parquet`; other kinds have none.
    404: its kind has no report, or this server has no longer its files. 409: it has not succeeded (a sweep: not ended).
    503: another report is being made; ask again.
    """
    job = reported_job(jobs, job_id)
    as_page = prefers_html(accept)
    if job.kind == Kind.SWEEP and prefers_parquet(accept):
        named = {"Vary": "Accept", "Content-Disposition": f'attachment; filename="{job.id}.parquet"'}
        return Response(sweep_parquet(sweep_report(jobs, job)), media_type=PARQUET, headers=named)
    content: str | bytes
    if job.kind == Kind.PREPARE:
        name = job.result["dataset"]
        content = reports.page(name) if as_page else reports.json(name)
    elif job.kind == Kind.SWEEP:
        of_sweep = sweep_report(jobs, job)
        content = reports.sweep_page(of_sweep) if as_page else of_sweep.model_dump_json()
    else:
        of_run = train_report(settings, job)
        content = train_page(of_run) if as_page else of_run.model_dump_json()
    headers = {"Vary": "Accept", **({"Content-Security-Policy": SECURITY_POLICY} if as_page else {})}
    return Response(content, media_type="text/html" if as_page else "application/json", headers=headers)


@router.get("/outputs/{name}", response_class=FileResponse, responses=problems(404))
def get_output(job_id: JobId, name: str, jobs: JobsDep, settings: SettingsDep) -> FileResponse:
    """A file that the job made, by a name from its `result.outputs`."""
    listed = name in jobs.get(job_id).result.get("outputs", [])
    store = store_of(settings)
    place: Place = settings.job_folder(job_id) / OUTPUTS if store is None else store.outputs(job_id)
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(folder_of(place, lambda stored: stored == name)) if listed else None
        except ArtifactError:
            folder = None
        if folder is None or not (folder / name).is_file():
            raise NotFoundError("output", name[:100], of=f"job {job_id!r}")
        return FileResponse(folder / name, filename=name, background=BackgroundTask(stack.pop_all().close))


def _known_types(text: str) -> frozenset[str]:
    asked = frozenset(text.split(","))
    for unknown in sorted(asked - set(TYPES)):
        raise BadValueError(f"`types` may hold {', '.join(TYPES)}. Got {unknown!r}.", path="types")
    return asked


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
