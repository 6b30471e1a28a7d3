"""A database that is away for a while: the worker's job goes on and costs no attempt, and callers are asked to wait."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

import service.database
import service.worker
from service.database import CONNECT_TIMEOUT_S, Database
from service.deliveries import Deliveries
from service.jobs import JobStore
from service.leases import LeaseStore
from service.wiring import Services
from service.worker_roll import WorkerRoll
from tests.service.conftest import Api, quick_settings, wait_for
from tests.service.made_tables import make_tables
from tests.service.test_api_jobs import problem
from tests.service.test_worker import ended, register_dataset, reported, submit, working

Break = Callable[[type, str], list[str]]


@pytest.fixture
def services(home: Path) -> Iterator[Services]:
    settings = quick_settings(home, max_attempts=3)
    make_tables(settings.url)
    services = Services.build(settings)
    register_dataset(services)
    yield services
    services.database.dispose()


@pytest.fixture
def break_twice(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Have the first two calls of a method find no database; returns the list that they are told in."""

    def break_(kind: type, name: str) -> list[str]:
        whole = getattr(kind, name)
        failed: list[str] = []

        def broken(*arguments: Any, **named: Any) -> Any:
            if len(failed) < 2:
                failed.append(name)
                raise OperationalError("SELECT 1", None, Exception("away"))
            return whole(*arguments, **named)

        monkeypatch.setattr(kind, name, broken)
        return failed

    return break_


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (LeaseStore, "claim"),
        (LeaseStore, "renew"),
        (LeaseStore, "sweep"),
        (LeaseStore, "succeed"),
        (WorkerRoll, "sign"),
    ],
)
def test_a_job_succeeds_in_one_attempt(
    services: Services, break_twice: Break, monkeypatch: pytest.MonkeyPatch, kind: type, name: str
) -> None:
    monkeypatch.setattr(service.worker, "SWEEPS_PER_LEASE", 300)  # it signs ten times a second
    failed = break_twice(kind, name)
    job_id = submit(services)
    with working(services.settings, "slow"):
        job = ended(services, job_id)
        wait_for(lambda: len(failed) == 2, "the second failure")
    assert (job.state, job.attempt, job.metrics) == ("succeeded", 1, {"loss": 0.5, "test_auc": 0.75})
    assert failed == [name, name]


def test_a_failure_is_told_once_the_database_is_back(services: Services, break_twice: Break) -> None:
    failed = break_twice(LeaseStore, "fail")
    job_id = submit(services)
    with working(services.settings, "fail", "bad_data"):
        job = ended(services, job_id)
    assert (job.state, job.reason, job.message, job.attempt) == ("failed", "bad_data", "it went wrong", 1)
    assert len(failed) == 2


def test_a_cancel_is_told_once_the_database_is_back(services: Services, break_twice: Break) -> None:
    failed = break_twice(LeaseStore, "stopped")
    job_id = submit(services)
    with working(services.settings, "polite"):
        reported(services, job_id, "pid")
        services.jobs.cancel(job_id)
        assert ended(services, job_id).state == "cancelled"
    assert len(failed) == 2


def test_a_delivery_that_broke_off_is_made_again_by_another_attempt(services: Services, break_twice: Break) -> None:
    failed = break_twice(Deliveries, "deliver")
    job_id = submit(services)
    with working(services.settings, "done"):
        job = ended(services, job_id)
    assert (job.state, job.attempt) == ("succeeded", 3)
    told = [event.data for event in services.jobs.events(job_id, 0).events if "reason" in event.data]
    assert [data["reason"] for data in told] == ["storage", "storage"]
    assert len(failed) == 2


def test_a_caller_is_told_when_to_ask_again(api: Api, break_twice: Break) -> None:
    break_twice(JobStore, "page")
    for _ in range(2):
        answer = api.client.get("/v1/jobs")
        problem(answer, 503, "not_ready")
        assert answer.headers["Retry-After"] == "1"
    assert api.client.get("/v1/jobs").status_code == 200


def connect_arguments(url: str) -> dict[str, Any]:
    """What the driver is given for a connection."""
    engine, given = Database(url).engine, {}

    @event.listens_for(engine, "do_connect")
    def refuse(_dialect: Any, _record: Any, _arguments: Any, named: dict[str, Any]) -> None:
        given.update(named)
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        engine.connect()
    return given


def test_a_connection_to_postgresql_has_a_limit_of_time() -> None:
    url = "postgresql+psycopg://me:secret@127.0.0.1/ctr"
    assert int(connect_arguments(url)["connect_timeout"]) == CONNECT_TIMEOUT_S
    assert connect_arguments(url)["password"] == "secret"
    assert connect_arguments(f"{url}?connect_timeout=3&sslmode=prefer")["connect_timeout"] == "3"
    assert "connect_timeout" not in connect_arguments("sqlite:///none.db")


def test_an_open_connection_to_postgresql_has_one_too() -> None:
    url = "postgresql+psycopg://me:secret@127.0.0.1/ctr"
    limits = {"tcp_user_timeout": 10_000, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
    given = connect_arguments(url)
    assert {name: int(given[name]) for name in limits} == limits
    given = connect_arguments(f"{url}?connect_timeout=3&tcp_user_timeout=500")
    assert {name: int(given[name]) for name in limits} == {**limits, "tcp_user_timeout": 500}
    assert not limits.keys() & connect_arguments("sqlite:///none.db").keys()


def test_a_start_does_not_wait_for_a_host_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.database, "CONNECT_TIMEOUT_S", 2)  # libpq's least
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(f"postgresql+psycopg://127.0.0.1:{silent.getsockname()[1]}/ctr")
        with pytest.raises(OperationalError, match="timeout"):
            database.unfit()
        database.dispose()
