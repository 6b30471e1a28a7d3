"""Several processes that train one run, on Ray Train: a Ray cluster's, or those of a Ray that is started here.

    run_on_workers(work, ClusterConfig(workers=2), Path("runs/first"), on_progress, should_stop)

`CTRFAST_RAY_ADDRESS` names the cluster, as `ray.init` takes it, `ray://HEAD:10001` where this machine is no node of it;
without it, Ray is started on this machine's loopback for the run alone. Both take Ray's token, unless the environment
says otherwise. No other module imports Ray: those who need it are handed the package by `connected`.
Each worker is a process with TensorFlow's `TF_CONFIG` of the group. Workers and this process tell each other progress,
a wish to stop, and errors through a `ctrfast.mailbox` beside the run.
A worker that is lost ends the others; all are started anew, and the work goes on from its last checkpoint.

Source: Ray 2.60, `ray.train.tensorflow.TensorflowTrainer`.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ctrfast.allocator import keep_freed_memory
from ctrfast.cluster_address import cluster_address
from ctrfast.cluster_checks import require_shared
from ctrfast.config import ClusterConfig
from ctrfast.errors import ConfigError, CtrFastError, DependencyError, WorkerLostError
from ctrfast.loop.progress import Progress
from ctrfast.mailbox import Mailbox

if TYPE_CHECKING:  # TensorFlow is for the workers alone
    from ctrfast.workers import Workers

MOST_RESTARTS = 3
Work: TypeAlias = Callable[["Workers", Callable[[Progress], None], Callable[[], bool]], None]

_LOOPBACK = "127.0.0.1"
_START_TIMEOUT = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
_START_TIMEOUT_S = 600  # of its 60 s, a busy machine needs most to load TensorFlow
_CLIENT = "ray://"
_ANSWER_S = 20.0  # for the first answer of a cluster's head
# Of a Ray that is started here; set before it is imported, unless the environment says otherwise.
_LOCAL_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else it talks to the host's own network address
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # its next version's default, of whose coming it warns
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # nobody takes this machine away with notice
    "RAY_worker_niceness": "0",  # workers run as the process that starts them would
}
_WORKER_ENVIRONMENT = {"TF_USE_LEGACY_KERAS": "1"}  # Ray loads TensorFlow before ctrfast, which would set it
_NOT_NEEDED = {"DatasetsCallback", "PlacementGroupCleanerCallback"}
_LOCAL_OBJECT_STORE_BYTES = 80 * 2**20  # the least that Ray takes, nearly
_POLL_S = 0.2
_LONGEST_REASON = 500  # characters
_PATIENCE_S = 20.0  # for the other workers to meet the same error

log = logging.getLogger(__name__)


def require_ray(setting: str = "cluster.workers") -> None:
    """Raise DependencyError where Ray is not installed. setting: what asks for it."""
    if importlib.util.find_spec("ray") is None:
        raise DependencyError(f"`{setting}` needs Ray. Install it with: pip install 'ctrfast[cluster]'.", path=setting)


def run_on_workers(
    work: Work,
    cluster: ClusterConfig,
    out: Path,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> None:
    """Have each worker of a group do `work`, started anew from its checkpoints where workers are lost.

    Args:
        work: takes the group as a worker sees it, and the chief's progress and wish to stop.
        cluster: how many workers, and their GPUs.
        out: the run folder, absolute, on storage that all workers see.
        on_progress: called here with the chief's progress.
        should_stop: asked here; the workers hear it within a second.

    Raises:
        WorkerLostError: workers were lost more than `MOST_RESTARTS` times.
        CtrFastError: what the workers raised.
    """
    with Mailbox.beside(out) as mail:
        fit = _Fit(lambda: _fit(work, cluster, mail))
        fit.start()
        try:
            while fit.is_alive():
                fit.join(_POLL_S)
                take_back_signals(signal_handlers())
                for progress in mail.new_progress():
                    on_progress(progress)
                if should_stop():
                    mail.ask_to_stop()
            for progress in mail.new_progress():
                on_progress(progress)
        except BaseException:  # Ctrl-C in a notebook, above all: nobody is left who would end the workers
            mail.ask_to_stop()
            fit.join()
            raise
        if (error := mail.first_error()) is not None:
            raise error
        if fit.error is not None:
            raise fit.error


def signal_handlers() -> dict[int, Any]:
    """Python's handlers of the signals that Ray takes over."""
    return {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}


def take_back_signals(handlers: Mapping[int, Any]) -> None:
    """Have signals reach handlers again: Ray sets its own in their place, or below Python's, which end the process."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            if handler is not None:  # else it is not Python's to give
                signal.signal(number, handler)


class _Fit(threading.Thread):
    """Ray's part, in a thread, while this one looks for a wish to stop."""

    def __init__(self, fit: Callable[[], None]) -> None:
        super().__init__(name="ray-train", daemon=True)
        self._fit = fit
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._fit()
        except Exception as error:
            self.error = error


def _fit(work: Work, cluster: ClusterConfig, mail: Mailbox) -> None:
    with connected(cluster) as ray:
        require_shared(ray, mail.path, start_timeout_s())
        from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.tensorflow import TensorflowTrainer

        gpus = cluster.gpus_per_worker

        class Trainer(TensorflowTrainer):
            """Without two of its actors: one for data that Ray would hand out; one that misses the dashboard, aloud."""

            def _create_default_callbacks(self) -> list[Any]:
                callbacks: list[Any] = super()._create_default_callbacks()  # type: ignore[misc]
                return [each for each in callbacks if type(each).__name__ not in _NOT_NEEDED]

        trainer = Trainer(
            partial(_as_worker, work, mail.path, gpus is not None),
            scaling_config=ScalingConfig(
                num_workers=cluster.workers or 1,
                use_gpu=gpus is not None,
                resources_per_worker={"CPU": 1, **({"GPU": gpus} if gpus else {})},
                placement_strategy="SPREAD",
            ),
            run_config=RunConfig(  # type: ignore[call-arg]  # its types are those of Ray Train's first version
                name="ray",
                storage_path=str(mail.path),
                failure_config=FailureConfig(
                    max_failures=MOST_RESTARTS,
                    controller_failure_limit=MOST_RESTARTS,  # type: ignore[call-arg]
                ),
                worker_runtime_env={"env_vars": _WORKER_ENVIRONMENT},
            ),
        )
        try:
            trainer.fit()
        except ControllerError as error:
            reason = " ".join(str(error.controller_failure).split())[:_LONGEST_REASON]
            raise WorkerLostError(
                f"The Ray cluster must start {cluster.workers} workers. Got: {reason} Let other work end, or add nodes."
            ) from error
        except TrainingFailedError as error:
            last = str(error).strip().splitlines()[-1]
            raise WorkerLostError(
                f"The run must not lose its workers more than {MOST_RESTARTS} times. The last loss: {last} "
                "Mend what ends them, and resume the run."
            ) from error


@contextmanager
def connected(cluster: ClusterConfig, object_bytes: int = 0) -> Iterator[Any]:
    """Ray, connected: as it is where this process has it already, else to a cluster or one of our own.

    Args:
        cluster: how many workers; a Ray of our own has as many CPUs.
        object_bytes: what workers are sent at a time, at most; a Ray of our own has room for it.

    Yields:
        The package `ray`.

    Raises:
        ConfigError: the cluster wants another token, or one that is not there.
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
        yield ray
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
        yield ray
    finally:
        ray.shutdown()


def start_timeout_s() -> float:
    """Seconds that a cluster may take to give work its first process."""
    return float(os.environ.get(_START_TIMEOUT, _START_TIMEOUT_S))


def _join(address: str) -> None:
    """Connect to a cluster, and tell why not."""
    import ray
    from ray.exceptions import AuthenticationError

    try:
        if address.startswith(_CLIENT):
            _knock(address.removeprefix(_CLIENT))
        ray.init(address=address)
    except (AuthenticationError, ConnectionError) as error:
        # From one of its nodes, Ray tries for 20 s, and tells of the token in the text of the cause alone.
        if isinstance(error, ConnectionError) and AuthenticationError.__name__ not in str(error.__cause__):
            first = str(error).splitlines()[0]
            raise WorkerLostError(
                f"The Ray cluster at {address} must answer. Got: {first}. Start it, or set another address."
            ) from error
        raise ConfigError(
            f"The Ray cluster at {address} must be given its own token. Got another one, or none. Set RAY_AUTH_TOKEN "
            "to the token of its nodes; where they want none, set RAY_AUTH_MODE=disabled.",
            path="RAY_AUTH_TOKEN",
        ) from error


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


def _as_worker(work: Work, mailbox: Path, on_gpus: bool) -> None:
    """In a worker: do the work; an error of ours that all workers meet is told and ends them all well."""
    from ray.train import get_context

    from ctrfast.workers import Workers

    mail = Mailbox(mailbox)
    if mail.first_error() is not None:
        return  # a worker's alone, before the group was started anew
    if not on_gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    keep_freed_memory()  # this process does nothing but this run
    context = get_context()
    _share_cores(context.get_local_world_size())
    workers = Workers.of_cluster(context.get_world_rank(), context.get_world_size())
    if workers.is_chief and mail.has_progress:
        log.warning("A worker was lost: all were started anew and go on from the last checkpoint.")
    try:
        if workers.is_chief:
            work(workers, mail.tell, mail.is_to_stop)
        else:
            work(workers, lambda _: None, lambda: False)
    except CtrFastError as error:
        mail.tell_error(workers.index, error)
        if not mail.have_all_told_errors(workers.size, _PATIENCE_S):
            raise  # the others wait for this one; its end is theirs


def _share_cores(workers: int) -> None:
    """Keep TensorFlow from taking all cores of a machine in each of several workers."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # else it tells of each collective
    tf.config.threading.set_intra_op_parallelism_threads(max(1, len(os.sched_getaffinity(0)) // workers))
