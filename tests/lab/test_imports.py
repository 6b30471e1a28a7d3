"""What the laboratory brings along stays out of what does without it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ctrfast.lab


def test_public_names_are_sorted_and_there():
    assert ctrfast.lab.__all__ == sorted(ctrfast.lab.__all__)
    assert all(hasattr(ctrfast.lab, name) for name in ctrfast.lab.__all__)


@pytest.mark.parametrize(
    "module, absent",
    [
        ("ctrfast", "matplotlib pandas tensorflow"),
        ("ctrfast.cli", "matplotlib ctrfast.lab tensorflow"),
        ("service.app", "matplotlib ctrfast.lab tensorflow numba"),
        ("ctrfast.lab", "tensorflow matplotlib.pyplot"),
    ],
)
def test_a_start_without_it(module, absent):
    program = f"import sys, {module}; print(*sorted(set({absent.split()!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
