"""Folders of artefacts that a command reads: on disk as they are, in an object store by way of the cache."""

from __future__ import annotations

from contextlib import ExitStack
from contextvars import ContextVar
from pathlib import Path

import typer

from ctrfast.store.outputs import input_folder, is_artefact

_opened: ContextVar[ExitStack] = ContextVar("opened")  # until the command ends


def hold_folders(context: typer.Context) -> None:
    """Call it first: what the command opens is let go of at its end."""
    _opened.set(context.with_resource(ExitStack()))


def folder_of(given: str, path: str) -> Path:
    """The folder of an artefact, also of one in the store, until the command ends. path: of the setting, for errors."""
    return _opened.get().enter_context(input_folder(given, path))


def folders_of(given: list[str]) -> list[str | Path]:
    """Inputs; a dataset in the store is its folder, any other address names raw files."""
    return [folder_of(one, "inputs") if is_artefact(one) else one for one in given]
