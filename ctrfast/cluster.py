"""Several processes that train one run, on Ray Train: a Ray cluster's, or those of a Ray that is started here.

    run_on_workers(work, ClusterConfig(workers=2), Path("runs/first"), on_progress, should_stop)

`ctrfast.cluster_connection` says which cluster it is, or starts a Ray for the run alone. No module but that one and
this imports Ray: those who need it are handed the package by `connected`.
Each worker is a process with TensorFlow's `TF_CONFIG` of the group. Workers and this process tell each other progress,
a wish to stop, and errors through a `ctrfast.mailbox` beside the run.
A worker that is lost ends the others; all are started anew, and the work goes on from its last checkpoint.
A wish to stop is the chief's to act on once it is at work. Before, Ray's controller waits for the workers' CPUs, and
the wish ends that wait.

Source: Ray 2.60, `ray.train.tensorflow.TensorflowTrainer`.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ctrfast.allocator import keep_freed_memory
from ctrfast.cluster_checks import require_shared
from ctrfast.cluster_connection import connected, start_timeout_s
from ctrfast.config import ClusterConfig
from ctrfast.errors import Cancelled, CtrFastError, DependencyError, WorkerLostError
from ctrfast.loop.progress import Progress
from ctrfast.mailbox import Mailbox

if TYPE_CHECKING:  # TensorFlow is for the workers alone
    from ctrfast.workers import Workers

MOST_RESTARTS = 3
Work: TypeAlias = Callable[["Workers", Callable[[Progress], None], Callable[[], bool]], None]

_WORKER_ENVIRONMENT = {"TF_USE_LEGACY_KERAS": "1"}  # Ray loads TensorFlow before ctrfast, which would set it
_NOT_NEEDED = {"DatasetsCallback", "PlacementGroupCleanerCallback"}
_POLL_S = 0.2
_WAIT_S = 1.0  # of Ray's wait for CPUs, between two looks for a wish to stop
_FAILURE_LOG = "ray.train.v2._internal.execution.failure_handling.default"
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
        should_stop: asked here; the workers, and those who wait for them, hear it within a second or two.

    Raises:
        Cancelled: it was true while the workers were waited for; else it is theirs to raise.
        WorkerLostError: workers were lost more than `MOST_RESTARTS` times, or cannot be had.
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
    with connected(cluster) as connection:
        require_shared(connection, mail.path, start_timeout_s(), mail.is_to_stop)
        from ray.exceptions import RayActorError
        from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.tensorflow import TensorflowTrainer

        gpus = cluster.gpus_per_worker

        class Trainer(TensorflowTrainer):
            """With a wait that hears of a stop, and without two of its actors.

            One is for data that Ray would hand out; one misses the dashboard, aloud.
            """

            def _create_default_callbacks(self) -> list[Any]:
                callbacks: list[Any] = super()._create_default_callbacks()  # type: ignore[misc]
                return [
                    *(each for each in callbacks if type(each).__name__ not in _NOT_NEEDED),
                    _stops_waiting(mail.path),
                ]

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
            raise _not_begun(error.controller_failure, cluster) from error
        except TrainingFailedError as error:
            last = str(error).strip().splitlines()[-1]
            raise WorkerLostError(
                f"The run must not lose its workers more than {MOST_RESTARTS} times. The last loss: {last} "
                "Mend what ends them, and resume the run."
            ) from error
        except (RayActorError, ConnectionError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0].strip()
            raise WorkerLostError(
                f"The run must not lose Ray's controller of its workers, nor the cluster's head. Got: {first} "
                "Mend what ends them, and resume the run."
            ) from error


def _not_begun(failure: Exception, cluster: ClusterConfig) -> CtrFastError:
    """What the caller is told where Ray's controller could not start the workers."""
    from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError

    if isinstance(failure, Cancelled):
        return failure
    reason = (" ".join(str(failure).split()) or type(failure).__name__)[:_LONGEST_REASON]
    remedy = (
        "Let other work end, or add nodes."
        if isinstance(failure, WorkerGroupStartupTimeoutError)
        else "Mend that on the cluster's nodes, and resume the run."
    )
    return WorkerLostError(f"The Ray cluster must start {cluster.workers} workers. Got: {reason} {remedy}")


def _stops_waiting(mailbox: Path) -> Any:
    """A callback of Ray's controller, which has its process hear the mailbox's wish to stop."""
    from ray.train.v2._internal.execution.callback import ControllerCallback

    class StopsWaiting(ControllerCallback):
        def after_controller_start(self, train_run_context: Any) -> None:  # noqa: ARG002 (Ray names it)
            _hear_while_waiting(Mailbox(mailbox))

    return StopsWaiting()


def _hear_while_waiting(mail: Mailbox) -> None:
    """In Ray's controller: end its wait for CPUs, of up to ten minutes, where a stop is asked for; free what it has."""
    from ray.train import ControllerError
    from ray.train.v2._internal.execution.worker_group import worker_group
    from ray.train.v2._internal.execution.worker_group.placement_group_handle import DefaultPlacementGroupHandle

    class Hearing(DefaultPlacementGroupHandle):
        def wait(self, timeout_seconds: float = 30.0) -> bool:
            deadline = time.monotonic() + timeout_seconds
            while True:
                if mail.is_to_stop():
                    self.shutdown()
                    logging.getLogger(_FAILURE_LOG).setLevel(logging.WARNING)  # a traceback is no news to who asked
                    raise ControllerError(Cancelled("Stopped while workers were waited for; the run can be resumed."))
                began = time.monotonic()
                step_s = min(_WAIT_S, max(deadline - began, 0.0))
                if super().wait(step_s):
                    return True
                time.sleep(max(began + step_s - time.monotonic(), 0.0))  # Ray's wait may end at once
                if began + step_s >= deadline:
                    return False

    worker_group.DefaultPlacementGroupHandle = Hearing  # type: ignore[attr-defined]


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
