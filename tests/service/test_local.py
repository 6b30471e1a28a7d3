"""A service for as long as a program runs: it answers, and is gone with the program however that ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import local
from service.local import LocalService
from service.processes import StartError
from tests.service.conftest import wait_for

PROGRAM = """
import os, sys
from pathlib import Path
from service.local import LocalService
local = LocalService(Path(sys.argv[1]))
print(local.url, flush=True)
{then}
"""


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).is_success
    except httpx.TransportError:
        return False


def test_it_answers_reads_its_roots_alone_and_goes_on_in_the_same_folder(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTRFAST_REQUIRE_KEY", "1")  # of the program's own service, not of this one
    with LocalService(tmp_path / "home", [dataset.parent]) as first:
        body = {"name": "small", "path": dataset.name}
        assert httpx.post(f"{first.url}/v1/datasets", json=body, timeout=120).status_code == 201
        body = {"name": "other", "path": str(tmp_path)}
        assert httpx.post(f"{first.url}/v1/datasets", json=body, timeout=120).status_code == 403
    assert not answers(first.url)
    with LocalService(tmp_path / "home", settings={"CTRFAST_MAX_BODY_BYTES": "1024"}) as second:
        (found,) = httpx.get(f"{second.url}/v1/datasets", timeout=120).json()["datasets"]
        assert found["name"] == "small"
        assert httpx.post(f"{second.url}/v1/datasets", content=b" " * 2000, timeout=120).status_code == 413


@pytest.mark.parametrize("then", ["raise ValueError('in the program')", "os.kill(os.getpid(), 9)"])
def test_it_ends_with_the_program(then: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(then=then), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode != 0
    url = done.stdout.strip()
    assert url.startswith("http://127.0.0.1:"), done.stderr
    wait_for(lambda: not answers(url), "the service's end")


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"did not start: A setting breaks a rule: CTRFAST_LEASE_S"):
        LocalService(tmp_path, settings={"CTRFAST_LEASE_S": "-1"})


def test_a_service_that_says_nothing_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    start = subprocess.Popen
    started: list[subprocess.Popen[bytes]] = []

    def remembered(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", remembered)
    monkeypatch.setattr(sys, "executable", str(silent))
    monkeypatch.setattr(local, "_START_TIMEOUT_S", 1.0)
    with pytest.raises(StartError, match="within 1 s"):
        LocalService(tmp_path / "home")
    assert [process.returncode is None for process in started] == [False]
