"""Keys end: by expiry, by revocation, also where another process remembers them; on SQLite and PostgreSQL."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from argon2 import PasswordHasher

import service.keys
from service.access import ALL_RIGHTS, USUAL_RIGHTS, Right
from service.key_list import key_lines, seconds_of
from service.keys import KeyStore
from service.tables import ApiKeyRow
from service.wiring import Services
from tests.service.conftest import wait_for


def only_row(services: Services) -> ApiKeyRow:
    (row,) = services.keys.all()
    return row


def test_a_key_knows_its_project_and_rights(services: Services) -> None:
    key = services.keys.create("ci", rights=[Right.SCORE, Right.JOBS_READ], project="ads")
    caller = services.keys.verify(key)
    assert caller is not None
    assert (caller.id, caller.project, caller.name) == (key.partition(".")[0], "ads", "ci")
    assert caller.rights == {Right.SCORE, Right.JOBS_READ}
    assert services.keys.remembered(key) == caller
    usual = services.keys.verify(services.keys.create("usual"))
    assert usual is not None
    assert usual.rights == USUAL_RIGHTS == ALL_RIGHTS - {Right.ADMIN}
    for wrong in ("no\x00body.x", "", ".", key + "x"):
        assert services.keys.verify(wrong) is None


def test_names_of_keys_also_of_revoked_ones(services: Services) -> None:
    first, second, _ = (services.keys.create(name).partition(".")[0] for name in ("ci", "ads", "other"))
    services.keys.revoke(second)
    assert services.keys.names({first, second, "", "oidc-0a"}) == {first: "ci", second: "ads"}
    assert services.keys.names(set()) == {}


def test_an_expired_key_is_refused_at_its_moment(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(service.keys, "time", SimpleNamespace(time=lambda: now, monotonic=time.monotonic))
    key = services.keys.create("short", expires_at=1001.5)
    now = 1001.4
    assert services.keys.count() == 1
    assert services.keys.verify(key) is not None
    assert services.keys.remembered(key) is not None
    now = 1001.5
    assert services.keys.remembered(key) is None
    assert services.keys.verify(key) is None
    assert services.keys.count() == 0


def test_a_revocation_reaches_other_processes(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.keys, "REMEMBER_S", 0.5)
    key = services.keys.create("gone")
    other_process = KeyStore(services.database)
    assert other_process.verify(key) is not None
    assert services.keys.verify(key) is not None
    assert services.keys.revoke(key.partition(".")[0])
    assert services.keys.remembered(key) is None  # here at once
    wait_for(lambda: other_process.remembered(key) is None, "the end of the memory")
    assert other_process.verify(key) is None
    first = only_row(services).revoked_at
    assert services.keys.revoke(key.partition(".")[0])
    assert only_row(services).revoked_at == first
    assert not services.keys.revoke("unknown")


def test_the_secret_is_checked_once_whatever_comes_together(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, *arguments: str) -> bool:
            checked.append(arguments[1])
            return super().verify(*arguments)

    monkeypatch.setattr(services.keys, "_hasher", Counting())
    monkeypatch.setattr(service.keys, "REMEMBER_S", 0.0)
    key = services.keys.create("ci")
    with ThreadPoolExecutor(8) as pool:
        callers = list(pool.map(services.keys.verify, [key] * 8))
    assert {caller.id for caller in callers if caller} == {key.partition(".")[0]}
    assert services.keys.remembered(key) is None  # it has lapsed already
    assert services.keys.verify(key) == callers[0]
    assert len(checked) == 1
    assert services.keys.verify(f"{key}x") is None
    assert len(checked) == 2
    services.keys.revoke(key.partition(".")[0])
    assert services.keys.verify(key) is None


def test_the_last_use_is_written_beside_requests(services: Services) -> None:
    key = services.keys.create("used")
    services.keys.verify(key)
    assert only_row(services).last_used_at is None
    services.keys.write_uses()
    first = only_row(services).last_used_at
    assert first is not None
    services.keys.write_uses()
    assert only_row(services).last_used_at == first
    assert services.keys.remembered(key) is not None
    services.keys.write_uses()
    second = only_row(services).last_used_at
    assert second is not None
    assert second > first


def test_the_list_shows_no_secret(services: Services) -> None:
    key = services.keys.create("mine", project="ads", expires_at=1.0)
    title, line = key_lines(services.keys.all())
    assert title.split()[:4] == ["ID", "NAME", "PROJECT", "STATE"]
    assert line.split()[:4] == [key.partition(".")[0], "mine", "ads", "expired"]
    assert key.partition(".")[2] not in line
    assert "argon2" not in line


@pytest.mark.parametrize(("text", "seconds"), [("45m", 2700), ("12h", 43_200), ("30d", 2_592_000)])
def test_durations(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "0d", "-1d", "1y", "1.5h", "9999999d"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="30d"):
        seconds_of(text)
