"""The page of a sweep that goes on: what has changed is shown, by few requests however many runs there are."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from ctrfast.data.shards import Dataset
from service.new_jobs import queue, runs_of_a_sweep
from service.states import Kind
from service.tables import Job
from tests.dashboard.test_first_load import Loaded
from tests.dashboard.test_pages import MOST_BYTES
from tests.service.conftest import Api, fill_data_root

GRID = {"batch_size": [100, 200], "seed": [1, 2, 3]}


@pytest.fixture
def api(make_api: Callable[..., Api], tmp_path: Path, dataset: Dataset, raw_clicks: Path) -> Api:
    """A service that has the dataset."""
    home = tmp_path / "home"
    fill_data_root(home, dataset.path, raw_clicks)
    api = make_api()
    api.services.datasets.register("clicks", home / "data" / "prepared")
    return api


def test_only_what_goes_on_is_read_again(api: Api, browser: Browser) -> None:
    runs = [
        {"dataset": "clicks", "batch_size": size, "seed": seed} for size in GRID["batch_size"] for seed in (1, 2, 3)
    ]
    spec = {"base": {"dataset": "clicks"}, "grid": GRID}
    sweep = api.services.jobs.enqueue(Kind.SWEEP, spec, children=runs)
    first = api.services.leases.claim("w")
    assert first is not None
    with browser.new_context() as context:
        page = context.new_page()
        page.clock.install()
        page.goto(f"{api.url}/ui/sweeps/{sweep.id}")
        states = page.locator("#runs .state")
        expect(states).to_have_text(["running", *["queued"] * 5])
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.removeprefix(api.url)))

        api.services.leases.succeed(first, {"test_auc": 0.75}, lambda _: {})
        second = api.services.leases.claim("w")
        assert second is not None
        page.clock.fast_forward(15_000)
        expect(states).to_have_text(["succeeded", "running", *["queued"] * 4])
        running = f"/v1/jobs?parent={sweep.id}&limit=200&state=running"
        assert asked == [f"/v1/jobs/{sweep.id}", running, f"/v1/jobs/{first.job_id}"]

        asked.clear()
        third = api.services.jobs.runs_of(sweep.id)[2]
        api.services.jobs.cancel(third.id)  # it never ran: the counts tell that the page has missed something
        page.clock.fast_forward(15_000)
        expect(states).to_have_text(["succeeded", "running", "cancelled", *["queued"] * 3])
        assert asked == [f"/v1/jobs/{sweep.id}", running, f"/v1/jobs?parent={sweep.id}&limit=200"]

        asked.clear()
        api.services.jobs.cancel(sweep.id)
        page.clock.fast_forward(15_000)
        expect(page.locator("#facts .state")).to_have_text("cancelling")
        expect(states).to_have_text(["succeeded", "cancelling", *["cancelled"] * 4])


def test_runs_that_come_later_stand_in_the_order_of_points(api: Api, browser: Browser) -> None:
    runs = [{"dataset": "clicks", "batch_size": 100, "seed": seed} for seed in (1, 2, 3)]
    spec = {"base": {"dataset": "clicks"}, "grid": GRID}
    sweep = api.services.jobs.enqueue(Kind.SWEEP, spec, children=runs[:1])
    api.services.leases.claim("w")
    with browser.new_context() as context:
        page = context.new_page()
        page.clock.install()
        page.goto(f"{api.url}/ui/sweeps/{sweep.id}")
        expect(page.locator("#runs .state")).to_have_text(["running"])
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.removeprefix(api.url)))
        with api.services.database.write() as session:
            stored = session.get_one(Job, sweep.id)
            queue(session, runs_of_a_sweep(stored, runs[1:], stored.created_at, first=1))
        for _ in runs[1:]:
            assert api.services.leases.claim("w") is not None
        page.clock.fast_forward(15_000)
        expect(page.locator("#runs .state")).to_have_text(["running"] * 3)
        assert asked == [f"/v1/jobs/{sweep.id}", f"/v1/jobs?parent={sweep.id}&limit=200&state=running"]
        hrefs = page.locator("#runs a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
        assert hrefs == [f"/ui/jobs/{run.id}" for run in api.services.jobs.runs_of(sweep.id)]


def test_few_bytes_come_for_many_runs(api: Api, browser: Browser) -> None:
    grid = {"scaling.rule": ["none", "cowclip"], "batch_size": [100, 200], "seed": [*range(250)]}
    points = itertools.product(*grid.values())
    runs = [{"dataset": "clicks", "scaling": {"rule": rule}, "batch_size": size, "seed": n} for rule, size, n in points]
    sweep = api.services.jobs.enqueue(Kind.SWEEP, {"base": {"dataset": "clicks"}, "grid": grid}, children=runs)
    rng = random.Random(1)
    with api.services.database.write() as session:
        for run in session.scalars(select(Job).where(Job.parent_id == sweep.id)):
            run.metrics = {name: rng.random() for name in ("test_auc", "valid_auc", "test_log_loss", "rows_per_s")}
    with browser.new_context() as context:
        page = context.new_page()
        loaded = Loaded(page, api.url)
        page.goto(f"{api.url}/ui/sweeps/{sweep.id}")
        expect(page.locator("#runs tbody tr")).to_have_count(len(runs))
        assert loaded.total() < MOST_BYTES, loaded.bytes
