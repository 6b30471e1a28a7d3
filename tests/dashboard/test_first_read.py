"""A job's page that could not be filled when it was opened: what may come later is asked for again, and that alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from service.leases import Lease
from tests.dashboard.test_curves import FIELDS, points, report, training
from tests.service.conftest import Api

AGAIN_MS = 5000
STEPS = 20


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api()


@pytest.fixture
def lease(api: Api) -> Lease:
    """Of a job that runs and has told something."""
    lease = training(api)
    report(api, lease, range(1, STEPS + 1), **{"embedding_norm.C1": 0.5})
    return lease


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose clock is the test's."""
    with browser.new_context() as context:
        page = context.new_page()
        page.clock.install()
        yield page


class Refused:
    """Requests of a page that get no answer, until `end`."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, re.compile(address)
        self.page.route(self.address, lambda route: route.abort())

    def once_more(self) -> None:
        """Let the time pass after which the page asks again, and let it notice that nobody answers."""
        with self.page.expect_request(self.address):
            self.page.clock.fast_forward(AGAIN_MS)
        settle(self.page)

    def end(self) -> None:
        self.page.unroute(self.address)
        self.page.clock.fast_forward(AGAIN_MS)


def settle(page: Page) -> None:
    """Wait for answers that were on their way: one that is asked for now comes after them."""
    page.evaluate("fetch('/healthz').then((answer) => answer.text())")


@pytest.mark.parametrize(
    "rest", ["$", r"/metrics\?.*&points=600", r"/events\?.*types="], ids=["job", "series", "events"]
)
def test_a_page_is_filled_once_the_service_answers(api: Api, lease: Lease, page: Page, rest: str) -> None:
    refused = Refused(page, f"/v1/jobs/{lease.job_id}{rest}")
    page.goto(f"{api.url}/ui/jobs/{lease.job_id}")
    expect(page.locator("#problem")).to_contain_text("tries again")
    refused.once_more()
    expect(page.locator("#problem")).to_contain_text("tries again")
    refused.end()
    expect(page.locator("#stream")).to_have_text("live")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#state")).to_contain_text("running")
    assert points(page, "Loss") == STEPS
    expect(page.locator("#events td:nth-child(2)")).to_have_text(["queued", "running"])


def test_log_and_plan_are_read_once_the_service_answers(api: Api, lease: Lease, page: Page) -> None:
    refused = Refused(page, "/logs|/v1/plans")
    page.goto(f"{api.url}/ui/jobs/{lease.job_id}")
    log, plan = page.locator("#log-note"), page.locator("#plan-problem")
    for part in (log, plan):
        expect(part).to_contain_text("tries again")
    refused.once_more()
    refused.end()
    expect(log).to_have_text("0 lines.")
    expect(plan).to_contain_text("clicks")  # is not known, which is an answer too
    expect(plan).not_to_contain_text("tries again")


def test_what_is_refused_is_not_asked_for_again(api: Api, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(api.url)))
    page.goto(f"{api.url}/ui/jobs/none")
    expect(page.locator("#problem")).to_contain_text("Go back to the list of jobs.")
    for _ in range(3):
        page.clock.fast_forward(10 * AGAIN_MS)
        settle(page)
    assert asked.count("/v1/jobs/none") == 1


def test_fields_whose_events_were_removed_are_not_asked_for_again(api: Api, lease: Lease, page: Page) -> None:
    api.services.leases.succeed(lease, {}, lambda _: {})
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=410, json={"title": "Gone", "code": "events_expired", "detail": "They were removed."})

    page.route(FIELDS, refuse)
    page.goto(f"{api.url}/ui/jobs/{lease.job_id}")
    expect(page.locator("#problem")).to_contain_text("were removed")
    expect(page.locator('[role=img][aria-label^="Embedding norm"]')).to_be_visible()  # what was read before
    for _ in range(3):
        page.clock.fast_forward(30_000)
        settle(page)
    assert len(asked) == 1
