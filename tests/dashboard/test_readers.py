"""Readers of other kinds: in another time zone, and with a keyboard alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from ctrfast.data.shards import Dataset
from service.states import Kind, State
from service.tables import Event, Job
from tests.service.conftest import Api, fill_data_root

SUBMITTED = datetime(2026, 1, 31, 20, 30, tzinfo=UTC)  # in Kolkata it is February already
TOLD = datetime(2026, 7, 1, 20, 30, tzinfo=UTC)  # summer time in New York
FOCUSED = "(held => (held.labels?.[0] ?? held).textContent.trim())(document.activeElement)"
MOST_TABS = 100


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_times_are_those_of_the_readers_zone(make_api: Callable[..., Api], browser: Browser, zone: str) -> None:
    api = make_api()
    job_id = api.services.jobs.enqueue(Kind.TRAIN, {"dataset": "clicks"}).id
    with api.services.database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(created_at=SUBMITTED.timestamp()))
        session.execute(update(Event).where(Event.job_id == job_id).values(at=TOLD.timestamp()))
    submitted, told = (f"{at.astimezone(ZoneInfo(zone)):%d.%m.%Y, %H:%M:%S}" for at in (SUBMITTED, TOLD))
    with browser.new_context(timezone_id=zone, locale="de-DE") as context:
        page = context.new_page()
        page.goto(f"{api.url}/ui/jobs")
        expect(page.locator("#jobs tbody time")).to_have_text([submitted])
        page.goto(f"{api.url}/ui/jobs/{job_id}")
        expect(page.locator("#facts time").first).to_have_text(submitted)
        expect(page.locator("#events time")).to_have_text([told])
        stamp = page.locator("#facts time").first.get_attribute("datetime")
        assert stamp is not None
        assert datetime.fromisoformat(stamp) == SUBMITTED  # for programs it is the service's own


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this name is in focus, and is seen to be."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == name:
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            return
    pytest.fail(f"{name!r} is not among the next {MOST_TABS} places of the Tab key")


def test_a_training_with_the_keyboard_alone(
    make_api: Callable[..., Api], browser: Browser, tmp_path: Path, dataset: Dataset, raw_clicks: Path
) -> None:
    fill_data_root(tmp_path / "home", dataset.path, raw_clicks)
    api = make_api()
    api.services.datasets.register("clicks", tmp_path / "home" / "data" / "prepared")
    asked: list[str] = []
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{api.url}/ui/jobs")
        expect(page.locator("#empty")).to_be_visible()
        tab_to(page, "New job")
        page.keyboard.press("Enter")
        expect(page.locator("#plan")).to_contain_text("lr_dense")
        tab_to(page, "batch_size")
        page.keyboard.type("512")
        tab_to(page, "Queue and labels")
        page.keyboard.press("Space")
        tab_to(page, "labels")
        page.keyboard.type("team=ads")
        tab_to(page, "Submit")
        page.keyboard.press("Space")
        expect(page.locator("#state")).to_contain_text("queued")
        (job,) = api.services.jobs.page(state=None, kind=None, limit=10, cursor=None).jobs
        assert (job.spec, job.labels) == ({"dataset": "clicks", "batch_size": 512}, {"team": "ads"})

        tab_to(page, "Cancel")
        page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
        page.keyboard.press("Space")
        assert page.evaluate(FOCUSED) == "Cancel"
        assert api.services.jobs.get(job.id).state == State.QUEUED
        page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_contain_text("cancelled")
        assert asked == [f"Cancel job {job.id}? It keeps its checkpoint, and can be retried."] * 2
        expect(page.get_by_role("button", name="Retry")).to_be_focused()  # where to go on
