import sys

import pytest

from bench.turns import SystemFailedError
from bench.watched import Watched

MIB = 2**20
HOLD = "import time; held = b'x' * (150 * 2**20); time.sleep({seconds})"


def watch(program: str) -> Watched:
    return Watched("holder", [sys.executable, "-c", program])


def test_a_process_is_timed_and_its_peak_is_seen():
    watched = watch(HOLD.format(seconds=1))
    assert watched.seconds > 1
    assert 0 < watched.cpu_seconds < watched.seconds
    assert 150 * MIB < watched.peak_bytes < 250 * MIB
    assert max(size for _, size in watched.samples) > 150 * MIB


def test_a_peak_that_is_given_back_counts():
    watched = watch("import time; held = b'x' * (150 * 2**20); del held; time.sleep(1)")
    assert watched.peak_bytes > 150 * MIB


def test_children_count():
    child = HOLD.format(seconds=1.5)
    program = f"import subprocess, sys; held = b'y' * (150 * 2**20); subprocess.run([sys.executable, '-c', {child!r}])"
    watched = watch(program)
    assert 300 * MIB < watched.peak_bytes < 450 * MIB


def test_a_program_that_fails_is_named_with_its_last_lines():
    with pytest.raises(SystemFailedError, match=r"^holder ended \(exit code 3\): out of luck$"):
        watch("import sys; print('out of luck'); sys.exit(3)")
