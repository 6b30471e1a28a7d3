"""Some cases of the kill matrix, once each, with a stand-in for the training (`make kill-matrix` has them all)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import fill_data_root
from tests.service.kill_matrix.cases import Bench, Case
from tests.service.kill_matrix.fleet import quick_fleet, wait_until
from tests.service.kill_matrix.postgres import Postgres

SPEC = {"dataset": "small", "batch_size": 200, "model": {"name": "deepfm"}}


@contextmanager
def bench_on(postgres: Postgres | None, home: Path, data: tuple[Path, Path], bundle: Path) -> Iterator[Bench]:
    fill_data_root(home, *data)
    fleet = quick_fleet(home, postgres, bundle)
    try:
        fleet.client.register("small", "prepared")
        yield Bench(fleet, SPEC)
    finally:
        fleet.close()


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory, dataset: Path, raw_file: Path, bundle: Path) -> Iterator[Bench]:
    with bench_on(None, tmp_path_factory.mktemp("fleet") / "home", (dataset, raw_file), bundle) as bench:
        yield bench


@pytest.fixture(scope="module")
def on_postgres(
    tmp_path_factory: pytest.TempPathFactory, dataset: Path, raw_file: Path, bundle: Path
) -> Iterator[Bench]:
    with closing(Postgres()) as postgres:  # of its own: that of the other tests must live
        home = tmp_path_factory.mktemp("fleet") / "home"
        with bench_on(postgres, home, (dataset, raw_file), bundle) as bench:
            yield bench


@pytest.mark.parametrize("case", [Case("api", "submit"), Case("worker", "publish")], ids=str)
def test_after_a_kill_on_sqlite_the_job_ends_once_and_as_if_nothing_had_been(on_sqlite: Bench, case: Case) -> None:
    assert on_sqlite.run(case).wrong == []


@pytest.mark.parametrize("case", [Case("training", "checkpoint"), Case("postgres", "publish")], ids=str)
def test_after_a_kill_on_postgresql_the_job_ends_once_and_as_if_nothing_had_been(
    on_postgres: Bench, case: Case
) -> None:
    assert on_postgres.run(case).wrong == []


def test_without_its_database_the_api_asks_for_patience_and_recovers_by_itself(on_postgres: Bench) -> None:
    fleet = on_postgres.fleet
    process = fleet.processes["api"]
    fleet.kill("postgres")
    try:
        for path in ("/v1/jobs", "/v1/models", "/v1/datasets", "/readyz"):
            answer = httpx.get(f"{fleet.url}{path}", timeout=60)
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready"), path
            assert path == "/readyz" or answer.headers["Retry-After"] == "1"
        assert httpx.get(f"{fleet.url}/healthz", timeout=60).status_code == 200
    finally:
        fleet.start("postgres")
    wait_until(fleet.answers, "the API's answer", 180)
    assert process.poll() is None
