"""Errors of a command line of Typer's, each one line on standard error: `error: <what is wrong> <remedy>`.

Exit codes: 2 where the parser refuses an option or an argument, 130 after Ctrl-C, 1 for all other errors.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import typer

from ctrfast.console import errors

_USAGE_ERROR: Any = typer.BadParameter.__mro__[1]  # click's UsageError, which some versions of Typer bring themselves


def run_app(app: typer.Typer, name: str) -> None:
    """Run a command with this process's arguments; end the process where that fails, or where the command says so.

    name: of the console script, for help and remedies.
    """
    try:
        code = app(prog_name=name, standalone_mode=False)
    except _USAGE_ERROR as error:
        _refuse(error, name)
    except typer.Abort:  # an end of the input where an answer was asked for
        fail("Stopped, as nothing answers.")
    if isinstance(code, int) and code:
        sys.exit(code)


def fail(message: str, code: int = 1) -> NoReturn:
    """Tell of an error and end the process."""
    errors.print(f"error: {message}")
    sys.exit(code)


def _refuse(error: Any, name: str) -> NoReturn:
    """The error's context is absent where the error is of the words themselves, as in an option without its value."""
    said = " ".join(error.format_message().removeprefix("Invalid value: ").split())
    if not said:  # a command without arguments: its help was printed
        sys.exit(error.exit_code)
    command = name if error.ctx is None else error.ctx.command_path
    end = "" if said.endswith((".", "?", "!")) else "."
    fail(f"{said}{end} See `{command} --help`.", code=error.exit_code)
