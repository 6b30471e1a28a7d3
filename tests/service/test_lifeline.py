"""No child outlives its worker, and none works on without a lease."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from service import lifeline
from tests.service.conftest import wait_for
from tests.service.test_worker import is_gone

GRANDCHILD = """
import os, signal, sys, time
from service.lifeline import LeaseWatch, die_with_parent
if "{mode}" in ("signal", "both"):
    die_with_parent(int(sys.argv[1]), signal.SIGKILL)
if "{mode}" in ("pipe", "both"):
    LeaseWatch(0, {lease_s}).start()
print(os.getpid(), flush=True)
while True:
    time.sleep(1)
"""
PARENT = """
import os, subprocess, sys, time
command = [sys.executable, "-c", sys.argv[1], str(os.getpid())]
child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
time.sleep(60)
"""


@pytest.mark.parametrize("mode", ["signal", "pipe", "both"])
def test_a_child_ends_when_its_parent_is_killed(mode: str) -> None:
    program = GRANDCHILD.format(mode=mode, lease_s=3600)  # it is the parent's end that is noticed
    parent = subprocess.Popen([sys.executable, "-c", PARENT, program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not is_gone(child)
    parent.kill()
    parent.wait()
    wait_for(lambda: is_gone(child), "the child's end")
    parent.stdout.close()


def test_a_child_ends_when_its_lease_is_not_renewed() -> None:
    command = [sys.executable, "-c", GRANDCHILD.format(mode="pipe", lease_s=1.0), str(os.getpid())]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.readline()
    assert child.wait(timeout=180) == -signal.SIGKILL
    child.stdin.close()
    child.stdout.close()


class EndedError(Exception):
    """In the place of the end of the process."""


def test_a_lease_lasts_from_its_last_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    now, renewals = 0.0, [0.75, 1.5, 2.25, 3.0]  # for longer than one lease

    def select(pipes: list[int], _write: object, _other: object, timeout_s: float) -> tuple[list[int], object, object]:
        nonlocal now
        if renewals and renewals[0] <= now + timeout_s:
            now = renewals.pop(0)
            return pipes, [], []
        now += timeout_s
        return [], [], []

    def end() -> None:
        raise EndedError

    monkeypatch.setattr(lifeline, "select", SimpleNamespace(select=select))
    monkeypatch.setattr(lifeline, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(lifeline, "os", SimpleNamespace(read=lambda _pipe, _most: b"\n"))
    monkeypatch.setattr(lifeline, "end_own_group", end)
    with pytest.raises(EndedError):
        lifeline.LeaseWatch(0, 1.0).run()
    assert (now, renewals) == (4.0, [])
