"""Pages that somebody looks at, as their scripts ask the API: a stream of events, and what is asked for repeatedly.

The jobs that they show run: a worker renews each lease every second with a record and its progress, as a training does.
"""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from bench.api_process import ApiProcess
from service.browser_sessions import COOKIE
from service.leases import Lease, Report
from service.wiring import Services

_SETTLE_S = 3.0
_EVERY_S = 1.0  # CTRFAST_HEARTBEAT_S


@dataclass(frozen=True)
class Visit:
    """An open page. job_id: whose events it follows, if any. polls: what it asks for every so many seconds."""

    job_id: str | None
    polls: tuple[str, ...]
    every_s: float

    @classmethod
    def of_job(cls, job_id: str) -> Visit:
        """The page of a job that runs (`static/job.js`)."""
        return cls(job_id, (f"/v1/jobs/{job_id}",), 30.0)

    @classmethod
    def of_list(cls) -> Visit:
        """The list of jobs, some of which run (`static/jobs.js`)."""
        return cls(None, ("/v1/jobs?",), 10.0)

    @classmethod
    def of_sweep(cls, sweep_id: str) -> Visit:
        """The page of a sweep that runs, once all runs are read (`static/sweep.js`, `static/sweep_runs.js`)."""
        runs = f"/v1/jobs?parent={sweep_id}&limit=200&state=running"
        return cls(None, (f"/v1/jobs/{sweep_id}", runs), 15.0)

    @classmethod
    def of_model(cls, name: str) -> Visit:
        """The page of a model whose aliases stay where they are (`static/model.js`)."""
        return cls(None, (f"/v1/models/{name}", f"/v1/models/{name}/traffic"), 15.0)


def cookie_of(address: str, key: str) -> str:
    """Sign in as the page's form does; the session's token."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/ui/sign-in", body=urlencode({"key": key}), headers=form)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return SimpleCookie(answer.headers["set-cookie"])[COOKIE].value


def cpu_share(
    api: ApiProcess,
    cookie: str,
    visits: Sequence[Visit],
    services: Services,
    leases: Sequence[Lease],
    seconds: float,
) -> float:
    """The share of a core that the API takes with these pages open, over so many seconds."""
    followed = {visit.job_id for visit in visits}
    stop = threading.Event()
    worker = threading.Thread(
        target=_work, args=(services, [lease for lease in leases if lease.job_id in followed], stop)
    )
    worker.start()
    try:
        newest = services.jobs.newest_events([visit.job_id for visit in visits if visit.job_id is not None])
        with ThreadPoolExecutor(1) as pool:  # Playwright has a loop of its own in the main thread
            return pool.submit(asyncio.run, _visit_all(api, cookie, visits, newest, seconds)).result()
    finally:
        stop.set()
        worker.join()


def _work(services: Services, leases: Collection[Lease], stop: threading.Event) -> None:
    step = 0
    while not stop.wait(_EVERY_S):
        step += 1
        record = {"epoch": 0, "step": step, "loss": 0.45, "rows_per_s": 31_800.0}
        for lease in leases:
            report = Report(progress=min(1.0, step / 1000), eta_s=1.0, records=[record], metrics={"loss": 0.45})
            services.leases.renew(lease, report)


async def _visit_all(
    api: ApiProcess, cookie: str, visits: Sequence[Visit], newest: dict[str, int], seconds: float
) -> float:
    received = [0] * len(visits)
    tasks = [
        asyncio.create_task(_poll(api.address, cookie, visit, visit.every_s * number / len(visits)))
        for number, visit in enumerate(visits)
    ]
    for number, visit in enumerate(visits):
        if visit.job_id is not None:
            path = f"/v1/jobs/{visit.job_id}/events?after={newest[visit.job_id]}"
            tasks.append(asyncio.create_task(_follow(api.address, cookie, path, received, number)))
    await asyncio.sleep(_SETTLE_S)
    before, cpu_s, started = list(received), api.cpu_s(), time.perf_counter()
    await asyncio.sleep(seconds)
    share = (api.cpu_s() - cpu_s) / (time.perf_counter() - started)
    for task in tasks:
        if task.done():
            raise SystemExit(f"An open page was closed: {task.exception()!r}")
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if any(now == then for now, then, visit in zip(received, before, visits, strict=True) if visit.job_id is not None):
        raise SystemExit("Each stream must bring events while its job runs. One has brought none.")
    return share


async def _connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


def _ask(writer: asyncio.StreamWriter, address: str, cookie: str, path: str) -> None:
    kept = f"Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: {COOKIE}={cookie}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\n{kept}\r\n\r\n".encode())


async def _follow(address: str, cookie: str, path: str, received: list[int], place: int) -> None:
    reader, writer = await _connect(address)
    try:
        _ask(writer, address, cookie, path)
        if not (await reader.readline()).startswith(b"HTTP/1.1 200"):
            raise ValueError(f"{path} was refused")
        await reader.readuntil(b"\r\n\r\n")
        while data := await reader.read(1 << 16):
            received[place] += len(data)
    finally:
        writer.close()


async def _poll(address: str, cookie: str, visit: Visit, wait_s: float) -> None:
    await asyncio.sleep(wait_s)
    while True:
        for path in visit.polls:
            await _get(address, cookie, path)
        await asyncio.sleep(visit.every_s)


async def _get(address: str, cookie: str, path: str) -> None:
    reader, writer = await _connect(address)  # the server closes one that is idle for 5 seconds
    try:
        _ask(writer, address, cookie, path)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if not head.startswith("http/1.1 200"):
            raise ValueError(f"{path} was answered {head.splitlines()[0]}")
        length = head.partition("content-length: ")[2].partition("\r\n")[0]
        await reader.readexactly(int(length))
    finally:
        writer.close()
