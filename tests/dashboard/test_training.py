"""Real trainings from the form to the model that answers, in a browser, by a service as its users start it."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ctrfast.data.shards import Dataset
from service.local import LocalService
from tests.dashboard.test_data_and_model_pages import rows_of
from tests.service.conftest import wait_for

QUICK = {"CTRFAST_HEARTBEAT_S": "0.2", "CTRFAST_LEASE_S": "30"}
LABEL = "document.querySelector('[role=img][aria-label^=\"Loss: \"]').ariaLabel"
LONG_MS = 300_000  # a training's process imports TensorFlow first


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Iterator[str]:
    """Where a service with one worker and the dataset `clicks` answers."""
    home = tmp_path_factory.mktemp("service") / "home"
    shutil.copytree(dataset.path, home / "data" / "clicks")
    with LocalService(home, settings=QUICK) as local:
        body = {"name": "clicks", "path": "clicks"}
        assert httpx.post(f"{local.url}/v1/datasets", json=body, timeout=120).status_code == 201
        yield local.url


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser; nothing may go wrong in its pages."""
    wrong: list[str] = []
    with browser.new_context() as context:
        context.on("weberror", lambda error: wrong.append(str(error.error)))
        yield context
        assert wrong == []


def submit(page: Page, url: str, epochs: int, every: int = 1, publish_as: str = "", seed: int = 1) -> None:
    page.goto(f"{url}/ui/jobs/new")
    expect(page.get_by_label("dataset", exact=True)).to_have_value("clicks")
    page.get_by_label("batch_size", exact=True).fill("512")
    page.get_by_label("epochs", exact=True).fill(str(epochs))
    page.get_by_label("publish_as", exact=True).fill(publish_as)
    page.get_by_label("seed", exact=True).fill(str(seed))
    page.get_by_text("More settings of the run").click()
    page.get_by_label("log_every_steps", exact=True).fill(str(every))
    page.locator("[id='setting-model.hidden']").fill("8")
    page.locator("[id='setting-model.embedding_dim']").fill("4")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#state")).to_contain_text(re.compile("queued|running"))


def the_api() -> psutil.Process:
    """The service's API process."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it may end meanwhile
            if process.cmdline()[1:4] == ["-m", "service.cli", "api"]:
                return process
    pytest.fail("there is no API process")


def losses_told(context: BrowserContext, url: str, job_id: str) -> dict[int, float]:
    """The loss by step, of all events of a job."""
    losses: dict[int, float] = {}
    after = 0
    while True:
        place = f"{url}/v1/jobs/{job_id}/events?after={after}&limit=1000"
        events = context.request.get(place, headers={"Accept": "application/json"}).json()["events"]
        if not events:
            return losses
        after = events[-1]["seq"]
        told = [event["data"] for event in events if event["type"] == "metric"]
        losses |= {of["step"]: of["loss"] for of in told if of.get("loss") is not None}


def losses_shown(page: Page) -> dict[int, float]:
    """The same of a job's page: what its chart of the loss saves."""
    with page.expect_download() as saved:
        page.get_by_role("button", name="Loss: CSV").click()
    with Path(saved.value.path()).open(newline="") as file:
        return {int(row["step"]): float(row["training"]) for row in csv.DictReader(file) if row["training"]}


def test_a_training_is_submitted_watched_paused_resumed(context: BrowserContext, url: str) -> None:
    page, other = context.new_page(), context.new_page()
    submit(page, url, epochs=10_000, every=10)
    submit(other, url, epochs=1)
    expect(other.locator("#progress")).to_contain_text("in the queue")
    other.once("dialog", lambda dialog: dialog.accept())
    other.get_by_role("button", name="Cancel").click()
    expect(other.locator("#state")).to_contain_text("cancelled")

    loss = page.get_by_role("img", name=re.compile("^Loss: "))
    expect(loss).to_have_attribute("aria-label", re.compile(r"training \d"), timeout=LONG_MS)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state .state")).to_have_text("paused", timeout=LONG_MS)
    places = int(re.findall(r"\d+", loss.get_attribute("aria-label") or "")[0])
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#state .state")).to_have_text("running", timeout=LONG_MS)
    page.wait_for_function(f"least => Number({LABEL}.match(/\\d+/)[0]) > least", arg=places, timeout=LONG_MS)
    for title in ("Embedding norm", "Share of rows whose gradient was clipped", "Memory", "AUC"):
        expect(page.get_by_role("img", name=re.compile(f"^{title}"))).to_be_visible()

    # The API is started anew on its port while the training goes on; the page misses nothing of it.
    before = max(losses_shown(page))
    first = the_api()
    first.terminate()
    expect(page.locator("#stream")).to_contain_text("trying again", timeout=LONG_MS)
    expect(page.locator("#stream")).to_have_text("live", timeout=LONG_MS)
    assert the_api().pid != first.pid
    wait_for(lambda: max(losses_shown(page)) > before + 50, "a loss after the restart")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#state .state")).to_have_text("cancelled", timeout=LONG_MS)
    expect(page.locator("#events tr").last).to_contain_text("cancelled")
    told = losses_told(context, url, page.url.rsplit("/", 1)[1])
    assert len(told) > 10
    wait_for(lambda: losses_shown(page) == told, "the page's last drawing")


def test_two_versions_are_published_promoted_scored_rolled_back(context: BrowserContext, url: str) -> None:
    page = context.new_page()
    for seed in (1, 2):
        submit(page, url, epochs=1, publish_as="ctr", seed=seed)
        expect(page.locator("#state .state")).to_have_text("succeeded", timeout=LONG_MS)
        page.get_by_text("Result", exact=True).click()
        expect(page.locator("#files")).to_contain_text(f"Model ctr, version {seed}")
    page.goto(f"{url}/ui/models/ctr")
    assert [row[0] for row in rows_of(page, "Versions, newest first")] == ["2", "1"]
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Promote 1…").click()
    dialog.get_by_role("button", name="Move from 2 to 1").click()
    expect(page.locator("#status")).to_have_text("latest points at version 1.")
    row = {"I1": 3, "C1": "68fd1e64"}
    first, second = (scored(context, url, version, row) for version in (1, 2))
    assert first != second
    assert scored(context, url, None, row) == first  # what `latest` answers

    page.goto(f"{url}/ui/score?model=ctr&beside=2")
    expect(page.get_by_label("Version", exact=True)).to_have_value("1")
    page.get_by_label("Impression").fill(json.dumps(row))
    page.get_by_role("button", name="Score", exact=True).click()
    assert [shown[:2] for shown in rows_of(page, "Scores")] == [["1", first], ["2", second]]

    page.goto(f"{url}/ui/models/ctr")
    page.get_by_role("button", name="Roll latest back to 2…").click()
    dialog.get_by_role("button", name="Move from 1 to 2").click()
    expect(page.locator("#status")).to_have_text("latest points at version 2.")
    assert scored(context, url, None, row) == second
    moves = [(move[2], move[3].split()[0]) for move in rows_of(page, "Moves of aliases")]
    assert moves == [("1 to 2", "local"), ("2 to 1", "local"), ("1 to 2", "job"), ("to 1", "job")]


def scored(context: BrowserContext, url: str, version: int | None, row: dict[str, Any]) -> str:
    """The probability that the service answers a script, as the page writes it."""
    body: dict[str, Any] = {"model": "ctr", "context": row, "candidates": [{}]}
    if version is not None:
        body["version"] = version
    answer = context.request.post(f"{url}/v1/score", data=body)
    assert answer.status == 200, answer.text()
    return f"{100 * answer.json()['scores'][0]['probability']:.3f} %"
