"""Tasks on Ray: workers of a cluster, or of a Ray that is started here, in place of this process's threads.

    with task_pool(workers=4) as pool:
        prepare(raw, schema, out, pool=pool)

`CTRFAST_RAY_ADDRESS` names the cluster, as for training (`ctrfast.cluster`). A worker is sent a function and an item,
and leaves what it makes as files, under paths that all workers see. A task whose worker is lost is done again by
another: what it left unfinished counts for nothing (`ctrfast.folders.whole_file`), what it finished is on the disk and
kept. Where one task fails, or no more results are wanted, the others are cancelled.

Source: Ray 2.60, `ray.remote`.
"""

from __future__ import annotations

import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ctrfast.cluster import require_ray, signal_handlers, take_back_signals
from ctrfast.cluster_checks import cancel, require_free_cpu, require_shared
from ctrfast.cluster_connection import Connection, connected, start_timeout_s
from ctrfast.config import MOST_WORKERS, ClusterConfig
from ctrfast.data.pool import THREADS, Pool
from ctrfast.errors import ConfigError, WorkerLostError
from ctrfast.folders import durable

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_RETRIES = 3

_CANCEL_AGAIN_S = 2.0  # one was seen to have no effect on a task that was at work (Ray 2.60)
_ITEM_BYTES = 32 * 2**20  # a chunk of a raw file has 8 MiB of text; one of a parquet file more, once unpacked

log = logging.getLogger(__name__)


@contextmanager
def task_pool(workers: int | None) -> Iterator[Pool]:
    """What does tasks: `workers` processes on Ray, or this process's threads.

    Args:
        workers: tasks at a time, 1 to `MOST_WORKERS`, one CPU each; None for threads.

    Raises:
        ConfigError: there cannot be so many, or the cluster refuses this process.
        DependencyError: Ray is not installed.
        WorkerLostError: the cluster does not answer, or has no free CPU in time.
    """
    if workers is None:
        yield THREADS
        return
    if not 1 <= workers <= MOST_WORKERS:
        raise ConfigError(
            f"`workers` must be between 1 and {MOST_WORKERS}. Got workers={workers}. Leave it out for none.",
            path="workers",
        )
    require_ray("workers")
    # Ray counts tasks that it ends for want of memory apart, and would try these without end.
    os.environ.setdefault("RAY_task_oom_retries", str(MOST_RETRIES))
    handlers = signal_handlers()
    with connected(ClusterConfig(workers=workers), object_bytes=(workers + 1) * _ITEM_BYTES) as connection:
        take_back_signals(handlers)
        require_free_cpu(connection, start_timeout_s())
        yield RayTasks(connection, workers)


@dataclass(frozen=True)
class RayTasks:
    """Does tasks on a cluster. connection: to Ray. workers: tasks at a time, each in a process."""

    connection: Connection
    workers: int

    @property
    def processes(self) -> int:
        """As many as tasks."""
        return self.workers

    @property
    def threads(self) -> int:
        """A process does one task at a time."""
        return 1

    def require_shared(self, folder: Path) -> None:
        """See `ctrfast.cluster_checks.require_shared`."""
        require_shared(self.connection, folder, start_timeout_s())

    def in_order(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """See `ctrfast.data.pool.Pool`.

        Raises:
            WorkerLostError: one task lost its worker more than `MOST_RETRIES` times, or the cluster is lost.
        """
        ray = self.connection.ray
        # Spread, since neighbours on a machine share its memory.
        spread = {"num_cpus": 1, "max_retries": MOST_RETRIES, "scheduling_strategy": "SPREAD"}
        task: Any = ray.remote(_do).options(**spread)
        with _in_contact():
            sent_function = ray.put(function)  # once: it may hold much more than an item
        pending: deque[_Sent] = deque()
        try:
            for item in items:
                with _in_contact():
                    sent_item = ray.put(item)
                running = [sent.answer for sent in pending if not sent.answer.done()]
                if len(running) >= self.workers:
                    wait(running, return_when=FIRST_COMPLETED)  # not in Ray's own, which swallows what a signal raises
                with _in_contact():
                    pending.append(_Sent(task.remote(sent_function, sent_item)))
                while pending and pending[0].answer.done():
                    yield self._result(pending[0].answer)
                    pending.popleft()
            while pending:
                yield self._result(pending[0].answer)  # left in its place, for what is below, if a signal raises here
                pending.popleft()
        finally:
            self._end(pending)

    def _end(self, pending: Collection[_Sent]) -> None:
        """Cancel what is at work, and wait for its end: nobody may write files, and the cluster is for others now."""
        try:
            while at_work := [sent for sent in pending if not sent.answer.done()]:
                if not cancel(self.connection.ray, [sent.task for sent in at_work]):
                    return
                wait([sent.answer for sent in at_work], _CANCEL_AGAIN_S)
        except WorkerLostError as error:  # not in place of an error that is on its way
            log.warning("What was at work could not be cancelled: %s", error)

    def _result(self, answer: Future[Any]) -> Any:
        exceptions = self.connection.ray.exceptions
        try:
            return answer.result()
        except exceptions.RayTaskError as error:  # also where the task raised a ConnectionError of its own
            raise error.cause from error
        except ConnectionError as error:
            raise _cluster_lost(error) from error
        except exceptions.RayError as error:
            last = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise WorkerLostError(
                f"A task must not lose its worker more than {MOST_RETRIES} times. The last loss: {last} "
                "Mend what ends them, and start the work again: it goes on from there."
            ) from error


@dataclass(frozen=True)
class _Sent:
    """A task's reference, by which it is cancelled, and its answer to be, which is asked for later."""

    task: Any

    @cached_property
    def answer(self) -> Future[Any]:
        with _in_contact():
            return self.task.future()  # type: ignore[no-any-return]


def _cluster_lost(error: ConnectionError) -> WorkerLostError:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return WorkerLostError(
        f"The connection to the Ray cluster's head must last. Got: {first} "
        "Mend what ends it, and start the work again: it goes on from there."
    )


@contextmanager
def _in_contact() -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:
        raise _cluster_lost(error) from error


def _do(function: Callable[[Item], Result], item: Item) -> Result:
    # By this signal's handler Ray cancels what is at work. A shell's script has it ignored by what it starts in the
    # background, and that by all that it starts.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with durable():
        return function(item)
