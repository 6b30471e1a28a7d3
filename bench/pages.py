"""The dashboard: how fast its pages open, and what open pages cost. `make bench-pages`.

    python -m bench.pages --finished 100000 --records 1000000 --pages 50

A real API process answers a headless Chromium that has signed in. Milliseconds are those of the browser, from the start
of the navigation until rows or curves are there. Open pages are asked for as the pages' scripts do, by connections
of the benchmark's own (`bench.open_pages`): fifty windows of a browser would take the processor that is measured.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from bench.api_process import ApiProcess, Connection
from bench.job_table import fill
from bench.jobs import database_url
from bench.long_series import bench_settings, fill_series, running_job
from bench.open_pages import Visit, cookie_of, cpu_share
from bench.plots import bars
from bench.report import Report, Table, spread, write
from bench.shown_world import publish_model, running_sweep
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.schema import preset
from service.access import ALL_RIGHTS
from service.browser_sessions import COOKIE
from service.wiring import Services

POINTS = 600  # as the page asks for
OF_ALL = "loss,valid_log_loss,valid_auc,test_auc,rows_per_s,input_wait_share,clipped_share,memory_bytes"
MODEL = "ctr"
_ROUNDS = 5
_KIB = 1024


@dataclass
class Figures:
    """All of one database. Milliseconds by round, bytes, and shares of a core."""

    ms: dict[str, list[float]] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    series_ms: dict[str, list[float]] = field(default_factory=dict)
    summaries_s: float = 0.0
    shares: dict[str, float] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", type=int, default=100_000)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=1000, help="of the sweep")
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=40.0, help="of each look at open pages")
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    arguments = parser.parse_args()
    found: dict[str, Figures] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in arguments.databases:
            with tempfile.TemporaryDirectory() as folder, database_url(name, Path(folder)) as url:
                found[name] = _measure(browser, Path(folder) / "home", url, arguments)
            _report(found, arguments)  # what there is stays, should the next one fail
        browser.close()


def _measure(browser: Browser, home: Path, url: str, arguments: argparse.Namespace) -> Figures:
    settings = bench_settings(home, url)
    settings.make_folders()
    services = Services.build(settings)
    database = services.database
    raw = home / "data" / "clicks.tsv.gz"
    synth(raw, "criteo", 3000, 1)
    prepare([raw], preset("criteo"), home / "data" / "clicks", min_count=2, split="sequential")
    database.migrate()
    services.datasets.register("clicks", home / "data" / "clicks")
    fill(database, arguments.finished)
    figures = Figures()
    long = running_job(services)
    figures.summaries_s = fill_series(database, long.job_id, arguments.records)
    leases = [running_job(services) for _ in range(arguments.pages)]
    sweep_id = running_sweep(services, arguments.runs)
    publish_model(services, Dataset.open(home / "data" / "clicks"), MODEL)
    key = services.keys.create("bench", rights=ALL_RIGHTS)
    environment = {"CTRFAST_HOME": str(home), "CTRFAST_DATABASE_URL": url, "CTRFAST_REQUIRE_KEY": "1"}
    with ApiProcess(environment) as api:
        cookie = cookie_of(api.address, key)
        pages = {
            "jobs": ("/ui/jobs", "#jobs tbody tr"),
            "job": (f"/ui/jobs/{long.job_id}", '[role=img][aria-label^="Embedding norm"]'),
            "sweep": (f"/ui/sweeps/{sweep_id}", "#runs tbody tr"),
            "model": (f"/ui/models/{MODEL}", "#drift h3"),
        }
        for name, (path, filled) in pages.items():
            opened = [_open(browser, api.address, cookie, path, filled) for _ in range(_ROUNDS + 1)][1:]
            figures.ms[name] = [ms for ms, _ in opened]
            figures.bytes[name] = max(size for _, size in opened)
        figures.series_ms = _series_ms(api, key, long.job_id)
        ids = [lease.job_id for lease in leases]
        visits = {
            "none": [],
            "of one job that runs": [Visit.of_job(ids[0])] * arguments.pages,
            "of as many jobs that run": [Visit.of_job(job_id) for job_id in ids],
            "of the list of jobs": [Visit.of_list()] * arguments.pages,
            "of a sweep that runs": [Visit.of_sweep(sweep_id)] * arguments.pages,
            "of a model": [Visit.of_model(MODEL)] * arguments.pages,
        }
        for name, visited in visits.items():
            figures.shares[name] = cpu_share(api, cookie, visited, services, leases, arguments.seconds)
            print(f"{name}: {figures.shares[name]:.1%} of a core", flush=True)
    database.dispose()
    return figures


def _open(browser: Browser, address: str, cookie: str, path: str, filled: str) -> tuple[float, int]:
    """Milliseconds until a page is filled, and bytes that came for it, with nothing of it kept from before."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.add_cookies([{"name": COOKIE, "value": cookie, "url": f"http://{address}"}])
        sizes: list[float] = []
        page = context.new_page()
        network = context.new_cdp_session(page)
        network.send("Network.enable")
        network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        page.goto(f"http://{address}{path}", wait_until="commit")
        found = page.wait_for_function("css => document.querySelector(css) && performance.now()", arg=filled)
        ms = float(found.json_value())
        page.wait_for_timeout(500)  # what is asked for last comes in
        return ms, int(sum(sizes))


def _series_ms(api: ApiProcess, key: str, job_id: str) -> dict[str, list[float]]:
    """Of the answer to a script."""
    connection = Connection(api.address, key)
    path = f"/v1/jobs/{job_id}/metrics"
    asked = {
        f"{POINTS} points of each metric of all fields": f"names={OF_ALL}&points={POINTS}",
        "the newest values of each field": "names=clipped_share.*,embedding_norm.*&points=4",
        f"{POINTS} points of each metric, fields' too": f"points={POINTS}",
    }
    thinned = {
        what: [1000 * connection.good("GET", f"{path}?{query}")[0] for _ in range(_ROUNDS)]
        for what, query in asked.items()
    }
    whole = [1000 * connection.good("GET", f"{path}?names=loss")[0]]
    return {**thinned, "all values of one metric": whole}


def _report(found: dict[str, Figures], arguments: argparse.Namespace) -> None:
    names = list(found)
    titles = {
        "jobs": f"jobs, of {arguments.finished:,} that have ended",
        "job": f"a job with {arguments.records:,} metric records of 26 fields",
        "sweep": f"a sweep of {arguments.runs:,} runs",
        "model": "a model",
    }
    opened = [[title, *(spread(figures.ms[page]) for figures in found.values())] for page, title in titles.items()]
    sizes = [
        [title, *(f"{figures.bytes[page] / _KIB:,.0f}" for figures in found.values())] for page, title in titles.items()
    ]
    first = found[names[0]]
    series = [[what, *(spread(figures.series_ms[what]) for figures in found.values())] for what in first.series_ms]
    shares = [[what, *(f"{figures.shares[what]:.1%}" for figures in found.values())] for what in first.shares]
    write(
        Report(
            name="pages",
            title="The dashboard's pages",
            tables=[
                Table(f"Milliseconds until a page is there: median (range) of {_ROUNDS}", ["page", *names], opened),
                Table("KiB that come for it, nothing being kept from before", ["page", *names], sizes),
                Table(
                    f"Milliseconds of GET /v1/jobs/ID/metrics with {arguments.records:,} records",
                    ["asked for", *names],
                    series,
                ),
                Table(f"Share of a core that {arguments.pages} open pages cost the API", ["pages", *names], shares),
            ],
            notes=[
                "Headless Chromium, signed in, nothing in its cache; until the first row, the fields' curves or the "
                "drift is there. The first load is that of the jobs page.",
                f"A long series is read by its summaries. To write those of {arguments.records:,} records took "
                + ", ".join(f"{figures.summaries_s:,.0f} s ({name})" for name, figures in found.items())
                + ", part by part with the records.",
                "Jobs that run report a record and their progress every second, and write nothing into their logs. The "
                "list is asked for every ten seconds, a sweep and a model every fifteen, a running job every thirty.",
                "Browser and callers run on the same cores; the share is of the API's process alone.",
            ],
            figures={name: vars(figures) for name, figures in found.items()},
            versions={"sqlalchemy": version("sqlalchemy"), "fastapi": version("fastapi")},
        ),
        bars(list(titles.values()), {name: [found[name].ms[page] for page in titles] for name in names}, "ms"),
    )


if __name__ == "__main__":
    main()
