"""Jobs of the other kinds by their forms, which are made of the JSON schemas, in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.published_world import World


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    with browser.new_context() as context:
        page = world.sign_in(context)
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        yield page
        assert wrong == []


def open_form(page: Page, world: World, kind: str) -> None:
    page.goto(f"{world.url}/ui/jobs/new")
    page.get_by_role("link", name=kind, exact=True).click()
    expect(page.get_by_role("link", name=kind, exact=True)).to_have_attribute("aria-current", "page")
    expect(page.locator("#settings label").first).to_be_visible()


def setting(page: Page, path: str) -> Any:
    return page.locator(f"[id='setting-{path}']")


def submit(page: Page) -> None:
    page.get_by_role("button", name="Submit").click()


def submitted(page: Page, world: World, kind: str) -> dict[str, Any]:
    """The spec of the job that the page leads to, once it is there."""
    expect(page.locator("#state")).to_contain_text("queued")
    job: dict[str, Any] = world.get(f"/v1/jobs/{page.url.rsplit('/', 1)[1]}")
    assert job["kind"] == kind
    spec: dict[str, Any] = job["spec"]
    return spec


def test_a_preparation(page: Page, world: World) -> None:
    open_form(page, world, "Preparation")
    expect(page.locator("#plan")).to_have_count(0)
    setting(page, "name").fill("small")
    setting(page, "raw").fill("nothing.tsv")
    setting(page, "preset").select_option("criteo")
    submit(page)
    expect(page.locator("[id='setting-name-error']")).to_contain_text("exists already")
    setting(page, "name").fill("next")
    submit(page)
    expect(page.locator("[id='setting-raw-error']")).to_contain_text("no file")
    setting(page, "raw").fill("clicks.tsv.gz\n\n")
    setting(page, "min_count").fill("2")
    setting(page, "max_bad_rows").fill("0.1%")
    setting(page, "vocabulary_from").select_option("small")
    submit(page)
    spec = {
        "name": "next",
        "raw": ["clicks.tsv.gz"],
        "preset": "criteo",
        "min_count": 2,
        "max_bad_rows": "0.1%",
        "vocabulary_from": "small",
    }
    assert submitted(page, world, "prepare") == spec
    page.get_by_role("link", name="Clone with changes").click()
    expect(setting(page, "raw")).to_have_value("clicks.tsv.gz")
    expect(setting(page, "preset")).to_have_value("criteo")
    page.goto(f"{world.url}/ui/jobs/new?kind=other")
    expect(page.get_by_role("heading", name="No such page")).to_be_visible()


def test_an_evaluation(page: Page, world: World) -> None:
    open_form(page, world, "Evaluation")
    expect(setting(page, "dataset")).to_have_value("small")
    submit(page)
    expect(page.locator("#problem")).to_contain_text("exactly one of")
    setting(page, "model").select_option("ctr")
    setting(page, "version").fill("two")
    submit(page)
    expect(page.locator("[id='setting-version-error']")).to_contain_text("version")
    setting(page, "version").fill("2")
    setting(page, "split").select_option("valid")
    submit(page)
    spec = {"dataset": "small", "model": "ctr", "version": 2, "split": "valid"}
    assert submitted(page, world, "evaluate") == spec


def test_a_scoring_of_files(page: Page, world: World) -> None:
    open_form(page, world, "Scoring of files")
    setting(page, "model").select_option("ctr")
    setting(page, "inputs").fill("clicks.tsv.gz")
    setting(page, "calibrated").select_option("true")
    submit(page)
    assert submitted(page, world, "score") == {"model": "ctr", "inputs": ["clicks.tsv.gz"], "calibrated": True}


def test_a_sweep(page: Page, world: World) -> None:
    open_form(page, world, "Sweep")
    expect(setting(page, "base.dataset")).to_have_value("small")
    expect(page.locator("#plan")).to_contain_text("lr_dense")
    setting(page, "base.epochs").fill("0")
    expect(page.locator("[id='setting-base.epochs-error']")).to_contain_text("epochs")
    setting(page, "base.epochs").fill("2")
    setting(page, "grid").fill('{"batch_size": [100, 200], "seed": [1, 2')
    submit(page)
    expect(page.locator("[id='setting-grid-error']")).to_contain_text("grid")
    setting(page, "grid").fill('{"batch_size": [100, 200], "seed": [1, 2, 3]}')
    expect(page.locator("#estimates")).to_contain_text("Runs6")
    submit(page)
    grid = {"batch_size": [100, 200], "seed": [1, 2, 3]}
    assert submitted(page, world, "sweep") == {"base": {"dataset": "small", "epochs": 2}, "grid": grid}
    expect(page.locator("#facts")).to_contain_text("6 queued")
    page.get_by_role("link", name="Clone with changes").click()
    expect(setting(page, "base.epochs")).to_have_value("2")
    assert page.evaluate("JSON.parse(document.getElementById('setting-grid').value)") == grid
