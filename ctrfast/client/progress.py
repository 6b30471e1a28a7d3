"""A bar that follows a job: in a terminal by Rich, in a notebook as HTML, and elsewhere none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from html import escape
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ctrfast.client.answers import JobEvent

_FIGURES = ("loss", "valid_auc", "test_auc")


@dataclass
class Shown:
    """What a bar shows, after the events so far."""

    state: str = "queued"
    progress: float = 0.0
    eta_s: float | None = None
    figures: dict[str, float] = field(default_factory=dict)

    def take(self, event: JobEvent) -> None:
        """Go on by one event."""
        data = event.data
        self.state = str(data.get("state", self.state))
        self.progress = 1.0 if self.state == "succeeded" else float(data.get("progress", self.progress))
        self.eta_s = data.get("eta_s", self.eta_s) if self.state == "running" else None
        if event.type == "metric":
            self.figures.update({name: data[name] for name in _FIGURES if isinstance(data.get(name), float)})

    @property
    def note(self) -> str:
        """` 42%  loss 0.4512  0:01:20 left`."""
        left = [] if self.eta_s is None else [f"{timedelta(seconds=round(self.eta_s))} left"]
        return "  ".join(
            [f"{self.progress:4.0%}", *(f"{name} {value:.4f}" for name, value in self.figures.items()), *left]
        )


@contextmanager
def job_bar(wanted: bool) -> Iterator[Callable[[JobEvent], None]]:
    """Call it with each event of the job."""
    shown, terminal = Shown(), Console(stderr=True)
    if wanted and terminal.is_jupyter:
        yield _taking(shown, _notebook_bar(shown))
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=terminal, transient=True, disable=not (wanted and terminal.is_terminal)) as bar:
        task = bar.add_task(shown.state, total=1.0, note="")
        yield _taking(
            shown, lambda: bar.update(task, completed=shown.progress, description=shown.state, note=shown.note)
        )


def _taking(shown: Shown, draw: Callable[[], object]) -> Callable[[JobEvent], None]:
    def take(event: JobEvent) -> None:
        shown.take(event)
        draw()

    return take


def _notebook_bar(shown: Shown) -> Callable[[], object]:
    display: Any = import_module("IPython.display")  # there, where a notebook is

    def html() -> Any:
        bar = f'<progress max="1" value="{shown.progress}"></progress>'
        return display.HTML(f"{escape(shown.state)} {bar} {escape(shown.note)}")

    handle = display.display(html(), display_id=True)
    return lambda: handle.update(html())
