"""Headers that protect, and secrets that are told nowhere: not in answers, logs or at the terminal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from service.access import ALL_RIGHTS
from service.keys import KeyStore
from service.settings import Settings
from tests.service.conftest import Api
from tests.service.test_cli import run

PASSWORD = "correct-horse-battery"


def test_security_headers(api: Api) -> None:
    for path in ("/healthz", "/v1/jobs", "/nothing", "/docs", "/openapi.json", "/metrics"):
        headers = api.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert policy.endswith("frame-ancestors 'none'")
        assert policy.count("default-src") == 1
        assert "server" not in headers


def test_a_page_keeps_its_own_policy(api: Api) -> None:
    policy = api.client.get("/docs").headers["content-security-policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def test_no_log_holds_a_key(make_api: Callable[..., Api], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api = make_api(require_key=True)
    key = KeyStore(api.services.database).create("test", rights=ALL_RIGHTS)
    secret = key.partition(".")[2]
    answers = []
    for headers in (
        {"X-API-Key": key},
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"Basic {key}"},
        {"X-API-Key": key + "x"},
        {"X-API-Key": secret},
    ):
        for method, path in (("GET", "/v1/jobs"), ("POST", "/v1/jobs/x/cancel"), ("GET", "/nothing")):
            answers.append(api.client.request(method, path, headers=headers))
    api.services.database.migrate("base")
    answers.append(api.client.post("/v1/jobs/x/cancel", headers={"X-API-Key": key}))
    assert answers[-1].status_code == 503
    api.close()
    assert any("no audit entry" in record.getMessage() for record in caplog.records)
    ours = [
        record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    ]  # not the client's
    told = [record.getMessage() + (record.exc_text or "") for record in ours]
    told += [f"{answer.text} {answer.headers}" for answer in answers]
    assert [line for line in told if secret in line] == []


@pytest.mark.parametrize("url", ["postgresql://me:{}@127.0.0.1:1/none", "postgresql://me:{}@[bad/none"])
def test_the_databases_password_is_not_told(home: Path, url: str) -> None:
    result = run(home, "migrate", CTRFAST_DATABASE_URL=url.format(PASSWORD), CTRFAST_LOG_LEVEL="DEBUG")
    assert result.returncode == 1
    assert PASSWORD not in result.stdout + result.stderr
    assert PASSWORD not in repr(Settings(database_url=url.format(PASSWORD)))
