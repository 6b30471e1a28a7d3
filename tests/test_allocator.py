"""Buffers that are freed and asked for again come without new pages."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, threading
from ctrfast.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    print(keep_freed_memory())

def faults():
    def work():
        for _ in range(10):
            b'x' * (64 * 2**20)
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
"""


def lines(mode):
    program = [sys.executable, "-c", PROGRAM, mode]
    return subprocess.run(program, capture_output=True, text=True, check=True, timeout=240).stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_used_again():
    assert int(lines("leave")[0]) > 10_000  # ten times 16,384 pages of 4 KiB, or fewer large ones
    took_effect, faults = lines("keep")
    assert took_effect == "True"
    assert int(faults) < 1_000
