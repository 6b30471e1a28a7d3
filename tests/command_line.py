"""The command line `ctrfast`: as a process of its own, and its entry point called in this process.

A process shows what its start brings: silence of TensorFlow, signals, what is imported when. All else is the same in
this process, where Python, and TensorFlow for the commands that need it, have started already.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from ctrfast.cli import main

CTRFAST = Path(sys.executable).with_name("ctrfast")
_OF_TESTS = {"TF_CPP_MIN_LOG_LEVEL", "TF_USE_LEGACY_KERAS", "PYTHONWARNINGS"}  # of `conftest` and of what it imports


def ctrfast(*arguments: object, code: int = 0, plain: bool = False) -> CompletedProcess[str]:
    """A process that must end with this exit code. plain: without the variables that the tests set for themselves."""
    environment = {name: value for name, value in os.environ.items() if not (plain and name in _OF_TESTS)}
    command = [CTRFAST, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def called(
    *arguments: object, code: int = 0, stdin: str = "", environment: Mapping[str, str] | None = None
) -> CompletedProcess[str]:
    """The same in this process. environment: in place of all variables CTRFAST_*, where it is given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ctrfast.train_cli.keep_freed_memory", lambda: True)  # this process does more than that
        if environment is not None:
            for name in [name for name in os.environ if name.startswith("CTRFAST_")]:
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
        done = run_here(main, "ctrfast", *arguments, stdin=stdin)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def refused(*arguments: object, code: int = 1) -> str:
    """stderr of a call that must fail: one line, no traceback."""
    return one_line(called(*arguments, code=code))


def one_line(done: CompletedProcess[str]) -> str:
    """The error of a call that has failed."""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def run_here(entry: Callable[[], None], *command: object, stdin: str = "") -> CompletedProcess[str]:
    """Call a console script's entry point with a command's arguments; what it writes and its exit code."""
    words = [str(word) for word in command]
    out, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        patch.setattr(sys, "argv", words)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8"))
        try:
            entry()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    told = (stream.buffer.getvalue().decode() for stream in (out, errors))
    return CompletedProcess(words, int(code), *told)
