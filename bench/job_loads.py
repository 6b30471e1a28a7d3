"""What `bench.jobs` asks of a service, and how long each answer took (seconds)."""

from __future__ import annotations

import http
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.api_process import ApiProcess, Connection
from bench.job_table import RARE_LABEL
from service.database import Database
from service.jobs import JobStore
from service.leases import LeaseStore, Report
from service.options import JobOptions
from service.settings import Settings
from service.states import Kind

_TRAIN = {"dataset": "clicks", "model": {"name": "deepfm"}, "batch_size": 1024, "scaling": {"rule": "cowclip"}}
_TIMES = 200  # of each list
_HIGHEST = 100  # priority: this job is claimed before those that are queued
_PER_REPORT = 100
_FEW_REPORTS = 2_000
_SAMPLES = 100

FILTERS = {
    "no filter": "",
    "state=queued": "state=queued",
    "state=succeeded": "state=succeeded",
    "state=failed": "state=failed",
    "state=running (none)": "state=running",
    "kind=prepare": "kind=prepare",
    "label, every job": "label=env=prod",
    "label, every job, state=running": "label=env=prod&state=running",
    "label, one job in 20": "label=team=t7",
    "label, one job in 1,000": f"label={'='.join(RARE_LABEL)}",
    "label (none)": "label=team=nobody",
    "two labels": f"label=team=t7&label={'='.join(RARE_LABEL)}",
    "state, kind and label": "state=failed&kind=score&label=team=t7",
    "limit=200": "limit=200",
    "limit=200, state=queued": "limit=200&state=queued",
}
OF_FEW = {
    "project of 50 jobs: no filter": "",
    "project of 50 jobs: state=succeeded": "state=succeeded",
    "project of 50 jobs: kind=train": "kind=train",
    "project of 50 jobs: label": "label=team=t7",
}


@dataclass(frozen=True)
class SubmitLoad:
    """Submissions of one caller; `name` keeps the idempotency keys of two loads apart."""

    address: str
    key: str
    name: str

    def send(self, connection: Connection, number: int) -> float:
        """Submit one job."""
        body = {"kind": "train", "spec": {**_TRAIN, "seed": number}, "labels": {"team": "queued"}}
        seconds, _ = connection.good("POST", "/v1/jobs", body, {"Idempotency-Key": f"{self.name}-{number}"})
        return float(seconds)


def submit_all(load: SubmitLoad, count: int, connections: int) -> tuple[list[float], float]:
    """Seconds of each of so many submissions, and of all together."""
    started = time.perf_counter()
    seconds = _in_turns(lambda: Connection(load.address, load.key), load.send, count, connections)
    return seconds, time.perf_counter() - started


def _in_turns(
    connect: Callable[[], Connection], send: Callable[[Connection, int], float], count: int, connections: int
) -> list[float]:
    def work(first: int) -> list[float]:
        connection = connect()
        return [send(connection, number) for number in range(first, count, connections)]

    with ThreadPoolExecutor(connections) as pool:
        return [seconds for part in pool.map(work, range(connections)) for seconds in part]


def list_times(address: str, key: str, key_of_few: str) -> dict[str, list[float]]:
    """Seconds of the first page under each filter; the second key is that of a project with few jobs."""
    found = {}
    for connection, filters in ((Connection(address, key), FILTERS), (Connection(address, key_of_few), OF_FEW)):
        for name, query in filters.items():
            found[name] = [float(connection.good("GET", f"/v1/jobs?{query}")[0]) for _ in range(_TIMES)]
    return found


def page_times(address: str, key: str) -> list[float]:
    """Seconds of each page from the newest job to the oldest."""
    connection = Connection(address, key)
    times, path = [], "/v1/jobs?limit=200"
    cursor = ""
    while cursor is not None:
        seconds, page = connection.good("GET", path + (f"&cursor={cursor}" if cursor else ""))
        times.append(float(seconds))
        cursor = page["next_cursor"]
    return times


def append_events(database: Database, settings: Settings, count: int) -> tuple[dict[str, float], str]:
    """Events per second that the store takes, by the size of a worker's reports; and a job that has `count` of them."""
    speeds = {}
    job_id = ""
    for name, per_report, reports in (
        ("2 per renewal", 1, min(_FEW_REPORTS, count)),
        (f"{_PER_REPORT + 1} per renewal", _PER_REPORT, count // (_PER_REPORT + 1) + 1),
    ):
        leases = LeaseStore(database, settings)
        job_id = JobStore(database, settings).enqueue(Kind.TRAIN, {}, options=JobOptions(priority=_HIGHEST)).id
        lease = leases.claim("bench")
        if lease is None or lease.job_id != job_id:
            raise SystemExit("The job of the highest priority was not the next.")
        started = time.perf_counter()
        step = 0
        for number in range(reports):
            records: list[dict[str, Any]] = []
            for _ in range(per_report):
                step += 1
                records.append({"epoch": 0, "step": step, "loss": 0.45, "rows_per_s": 31_800.0})
            leases.renew(lease, Report(progress=number / reports, eta_s=1.0, records=records, metrics={"loss": 0.45}))
        speeds[name] = reports * (per_report + 1) / (time.perf_counter() - started)
        leases.succeed(lease, {}, lambda _session: {})
    return speeds, job_id


def read_streams(address: str, key: str, job_id: str, least: int, readers: int) -> float:
    """Events per second that so many readers of one job's whole stream get together."""
    counts = [0] * readers

    def read(reader: int) -> None:
        body = Connection(address, key).ask("GET", f"/v1/jobs/{job_id}/events")[2]
        counts[reader] = body.count(b"\nevent: ")

    threads = [threading.Thread(target=read, args=(reader,)) for reader in range(readers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if min(counts) < least or len(set(counts)) != 1:
        raise SystemExit(f"Each reader must get all of at least {least} events. Got {counts}.")
    return sum(counts) / seconds


def memory_over_requests(api: ApiProcess, key: str, count: int, connections: int) -> list[tuple[int, int]]:
    """(requests answered, resident bytes) at the start, and about a hundred times on the way."""
    connection = Connection(api.address, key)
    ids = [job["id"] for job in connection.good("GET", "/v1/jobs?state=succeeded&limit=200")[1]["jobs"]]
    waiting = [job["id"] for job in connection.good("GET", "/v1/jobs?state=queued&limit=200")[1]["jobs"]]
    load = SubmitLoad(api.address, key, "memory")
    samples = [(0, api.rss())]
    lock = threading.Lock()
    answered = 0

    def send(line: Connection, number: int) -> float:
        nonlocal answered
        started = time.perf_counter()
        if number % 12 == 0:
            load.send(line, number)
        else:
            method, path, body, headers, status = _request(number, ids, waiting)
            got, content = line.ask(method, path, body, headers)[1:]
            if got != status:
                raise SystemExit(f"{method} {path} must be answered {status}. Got {got}: {content[:300]!r}")
        with lock:
            answered += 1
            if answered % max(1, count // _SAMPLES) == 0:
                samples.append((answered, api.rss()))
        return time.perf_counter() - started

    _in_turns(lambda: Connection(api.address, key), send, count, connections)
    return samples


def _request(
    number: int, ids: list[str], waiting: list[str]
) -> tuple[str, str, object, dict[str, str], http.HTTPStatus]:
    """Method, path, body, headers and the status that the answer must have."""
    job, queued = ids[number % len(ids)], waiting[number % len(waiting)]
    as_json = {"Accept": "application/json"}
    ok, unknown = http.HTTPStatus.OK, http.HTTPStatus.NOT_FOUND
    wrong = {"kind": "train", "spec": {**_TRAIN, "batch_size": -number}}
    choices: list[tuple[str, str, object, dict[str, str], http.HTTPStatus]] = [
        ("GET", "/v1/jobs?limit=200", None, {}, ok),
        ("GET", f"/v1/jobs?label=team=t{number % 20}", None, {}, ok),
        ("GET", f"/v1/jobs/{job}", None, {}, ok),
        ("GET", f"/v1/jobs/{queued}", None, {}, ok),
        ("GET", f"/v1/jobs/{job}/events", None, as_json, ok),
        ("GET", f"/v1/jobs/{job}/events", None, {}, ok),
        ("GET", f"/v1/jobs/{job}/metrics", None, {}, ok),
        ("GET", f"/v1/jobs/no-{number}", None, {}, unknown),
        ("POST", "/v1/plans", {**_TRAIN, "seed": number}, {}, ok),
        ("POST", "/v1/jobs", wrong, {}, http.HTTPStatus.UNPROCESSABLE_ENTITY),
        ("GET", f"/v1/jobs?x={number}", None, {"X-API-Key": f"no-{number}.key"}, http.HTTPStatus.UNAUTHORIZED),
    ]
    return choices[number % 12 - 1]
