"""Two readers in browsers of their own: what one does, the other sees without asking."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Browser, expect

from service.leases import Report
from service.states import Kind
from tests.dashboard.published_world import World
from tests.service.conftest import Api

SPEC = {"dataset": "clicks", "batch_size": 512}


def test_two_on_one_job(make_api: Callable[..., Api], browser: Browser) -> None:
    api = make_api()
    job_id = api.services.jobs.enqueue(Kind.TRAIN, SPEC).id
    with browser.new_context() as one, browser.new_context() as other:
        pages = one.new_page(), other.new_page()
        for page in pages:
            page.goto(f"{api.url}/ui/jobs/{job_id}")
            expect(page.locator("#stream")).to_have_text("live")
        first, second = pages
        first.get_by_role("button", name="Pause").click()
        expect(second.locator("#state .state")).to_have_text("paused")
        second.get_by_role("button", name="Resume").click()
        expect(first.locator("#state .state")).to_have_text("queued")
        lease = api.services.leases.claim("w")
        assert lease is not None
        for step in (1, 2, 3):
            api.services.leases.renew(lease, Report(progress=step / 10, records=[{"step": step, "loss": 1 / step}]))
        for page in pages:
            loss = page.get_by_role("img", name=re.compile("^Loss: "))
            expect(loss).to_have_attribute("aria-label", "Loss: 3 points. Last: training 0.33333.")
            expect(page.locator("#progress")).to_contain_text("30 %")
        second.once("dialog", lambda dialog: dialog.accept())
        second.get_by_role("button", name="Cancel").click()
        expect(first.locator("#state .state")).to_have_text("cancelling")
        expect(first.locator("#actions button")).to_have_count(0)
        assert api.services.leases.renew(lease)  # its worker is told, and stops
        api.services.leases.stopped(lease)
        for page in pages:
            expect(page.locator("#state .state")).to_have_text("cancelled")
            expect(page.locator("#events tr").last).to_contain_text("cancelled")


def test_two_on_one_model(browser: Browser, world: World) -> None:
    with browser.new_context() as one, browser.new_context() as other:
        first, second = world.sign_in(one), world.sign_in(other)
        for page in (first, second):
            page.goto(f"{world.url}/ui/models/ctr")
            expect(page.get_by_role("button", name="Promote 1…")).to_be_visible()
        first.get_by_role("button", name="Promote 1…").click()
        dialog = first.get_by_role("dialog")
        dialog.get_by_role("button", name="Move from 2 to 1").click()
        expect(first.locator("#status")).to_have_text("latest points at version 1.")
        # The other's page follows, and its next move is from where the alias is now.
        expect(second.get_by_role("button", name="Promote 2…")).to_be_visible()
        second.get_by_role("button", name="Promote 2…").click()
        theirs = second.get_by_role("dialog")
        expect(theirs).to_contain_text("from version 1 to version 2?")
        theirs.get_by_role("button", name="Move from 1 to 2").click()
        expect(second.locator("#status")).to_have_text("latest points at version 2.")
        expect(first.get_by_role("button", name="Promote 1…")).to_be_visible()
    assert world.get("/v1/models/ctr")["aliases"]["latest"] == 2
