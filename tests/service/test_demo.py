"""The demo waits for the service, and not longer than it says."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service import demo


@contextmanager
def program(code: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_the_address_is_read() -> None:
    code = "print('hello'); print('ctrfast is ready at http://127.0.0.1:5 (Ctrl-C ends it)', flush=True)"
    with program(code + "; input()") as process:
        assert demo._wait_until_ready(process) == "http://127.0.0.1:5"


@pytest.mark.parametrize("code", ["import time; print('hello', flush=True); time.sleep(60)", "pass"])
def test_a_service_that_says_nothing_or_ends(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_START_TIMEOUT_S", 1.0)
    started = time.monotonic()
    with program(code) as process, pytest.raises(SystemExit, match="did not start"):
        demo._wait_until_ready(process)
    assert time.monotonic() - started < 20
