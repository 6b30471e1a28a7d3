"""Where tasks are done side by side: by threads of this process, or by a cluster's workers (`ctrfast.cluster_tasks`).

    with closing(pool.in_order(write, shards)) as written:      # what is made is left in files; results tell of it
        for rows in written: ...

In a cluster, function, items and results are sent from one process to another: they are plain values, and paths are
absolute.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from ctrfast.data.ahead import in_order, threads

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool(Protocol):
    """What does tasks."""

    @property
    def processes(self) -> int:
        """How many processes do tasks."""

    @property
    def threads(self) -> int:
        """How many tasks each of them does at a time."""

    def require_shared(self, folder: Path) -> None:
        """Raise ConfigError where a process that does tasks cannot read and write a folder, absolute, of this one."""

    def in_order(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """Yield `function(item)` for each item, in their order; an error of the function comes out at its item's turn.

        Items are taken as they are needed. Once the generator is closed, or has raised, no task of it is at work.
        """


class _Threads:
    """Threads of this process."""

    @property
    def processes(self) -> int:
        return 1

    @property
    def threads(self) -> int:
        return threads()

    def require_shared(self, folder: Path) -> None:
        pass  # they see what this process sees

    def in_order(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        return in_order(function, items)


THREADS: Pool = _Threads()
