"""The curves of a job's page on a bad line: what could not be read is asked for again, and once at a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, Page, Route, expect

from service.leases import Lease, Report
from service.states import Kind
from tests.service.conftest import Api

MOST_LIVE = 3000  # records that a page takes before it has the server thin them out anew
STEPS = 50
AGAIN_MS = 10_000  # after curves of fields could not be read
SERIES = re.compile(r"/metrics\?names=")
FIELDS = re.compile(r"/metrics\?names=.*&points=120")  # those that are drawn


def training(api: Api) -> Lease:
    api.services.jobs.enqueue(Kind.TRAIN, {"dataset": "clicks", "batch_size": 512})
    lease = api.services.leases.claim("w")
    assert lease is not None
    return lease


def report(api: Api, lease: Lease, steps: range, **values: float) -> None:
    for start in range(0, len(steps), 500):
        records: list[dict[str, Any]] = [
            {"epoch": 0, "step": step, "loss": step / 10_000, **values} for step in steps[start : start + 500]
        ]
        api.services.leases.renew(lease, Report(records=records))


def points(page: Page, title: str) -> int:
    label = page.locator(f'[role=img][aria-label^="{title}"]').get_attribute("aria-label") or ""
    return int(re.findall(r"\d+", label)[0])


def test_fields_are_read_again_though_the_job_has_ended(make_api: Callable[..., Api], browser: Browser) -> None:
    api = make_api()
    lease = training(api)
    report(api, lease, range(1, STEPS + 1), **{"embedding_norm.C1": 0.5})
    api.services.leases.succeed(lease, {}, lambda _: {})
    refused: list[Route] = []

    def refuse(route: Route) -> None:
        refused.append(route)
        route.abort()

    with browser.new_context() as context:
        page = context.new_page()
        page.clock.install()
        page.route(FIELDS, refuse)
        page.goto(f"{api.url}/ui/jobs/{lease.job_id}")
        expect(page.locator("#problem")).to_contain_text("Curves of fields cannot be read")
        norms = page.locator('[role=img][aria-label^="Embedding norm"]')
        expect(norms).to_be_visible()  # what is known meanwhile
        assert points(page, "Embedding norm") < STEPS
        assert len(refused) <= 1 + page.evaluate("performance.now()") / AGAIN_MS
        page.unroute(FIELDS)
        page.clock.fast_forward(AGAIN_MS)
        expect(page.locator("#problem")).to_be_hidden()
        expect(norms).to_have_attribute("aria-label", re.compile(rf"^Embedding norm\D*{STEPS} points"))


def test_fields_are_read_while_the_others_are_and_the_plan_after_them(
    make_api: Callable[..., Api], browser: Browser
) -> None:
    api = make_api()
    lease = training(api)
    report(api, lease, range(1, STEPS + 1), **{"embedding_norm.C1": 0.5})
    held: list[Route] = []
    asked: list[str] = []
    with browser.new_context() as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.route(re.compile("points=600"), lambda route: held.append(route))
        with page.expect_response(FIELDS):
            page.goto(f"{api.url}/ui/jobs/{lease.job_id}")
        assert len(held) == 1
        assert not any("/v1/plans" in url for url in asked)
        with page.expect_request("**/v1/plans"):
            held[0].continue_()
        expect(page.locator('[role=img][aria-label^="Embedding norm"]')).to_be_visible()
        expect(page.locator('[role=img][aria-label^="Loss"]')).to_be_visible()
        assert sum(bool(FIELDS.search(url)) for url in asked) == 1


def test_the_series_is_read_once_at_a_time(make_api: Callable[..., Api], browser: Browser) -> None:
    api = make_api()
    lease = training(api)
    report(api, lease, range(1, 2))
    held: list[Route] = []
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{api.url}/ui/jobs/{lease.job_id}")
        loss = page.locator('[role=img][aria-label^="Loss"]')
        expect(loss).to_have_attribute("aria-label", re.compile("^Loss: 1 point"))
        expect(page.locator("#stream")).to_have_text("live")
        page.route(SERIES, lambda route: held.append(route))
        drawn = 1

        def tell(count: int) -> None:
            nonlocal drawn
            report(api, lease, range(drawn + 1, drawn + count + 1))
            drawn += count

        def draw_some() -> None:
            for _ in range(3):
                tell(1)
                expect(loss).to_have_attribute("aria-label", re.compile(f"^Loss: {drawn} points"))

        with page.expect_request(SERIES):
            tell(MOST_LIVE + 1)
        draw_some()
        assert len(held) == 2  # metrics of all fields and of each, once
        for route in held:
            route.abort()
        draw_some()
        assert len(held) == 2  # a failure is no reason to ask with each drawing
        with page.expect_request(SERIES):
            tell(MOST_LIVE)
        draw_some()
        assert len(held) == 4
        for route in held[2:]:
            route.continue_()
        expect(loss).not_to_have_attribute("aria-label", re.compile(f"^Loss: {drawn} points"))
        thinned = points(page, "Loss")
        assert thinned < MOST_LIVE
        report(api, lease, range(drawn + 1, drawn + 2))
        expect(loss).to_have_attribute("aria-label", re.compile(f"^Loss: {thinned + 1} points"))


def test_the_use_of_a_mixtures_experts_is_drawn(make_api: Callable[..., Api], browser: Browser) -> None:
    api = make_api()
    lease = training(api)
    shares = {f"expert_share.mixture_0.expert_{expert}": share for expert, share in enumerate((0.2, 0.3, 0.5))}
    report(api, lease, range(999_900, 1_000_000), balance=1.125, **shares)
    with browser.new_context(viewport={"width": 360, "height": 800}) as context:
        page = context.new_page()
        page.goto(f"{api.url}/ui/jobs/{lease.job_id}")
        label = page.locator('[role=img][aria-label^="Share of rows that take an expert"]')
        expect(label).to_have_attribute("aria-label", re.compile("mixture_0.expert_2 50.00 %"))
        page.get_by_label("Expert", exact=True).select_option(label="mixture_0.expert_0")
        expect(label).to_have_attribute("aria-label", re.compile("Last: mixture_0.expert_0 20.00 %"))
        expect(page.locator('[role=img][aria-label^="Balance of experts"]')).to_have_attribute(
            "aria-label", re.compile("Last: all mixtures 1.125")
        )
