"""What a long command needs of its terminal: a progress bar, and a way to be stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """SIGTERM or the first Ctrl-C asks for a stop with a checkpoint, the second Ctrl-C ends at once."""
    interrupted = threading.Event()

    def on_interrupt(*_: object) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {name: signal.signal(name, on_interrupt) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted.is_set
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


class Show(Protocol):
    """Draws a bar anew."""

    def __call__(self, done: float, total: float | None, note: str = "") -> None:
        """Show how much is done, of how much where that is known, and a few words."""


@contextmanager
def bar(unit: str) -> Iterator[Show]:
    """A progress bar on standard error, where that is a terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f}" + f" {unit}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def show(done: float, total: float | None, note: str = "") -> None:
            progress.update(task, completed=done, total=total, description=note)

        yield show
