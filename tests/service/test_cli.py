"""`ctrfast-service` as a process: start, refusals in one line, exit codes."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from service.cli import main
from service.database import Database
from service.processes import bind, is_loopback
from tests.command_line import run_here

COMMAND = [sys.executable, "-m", "service.cli"]


def process(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CTRFAST_")}
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**clean, "CTRFAST_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


def run(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same called in this process, whose log has no other reader for that time."""
    root, ours = logging.getLogger(), logging.getLogger("service")
    handlers, level = root.handlers, ours.level
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CTRFAST_")]:
            patch.delenv(name)
        for name, value in {"CTRFAST_HOME": str(home), **environment}.items():
            patch.setenv(name, value)
        root.handlers = []
        try:
            return run_here(main, "ctrfast-service", *arguments)
        finally:
            root.handlers = handlers
            ours.setLevel(level)


def refused(result: subprocess.CompletedProcess[str], *words: str, code: int = 1) -> None:
    assert result.returncode == code
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stderr.startswith("error: ")
    for word in words:
        assert word in result.stderr


def test_a_port_in_use(home: Path) -> None:
    with bind("127.0.0.1", 0) as listener:
        port = str(listener.getsockname()[1])
        refused(process(home, "up", "--port", port), f"Port {port}", "in use", "--port")


def test_usage_errors_are_one_line(home: Path) -> None:
    see = "See `ctrfast-service up --help`."
    refused(run(home, "up", "--port", "99999"), "--port", "65535", see, code=2)
    refused(run(home, "up", "--prt", "1"), "No such option: --prt", "--port", see, code=2)
    refused(run(home, "upp"), "Did you mean 'up'?", "See `ctrfast-service --help`.", code=2)
    refused(process(home, "revoke-key"), "Missing argument", code=2)
    helped = run(home, "up", "--help")
    assert helped.returncode == 0
    assert "Start the API and its workers" in helped.stdout


def test_another_address_needs_a_key(home: Path) -> None:
    for command in ("up", "api"):
        if command == "api":
            assert run(home, "migrate").returncode == 0
        refused(run(home, command, "--host", "0.0.0.0", "--port", "0"), "create-key")
    refused(run(home, "up", "--host", "0.0.0.0", "--port", "0", CTRFAST_REQUIRE_KEY="0"), "loopback")


def test_create_key(home: Path) -> None:
    result = process(home, "create-key", "ci")
    assert result.returncode == 0
    key_id, _, secret = result.stdout.strip().partition(".")
    assert len(key_id) == 12
    assert len(secret) > 40


def test_a_key_needs_no_name(home: Path) -> None:
    key_id, _, secret = run(home, "create-key").stdout.strip().partition(".")
    assert len(secret) > 40
    assert f"{key_id}  default  default  good" in run(home, "list-keys").stdout


def test_keys_are_listed_and_revoked(home: Path) -> None:
    options = ("--scope", "score", "--scope", "models:read", "--project", "ads", "--expires-in", "30d")
    key_id, _, secret = run(home, "create-key", "scorer", *options).stdout.strip().partition(".")
    listed = run(home, "list-keys").stdout
    assert secret not in listed
    assert f"{key_id}  scorer  ads      good" in listed
    assert listed.rstrip().endswith("models:read score")
    assert run(home, "revoke-key", key_id).stdout == f"The key {key_id} is revoked.\n"
    assert f"{key_id}  scorer  ads      revoked" in run(home, "list-keys").stdout
    refused(run(home, "api", "--host", "0.0.0.0", "--port", "0"), "create-key")  # none is good any more


def test_keys_that_cannot_be_made_or_revoked(home: Path) -> None:
    refused(run(home, "create-key", "x", "--scope", "jobs:all"), "jobs:all", "jobs:read jobs:write")
    refused(run(home, "create-key", "x", "--project", "../x"), "../x", "lower-case")
    refused(run(home, "create-key", "x", "--expires-in", "soon"), "soon", "30d")
    refused(run(home, "revoke-key", "nobody"), "nobody", "list-keys")


def test_parts_want_a_migrated_database(home: Path) -> None:
    for part in ("api", "worker"):
        refused(process(home, part), "no tables yet", "ctrfast-service migrate")
    database = Database(f"sqlite:///{home / 'ctrfast.db'}")
    database.migrate("0009")
    database.dispose()
    refused(run(home, "worker"), "other tables than this version needs", "ctrfast-service migrate")


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    home = tmp_path / "file" / "home"
    for command in ("up", "api", "worker", "migrate"):
        refused(run(home, command), "CTRFAST_HOME", str(home / "jobs"), "Not a directory")


def test_data_roots_that_are_not_there_are_told_once(home: Path, tmp_path: Path) -> None:
    assert run(home, "migrate").returncode == 0
    roots = f"{tmp_path}:{tmp_path / 'a'}:s3://bucket/x:{tmp_path / 'b'}"
    for command in ("up", "api"):  # each ends at once, as it finds no key
        result = run(home, command, "--host", "0.0.0.0", "--port", "0", CTRFAST_DATA_ROOTS=roots)
        warning, refusal = result.stderr.strip().splitlines()
        assert "warning" in warning.lower()
        assert f"CTRFAST_DATA_ROOTS names what is no folder: {tmp_path / 'a'}, {tmp_path / 'b'}." in warning
        assert "create-key" in refusal
    refused(run(home, "api", "--host", "0.0.0.0", "--port", "0", CTRFAST_DATA_ROOTS=str(tmp_path)), "create-key")
    refused(run(home, "up", "--host", "0.0.0.0", "--port", "0"), "create-key")


def test_a_worker_s_health_without_a_worker(home: Path) -> None:
    refused(run(home, "worker", "--check"), "ctrfast-service migrate")
    assert run(home, "migrate").returncode == 0
    refused(run(home, "worker", "--check", CTRFAST_LEASE_S="7"), f"No worker of the host {socket.gethostname()}", "7 s")


def test_bad_settings_in_one_line(home: Path) -> None:
    refused(run(home, "up", "--port", "0", CTRFAST_LEASE_S="-1"), "CTRFAST_LEASE_S")
    refused(run(home, "up", "--port", "0", CTRFAST_DATABASE_URL="postgresql://127.0.0.1:1/none"), "database")
    refused(run(home, "up", "--port", "0", CTRFAST_LOG_LEVEL="foo"), "CTRFAST_LOG_LEVEL", "INFO")
    other = run(home, "up", "--port", "0", CTRFAST_DATABASE_URL="mysql://user:hidden@h/d")
    refused(other, "CTRFAST_DATABASE_URL", "postgresql:")
    assert "hidden" not in other.stderr
    refused(run(home, "migrate", CTRFAST_DATABASE_URL="postgresql+nodriver://h/d"), "database")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("127.8.8.8", True),
        ("0.0.0.0", False),
        ("example.org", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
