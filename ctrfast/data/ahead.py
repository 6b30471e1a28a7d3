"""Run a function over a stream of items in threads: results in order, a bounded number of items at a time.

Arrow and numpy release Python's lock in their loops, so threads keep all cores busy on blocks of rows.

    for block in in_order(parse, chunks):       # while a block is used, the next ones are being parsed
        ...
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_THREADS = 8  # each holds a block of rows: more would cost memory and gain little


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
    """Yield `function(item)` for each item, in their order; an error of the function comes out at its item's turn.

    Once the generator is closed (`contextlib.closing`), no thread of it runs any more.
    """
    at_once = threads()
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(at_once, thread_name_prefix="ctrfast-data") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > at_once:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:  # the consumer stopped early, or an item failed
                future.cancel()


def threads() -> int:
    """How many items are worked on at a time: one per core that this process may use, within limits."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST_THREADS, cores)
