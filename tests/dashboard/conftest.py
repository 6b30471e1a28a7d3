"""An API that demands a key, one without, and a headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from ctrfast.data.shards import Dataset
from service.access import ALL_RIGHTS, Right
from tests.dashboard.published_world import World
from tests.service.conftest import Api, fill_data_root, quick_settings

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PATIENCE_MS = 120_000  # a loaded machine is slow, and nothing here is about time
HOSTILE = "<script>document.title='taken'</script>"


class Guarded:
    """An API that demands a key, with one of all rights and one that may only read jobs."""

    def __init__(self, home: Path) -> None:
        self.api = Api(quick_settings(home, require_key=True))
        self.url, self.services = self.api.url, self.api.services
        self.key = self.services.keys.create("all", rights=ALL_RIGHTS)
        self.reader = self.services.keys.create("reader", rights=[Right.JOBS_READ])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    guarded = Guarded(tmp_path_factory.mktemp("guarded") / "home")
    yield guarded
    guarded.api.close()


@pytest.fixture
def make_api(tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """Start APIs over real HTTP, on one HOME; they end with the test."""
    started: list[Api] = []

    def start(port: int = 0, **changes: Any) -> Api:
        started.append(Api(quick_settings(tmp_path / "home", lease_s=600.0, **changes), port=port))
        return started[-1]

    yield start
    for api in started:
        api.close()


@pytest.fixture(scope="session")
def data_home(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset, raw_clicks: Path) -> Path:
    """A HOME with the dataset `prepared` under its data."""
    home = tmp_path_factory.mktemp("dashboard") / "home"
    fill_data_root(home, dataset.path, raw_clicks)
    return home


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium; where there is none, that of `make setup`."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"], timeout=5 * PATIENCE_MS
        )
        new_context = browser.new_context

        def patient_context(**options: Any) -> BrowserContext:
            context = new_context(**options)
            context.set_default_timeout(PATIENCE_MS)
            return context

        browser.new_context = patient_context  # type: ignore[method-assign]
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, dataset: Dataset, raw_clicks: Path, run_path: Path, bundle_path: Path
) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world") / "home", dataset.path, raw_clicks, run_path, bundle_path)
    yield world
    world.close()
