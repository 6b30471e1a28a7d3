"""What must hold in a Ray cluster before it is given work: a free CPU, and a folder that all nodes share.

    with connected(cluster) as ray:
        require_free_cpu(ray, within_s=600)
        require_shared(ray, Path("/mnt/all/data"), within_s=600)

Ray would wait for a CPU without end, and a worker would write to a folder of its own machine without complaint. A Ray
that is started here has this machine's CPUs and folders, and is not asked.
"""

from __future__ import annotations

import logging
import secrets
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

from ctrfast.cluster_address import cluster_address
from ctrfast.errors import ConfigError, WorkerLostError
from ctrfast.folders import PARTIAL, write_file

_SILENCE_S = 10.0  # of a wait that nobody is told of

log = logging.getLogger(__name__)


def require_free_cpu(ray: Any, within_s: float) -> None:
    """Wait for a CPU of the cluster.

    Args:
        ray: the package, connected.
        within_s: seconds; after the first ten it is told what is waited for.

    Raises:
        WorkerLostError: there was none.
    """
    if cluster_address() is None:
        return
    task = ray.remote(_do_nothing).options(num_cpus=1).remote()
    answer: Future[None] = task.future()
    wait([answer], min(_SILENCE_S, within_s))
    if not answer.done():
        log.warning("Waiting up to %g s for a free CPU of the Ray cluster: %s.", within_s, _taken(ray))
        wait([answer], within_s - _SILENCE_S)
    if not answer.done():
        ray.cancel(task)
        raise WorkerLostError(
            f"The Ray cluster must have a free CPU within {within_s:g} s. Got none: {_taken(ray)}. "
            "Let other work end, or add nodes, and start again."
        )
    try:
        answer.result()
    except ray.exceptions.RayError as error:
        raise _lost("A node of the Ray cluster", error) from error


def require_shared(ray: Any, folder: Path, within_s: float) -> None:
    """Have each node of the cluster read a file of this process in a folder, and write one beside it.

    Args:
        ray: the package, connected.
        folder: absolute; made where it is not there.
        within_s: seconds for all nodes to answer.

    Raises:
        ConfigError: a node cannot, or this process cannot write there.
        StorageError: the disk is full.
        WorkerLostError: a node does not answer.
    """
    if cluster_address() is None:
        return
    file = folder / f"{PARTIAL}seen-{secrets.token_hex(8)}"
    write_file(file, "")
    try:
        on_node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        look = ray.remote(_look)
        asked: dict[str, Future[str | None]] = {}
        for node in ray.nodes():
            if node["Alive"]:
                place = on_node(node["NodeID"], soft=False)
                name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {node['NodeID'][:8]})"
                asked[name] = look.options(num_cpus=0, scheduling_strategy=place).remote(file).future()
        wait(asked.values(), within_s)
        for name, answer in asked.items():
            problem = _answer(ray, name, answer, within_s)
            if problem is not None:
                raise ConfigError(
                    f"The folder {folder} must be shared by all nodes of the Ray cluster. Got {problem!r} on the node "
                    f"{name}. Mount one file system there and here under this path, or work without `workers`.",
                    path="out",
                )
    finally:
        file.unlink(missing_ok=True)


def _answer(ray: Any, node: str, answer: Future[str | None], within_s: float) -> str | None:
    try:
        return answer.result(timeout=0)
    except TimeoutError as error:
        raise WorkerLostError(
            f"The node {node} of the Ray cluster must answer within {within_s:g} s. Mend it, or take it out."
        ) from error
    except ray.exceptions.RayError as error:
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
