"""What must hold in a Ray cluster before it is given work: a free CPU, and a folder that all nodes share.

    with connected(cluster) as connection:
        require_free_cpu(connection, within_s=600)
        require_shared(connection, Path("/mnt/all/data"), within_s=600)

Ray would wait for a CPU without end, and a worker would write to a folder of its own machine without complaint. A Ray
that was started for this work alone has this machine's CPUs and folders, and is not asked.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

from ctrfast.cluster_connection import Connection
from ctrfast.errors import Cancelled, ConfigError, WorkerLostError
from ctrfast.folders import PARTIAL, write_file

_SILENCE_S = 10.0  # of a wait that nobody is told of
_LOOK_S = 0.5  # between two looks for a wish to stop

log = logging.getLogger(__name__)


def require_free_cpu(connection: Connection, within_s: float) -> None:
    """Wait for a CPU of the cluster.

    Args:
        connection: to Ray.
        within_s: seconds; after the first ten it is told what is waited for.

    Raises:
        WorkerLostError: there was none.
    """
    if connection.is_own:
        return
    ray = connection.ray
    tasks: list[Any] = []
    try:
        tasks.append(ray.remote(_do_nothing).options(num_cpus=1).remote())
        answer: Future[None] = tasks[0].future()
        wait([answer], min(_SILENCE_S, within_s))
        if not answer.done():
            log.warning("Waiting up to %g s for a free CPU of the Ray cluster: %s.", within_s, _taken(ray))
            wait([answer], within_s - _SILENCE_S)
        if not answer.done():
            raise WorkerLostError(
                f"The Ray cluster must have a free CPU within {within_s:g} s. Got none: {_taken(ray)}. "
                "Let other work end, or add nodes, and start again."
            )
        answer.result()
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise _lost("A node of the Ray cluster", error) from error
    finally:
        cancel(ray, tasks)


def require_shared(
    connection: Connection, folder: Path, within_s: float, should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Have each node of the cluster read a file of this process in a folder, and write one beside it.

    Args:
        connection: to Ray.
        folder: absolute; made where it is not there.
        within_s: seconds for all nodes to answer.
        should_stop: asked twice a second while they are waited for.

    Raises:
        Cancelled: `should_stop` was true.
        ConfigError: a node cannot, or this process cannot write there.
        StorageError: the disk is full.
        WorkerLostError: a node does not answer.
    """
    if connection.is_own:
        return
    ray = connection.ray
    file = folder / f"{PARTIAL}seen-{secrets.token_hex(8)}"
    write_file(file, "")
    tasks: list[Any] = []
    try:
        on_node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        look = ray.remote(_look)
        names = []
        for node in ray.nodes():
            if node["Alive"]:
                place = on_node(node["NodeID"], soft=False)
                names.append(f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {node['NodeID'][:8]})")
                tasks.append(look.options(num_cpus=0, scheduling_strategy=place).remote(file))
        answers = [task.future() for task in tasks]
        _wait_or_stop(answers, within_s, should_stop)
        for name, answer in zip(names, answers, strict=True):
            problem = _answer(ray, name, answer, within_s)
            if problem is not None:
                raise ConfigError(
                    f"The folder {folder} must be shared by all nodes of the Ray cluster. Got {problem!r} on the node "
                    f"{name}. Mount one file system there and here under this path, or work without `workers`.",
                    path="out",
                )
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise _lost("A node of the Ray cluster", error) from error
    finally:
        cancel(ray, tasks)
        file.unlink(missing_ok=True)


def cancel(ray: Any, tasks: Iterable[Any]) -> bool:
    """Cancel tasks, of which some may have ended.

    Args:
        ray: the package.
        tasks: references.

    Returns:
        Whether the cluster is there; the tasks of one that is lost are told of in the log, and raise nothing.
    """
    problem: Exception | str = "it is no longer connected"
    if ray.is_initialized():  # else Ray's client raises a bare Exception
        try:
            for task in tasks:
                ray.cancel(task)
        except (ray.exceptions.RayError, ConnectionError) as error:
            problem = error
        else:
            return True
    log.warning("The Ray cluster's tasks could not be cancelled: %s", problem)
    return False


def _wait_or_stop(answers: Collection[Future[Any]], within_s: float, should_stop: Callable[[], bool]) -> None:
    deadline = time.monotonic() + within_s
    while wait(answers, min(_LOOK_S, max(deadline - time.monotonic(), 0.0))).not_done:
        if should_stop():
            raise Cancelled("Stopped while the cluster's nodes were looked at; the run can be resumed.")
        if time.monotonic() >= deadline:
            return


def _answer(ray: Any, node: str, answer: Future[str | None], within_s: float) -> str | None:
    try:
        return answer.result(timeout=0)
    except TimeoutError as error:
        raise WorkerLostError(
            f"The node {node} of the Ray cluster must answer within {within_s:g} s. Mend it, or take it out."
        ) from error
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise _lost(f"The node {node} of the Ray cluster", error) from error


def _lost(what: str, error: Exception) -> WorkerLostError:
    cause = getattr(error, "cause", None) or error  # of what a task raised
    first = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    return WorkerLostError(f"{what} must do a first task. Got: {first} Mend it, and start the work again.")


def _taken(ray: Any) -> str:
    return f"{ray.cluster_resources().get('CPU', 0):g} CPUs, all of them taken"


def _do_nothing() -> None:
    """A task that ends as soon as it has a CPU."""


def _look(file: Path) -> str | None:
    """In a node: read a file, and write and remove one beside it. Returns what went wrong."""
    beside = file.with_name(f"{file.name}-{secrets.token_hex(8)}")
    try:
        file.read_bytes()
        beside.touch()
        beside.unlink()
    except OSError as error:
        return error.strerror or type(error).__name__
    return None
