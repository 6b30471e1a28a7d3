"""No child outlives its worker, and none works on without a lease."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

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
    program = GRANDCHILD.format(mode=mode, lease_s=60)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not is_gone(child)
    parent.kill()
    parent.wait()
    wait_for(lambda: is_gone(child), "the child's end", 10)
    parent.stdout.close()


def test_a_child_ends_when_its_lease_is_not_renewed() -> None:
    command = [sys.executable, "-c", GRANDCHILD.format(mode="pipe", lease_s=1.0), str(os.getpid())]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.readline()
    for _ in range(6):  # renewed for longer than one lease
        time.sleep(0.25)
        child.stdin.write(b"\n")
        child.stdin.flush()
    assert child.poll() is None
    assert child.wait(timeout=10) == -signal.SIGKILL
    child.stdin.close()
    child.stdout.close()
