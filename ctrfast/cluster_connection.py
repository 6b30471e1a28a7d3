"""A connection to Ray: to the cluster of `CTRFAST_RAY_ADDRESS`, or to one that is started here for as long as it lasts.

    with connected(ClusterConfig(workers=2)) as connection:
        connection.ray.get(...)

The address is as `ray.init` takes it, `ray://HEAD:10001` where this machine is no node of the cluster; without one, Ray
is started on this machine's loopback. Both take Ray's token, unless the environment says otherwise. A cluster's head
starts a process of its own for each `ray://` connection; where that one dies before it serves, another is asked for.

Source: Ray 2.60, `ray.init`, `ray.util.client.server.proxier`.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ctrfast.cluster_address import cluster_address
from ctrfast.config import ClusterConfig
from ctrfast.errors import ConfigError, WorkerLostError

_LOOPBACK = "127.0.0.1"
_START_TIMEOUT = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
_START_TIMEOUT_S = 600  # of its 60 s, a busy machine needs most to load TensorFlow
_CLIENT = "ray://"
_ANSWER_S = 20.0  # for the first answer of a cluster's head
# Of a head that could not start a process for this client: it was lost in fork() or soon after (`proxier.py`).
_NO_SERVER = ("in start_specific_server", "Starting Ray client server failed", "Proxy failed to Connect to backend")
_PAUSES_S = (1.0, 4.0)  # between three attempts
# Of a Ray that is started here; set before it is imported, unless the environment says otherwise.
_LOCAL_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else it talks to the host's own network address
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # its next version's default, of whose coming it warns
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # nobody takes this machine away with notice
    "RAY_worker_niceness": "0",  # workers run as the process that starts them would
}
_LOCAL_OBJECT_STORE_BYTES = 80 * 2**20  # the least that Ray takes, nearly

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Connection:
    """Ray, connected.

    Args:
        ray: the package.
        is_own: whether it was started for this connection alone, with this machine's CPUs and folders.
    """

    ray: Any
    is_own: bool


@contextmanager
def connected(cluster: ClusterConfig, object_bytes: int = 0) -> Iterator[Connection]:
    """Ray, connected: as it is where this process has it already, else to a cluster or one of our own.

    Args:
        cluster: how many workers; a Ray of our own has as many CPUs.
        object_bytes: what workers are sent at a time, at most; a Ray of our own has room for it.

    Raises:
        ConfigError: the cluster wants another token, or one that is not there, or has another Ray or Python.
        WorkerLostError: the cluster does not answer.
    """
    address = cluster_address()
    os.environ.setdefault(_START_TIMEOUT, str(_START_TIMEOUT_S))  # Ray hands it on to a cluster
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if address is None:
        for name, value in _LOCAL_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield Connection(ray, is_own=False)
        return
    if address is None:
        ray.init(
            address="local",
            num_cpus=cluster.workers,
            include_dashboard=False,
            object_store_memory=_LOCAL_OBJECT_STORE_BYTES + object_bytes,
            _node_ip_address=_LOOPBACK,
        )
    else:
        _join(address)
    try:
        yield Connection(ray, is_own=address is None)
    finally:
        ray.shutdown()


def start_timeout_s() -> float:
    """Seconds that a cluster may take to give work its first process."""
    return float(os.environ.get(_START_TIMEOUT, _START_TIMEOUT_S))


def _join(address: str) -> None:
    """Connect to a cluster, and tell why not."""
    from ray.exceptions import AuthenticationError

    try:
        if address.startswith(_CLIENT):
            _knock(address.removeprefix(_CLIENT))
        _init(address)
    except (AuthenticationError, ConnectionError) as error:
        if isinstance(error, ConnectionAbortedError):  # the text is the head's own traceback
            raise WorkerLostError(
                f"The head of the Ray cluster at {address} must start a process for this one. "
                f"Got: {_line(error, -1)}. See its logs, and start the work again."
            ) from error
        # From one of its nodes, Ray tries for 20 s, and tells of the token in the text of the cause alone.
        if isinstance(error, ConnectionError) and AuthenticationError.__name__ not in str(error.__cause__):
            raise WorkerLostError(
                f"The Ray cluster at {address} must answer. Got: {_line(error, 0)}. Start it, or set another address."
            ) from error
        raise ConfigError(
            f"The Ray cluster at {address} must be given its own token. Got another one, or none. Set RAY_AUTH_TOKEN "
            "to the token of its nodes; where they want none, set RAY_AUTH_MODE=disabled.",
            path="RAY_AUTH_TOKEN",
        ) from error
    except RuntimeError as error:
        if not str(error).startswith("Version mismatch"):
            raise
        rays, pythons = (re.findall(rf"{name}: (\S+)", str(error)) for name in ("Ray", "Python"))
        there, here = (f"Ray {ray} with Python {python}" for ray, python in zip(rays, pythons, strict=True))
        raise ConfigError(
            f"The Ray cluster at {address} must have the Ray and the Python of this process. "
            f"Got {there} there, {here} here. Install the same on all nodes and here.",
            path="cluster",
        ) from error


def _init(address: str) -> None:
    """Connect, once more where the head could not start a process for this client; the next one has another."""
    import ray

    for pause_s in (*_PAUSES_S, None):
        try:
            ray.init(address=address)
        except ConnectionAbortedError as error:
            if pause_s is None or not any(text in str(error) for text in _NO_SERVER):
                raise
            log.warning("The Ray cluster's head: %s. Asking again in %g s.", _line(error, -1), pause_s)
            time.sleep(pause_s)
        else:
            return


def _line(error: Exception, number: int) -> str:
    """The first or last line of an error's text, without its full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[number].strip().removesuffix(".")


def _knock(head: str) -> None:
    """Show a head the token once: where it is refused, `ray.init` would ask again without end.

    Raises:
        AuthenticationError: it is refused.
    """
    import grpc  # type: ignore[import-untyped]
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated.ray_client_pb2 import (  # type: ignore[attr-defined]
        ClusterInfoRequest,
        ClusterInfoType,
    )
    from ray.core.generated.ray_client_pb2_grpc import RayletDriverStub
    from ray.exceptions import AuthenticationError

    with init_grpc_channel(head) as channel:
        proxy = RayletDriverStub(channel)  # type: ignore[no-untyped-call]
        try:
            proxy.ClusterInfo(ClusterInfoRequest(type=ClusterInfoType.PING), timeout=_ANSWER_S, wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise AuthenticationError(error.details()) from error
            raise ConnectionError(error.details()) from error
