"""How many bytes come for a page that a browser opens for the first time: the issue asks for less than 250 KB."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from service.assignments import LOG
from service.guard import Guard
from service.leases import Lease, Report
from service.pages.assets import assets
from service.scoring.endpoints import ScoringRoutes
from service.states import Kind
from tests.dashboard.test_pages import MOST_BYTES
from tests.service.conftest import Api

FIELDS = [f"C{number}" for number in range(1, 27)]  # Criteo's
NAMES = (
    *("loss", "valid_log_loss", "valid_auc", "test_auc", "rows_per_s", "input_wait_share", "clipped_share"),
    *("memory_bytes", *(f"clipped_share.{name}" for name in FIELDS), *(f"embedding_norm.{name}" for name in FIELDS)),
)
MOST_LOOKS = 40
RECORDS = 2000  # each metric has more values than the page draws of it, as it has with a million


class Loaded:
    """What a browser has got for a page: bytes as they came, with headers, by address."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.addresses: dict[str, str] = {}
        self.bytes: dict[str, int] = {}
        self.unfinished: dict[str, str] = {}  # address by request
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.on("Network.requestWillBeSent", self._name)
        network.on("Network.loadingFinished", self._count)
        network.on("Network.loadingFailed", self._end)

    def _name(self, told: dict[str, Any]) -> None:
        address = told["request"]["url"].removeprefix(self.url)
        self.addresses[told["requestId"]] = address
        if told["type"] != "EventSource":  # which does not end
            self.unfinished[told["requestId"]] = address

    def _end(self, told: dict[str, Any]) -> None:
        self.unfinished.pop(told["requestId"], None)

    def _count(self, told: dict[str, Any]) -> None:
        address = self.addresses[told["requestId"]]
        self._end(told)
        self.bytes[address] = self.bytes.get(address, 0) + int(told["encodedDataLength"])

    def total(self) -> int:
        """Once each answer is there, and no more were asked for in a while."""
        for _ in range(MOST_LOOKS):
            before = len(self.addresses)
            self.page.wait_for_timeout(1500)
            if len(self.addresses) == before and not self.unfinished:
                return sum(self.bytes.values())
        pytest.fail(f"not finished: {sorted(self.unfinished.values())}")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser that has nothing kept."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        yield page


def long_training(api: Api) -> Lease:
    """A running training with many records of all metrics, digits that nothing compresses, and a long log."""
    job_id = api.services.jobs.enqueue(Kind.TRAIN, {"dataset": "clicks", "batch_size": 512}).id
    lease = api.services.leases.claim("w")
    assert lease is not None
    rng = random.Random(1)
    for start in range(0, RECORDS, 500):
        records = [
            {"epoch": step // 1000, "step": 7 * step, **{name: rng.random() for name in NAMES}}
            for step in range(start, start + 500)
        ]
        api.services.leases.renew(lease, Report(progress=start / RECORDS, records=records))
    log = api.services.settings.job_folder(job_id) / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(f"step {7 * step}: loss {rng.random()}\n" for step in range(RECORDS)))
    return lease


def test_a_long_training_of_many_fields(make_api: Callable[..., Api], page: Page) -> None:
    api = make_api()
    lease = long_training(api)
    loaded = Loaded(page, api.url)
    page.goto(f"{api.url}/ui/jobs/{lease.job_id}")
    for title in ("Loss", "Share of rows whose gradient was clipped", "Embedding norm"):
        page.locator(f'[role=img][aria-label^="{title}"]').wait_for()
    assert loaded.total() < MOST_BYTES, loaded.bytes
    drawn = page.locator('[role=img][aria-label^="Embedding norm"]').get_attribute("aria-label") or ""
    newest = api.client.get(f"/v1/jobs/{lease.job_id}/metrics?names=embedding_norm.*&points=4").json()["series"][-1]
    largest = sorted(FIELDS, key=lambda name: -newest[f"embedding_norm.{name}"])[:6]
    assert [part.split()[0] for part in drawn.partition("Last: ")[2].split(", ")] == sorted(largest)
    other = next(name for name in FIELDS if name not in largest)
    page.get_by_label("Field", exact=True).last.select_option(other)  # its series is read when it is drawn
    page.locator(f'[role=img][aria-label^="Embedding norm"][aria-label*="Last: {other} "]').wait_for()


@pytest.mark.parametrize("path", ["jobs", "jobs/none", "jobs/new", "sweeps/none", "models/none", "score"])
def test_a_page_names_all_scripts_that_it_begins_with(make_api: Callable[..., Api], page: Page, path: str) -> None:
    api = make_api()
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url.removeprefix(api.url)))
    page.goto(f"{api.url}/ui/{path}")
    page.wait_for_load_state("networkidle")
    named = set(re.findall(r'(?:src|href)="([^"]+[.]js)"', api.client.get(f"/ui/{path}").text))
    assert {address for address in asked if address.endswith(".js")} == named
    assert len(named) > 4


def test_a_page_of_jobs(make_api: Callable[..., Api], page: Page) -> None:
    api = make_api()
    grid = {"scaling.rule": ["none", "cowclip"], "batch_size": [100, 200], "seed": [1, 2, 3]}
    for _ in range(50):
        api.services.jobs.enqueue(Kind.SWEEP, {"base": {"dataset": "clicks"}, "grid": grid}, children=[])
    loaded = Loaded(page, api.url)
    page.goto(f"{api.url}/ui/jobs")
    page.locator("#jobs tbody tr").nth(49).wait_for()
    assert loaded.total() < MOST_BYTES, loaded.bytes


def test_what_leaves_compressed(make_api: Callable[..., Api]) -> None:
    api = make_api()
    lease = long_training(api)
    script = assets().address("job.js")
    series = f"/v1/jobs/{lease.job_id}/metrics?names=loss&points=600"
    with httpx.Client(base_url=api.url, headers={"Accept-Encoding": "gzip;q=0, identity"}, timeout=120) as plain:
        for path in (script, series):
            answer = api.client.get(path)
            assert answer.headers["content-encoding"] == "gzip"
            assert "accept-encoding" in answer.headers["vary"].lower()
            as_it_is = plain.get(path)
            assert "content-encoding" not in as_it_is.headers
            assert as_it_is.content == answer.content
            assert (
                int(answer.headers["content-length"])
                < len(answer.content)
                < int(as_it_is.headers["content-length"]) + 1
            )
    assert [of.cls for of in api.app.user_middleware] == [Guard, ScoringRoutes]  # nothing more for scoring to pass
    # Pages hold the CSRF token; what is short gains nothing.
    short = f"/v1/jobs/{lease.job_id}/metrics?names=loss&points=4"
    for path in (f"/ui/jobs/{lease.job_id}", f"/v1/jobs/{lease.job_id}", short, "/healthz", "/openapi.json"):
        answer = api.client.get(path)
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers, path
