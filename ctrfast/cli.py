"""The command line `ctrfast`. On error: one clear line on stderr, and an exit code that is not 0 (`command_errors`)."""

from __future__ import annotations

import os
from typing import Annotated

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # also of child processes

import typer

from ctrfast import __version__
from ctrfast.command_errors import fail, run_app
from ctrfast.compare_cli import compare
from ctrfast.console import console
from ctrfast.copy_cli import copy
from ctrfast.data_cli import inspect, prepare, synth
from ctrfast.distil_cli import distil
from ctrfast.errors import Cancelled, CtrFastError
from ctrfast.explain_cli import explain
from ctrfast.export_cli import export, score
from ctrfast.jobs_cli import jobs_app
from ctrfast.models_cli import models
from ctrfast.reproduce_cli import reproduce
from ctrfast.stored_folders import hold_folders
from ctrfast.sweep_cli import sweep
from ctrfast.train_cli import evaluate, plan, train

app = typer.Typer(
    help="Large-batch CTR training with CowClip and batch-size scaling rules.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    synth,
    prepare,
    inspect,
    models,
    plan,
    train,
    distil,
    evaluate,
    compare,
    export,
    copy,
    score,
    explain,
    sweep,
    reproduce,
):
    app.command()(command)
app.add_typer(jobs_app, name="jobs")


def main() -> None:
    """Run the command line."""
    try:
        run_app(app, "ctrfast")
    except Cancelled as error:
        fail(error.message, code=130)
    except CtrFastError as error:
        fail(error.message)
    except MemoryError:
        fail("The memory of this machine does not suffice. Use fewer rows, a higher --min-count or a smaller model.")
    except OSError as error:  # a full disk, a folder without permission
        fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    hold_folders(context)
    if version:
        console.print(f"ctrfast {__version__}")
        raise typer.Exit
