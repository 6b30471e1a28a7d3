"""What `/readyz` says of database, storage and worker, and the roll that workers sign, on both databases."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable

import pytest

from service.memory_use import rss_of_family
from service.readiness import check_parts
from service.states import Kind
from service.wiring import Services
from service.worker_roll import WorkerRoll
from tests.service.conftest import Api, wait_for
from tests.service.test_api_jobs import problem
from tests.service.test_worker import working
from tests.service.test_worker_databases import submit

MUCH = 10**18


def test_each_part_is_named(make_api: Callable[..., Api]) -> None:
    api = make_api(require_worker=True)
    answer = api.client.get("/readyz")
    detail = problem(answer, 503, "not_ready")["detail"]
    assert detail == "database: ok storage: ok models: ok worker: None gave a sign of life within 30 s."
    api.services.workers.sign("host:1", None, 1)
    parts = {"database": "ok", "storage": "ok", "models": "ok", "worker": "ok"}
    assert api.client.get("/readyz").json() == {"status": "ready", "checks": parts}
    api.services.workers.sign_out("host:1")
    assert api.client.get("/readyz").status_code == 503


def test_an_api_alone_is_ready_without_a_worker(api: Api) -> None:
    answer = api.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"]["worker"] == "None gave a sign of life within 30 s."


def test_a_full_disk(make_api: Callable[..., Api]) -> None:
    detail = problem(make_api(min_free_bytes=MUCH).client.get("/readyz"), 503, "not_ready")["detail"]
    assert "database: ok" in detail
    assert f"storage: Less than {MUCH:,} bytes are free" in detail


def test_a_folder_that_is_gone(api: Api) -> None:
    home = api.services.settings.home_dir
    home.rename(home.with_name("moved"))
    detail = problem(api.client.get("/readyz"), 503, "not_ready")["detail"]
    assert "storage: CTRFAST_HOME cannot be reached." in detail
    assert str(home) not in detail


def test_a_database_without_tables(api: Api) -> None:
    api.services.database.migrate("base")
    detail = problem(api.client.get("/readyz"), 503, "not_ready")["detail"]
    assert "database: The database has no tables yet. Run `ctrfast-service migrate`." in detail
    assert "worker: It cannot be looked for." in detail
    api.services.database.migrate("0009")
    detail = problem(api.client.get("/readyz"), 503, "not_ready")["detail"]
    assert "database: The database has other tables than this version needs." in detail
    assert problem(api.client.get("/v2/health/ready"), 503, "not_ready")["detail"] in detail


def test_the_roll(services: Services) -> None:
    now = 1000.0
    roll = WorkerRoll(services.database, lambda: now)
    roll.sign("b", None, 10)
    now = 1020.0
    roll.sign("a", Kind.TRAIN, 5_000_000_000)
    assert [(row.name, row.kind, row.rss_bytes) for row in roll.present(30)] == [
        ("a", "train", 5_000_000_000),
        ("b", None, 10),
    ]
    assert [row.name for row in roll.present(19)] == ["a"]
    now = 1040.0
    roll.sign("b", Kind.SCORE, 20)
    assert [(row.name, row.kind) for row in roll.present(1)] == [("b", "score")]
    roll.sign_out("b")
    assert [row.name for row in roll.present(30)] == ["a"]
    now = 9000.0
    roll.sign("c", None, 1)
    assert [row.name for row in roll.present(1e9)] == ["c"]  # who has been silent for hours is forgotten


def test_the_workers_of_this_host(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    roll = WorkerRoll(services.database, lambda: now)
    monkeypatch.setattr("socket.gethostname", lambda: "here:2")
    for name in ("here:2:8", "here:3", "there:2"):
        roll.sign(name, None, 1)
    assert [row.name for row in roll.present_here(1)] == ["here:2:8"]
    now = 1002.0
    assert not roll.present_here(1)


def test_workers_sign_while_idle_and_at_work_and_sign_out(services: Services) -> None:
    settings = services.settings

    def kinds() -> list[str | None]:
        return [row.kind for row in services.workers.present(settings.lease_s)]

    with working(settings.model_copy(update={"lease_s": 6.0}), "polite") as worker:  # it signs each second
        wait_for(lambda: kinds() == [None], "the idle worker")
        asyncio.run(services.shelf.look())  # as an API does before its first answer
        assert check_parts(services)["worker"] == "ok"
        submit(services)
        wait_for(lambda: kinds() == ["train"], "the worker's job")
        (row,) = services.workers.present(settings.lease_s)
        assert row.name == worker.name
        assert row.rss_bytes > 10_000_000
    assert kinds() == []


def test_memory_counts_the_family() -> None:
    alone = rss_of_family()
    assert alone > 10_000_000
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        wait_for(lambda: rss_of_family() > alone + 3_000_000, "the child's memory")
        child.communicate(b"\n")
