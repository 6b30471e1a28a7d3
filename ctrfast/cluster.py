"""Several processes that train one run, on Ray Train: a Ray cluster's, or those of a Ray that is started here.

    run_on_workers(work, ClusterConfig(workers=2), Path("runs/first"), on_progress, should_stop)

`CTRFAST_RAY_ADDRESS` names the cluster, as `ray.init` takes it; without it, Ray is started on this machine's loopback
for the run alone. Each worker is a process with TensorFlow's `TF_CONFIG` of the group. Workers and this process tell
each other through files beside the run, on storage that all of them see: progress, a wish to stop, errors.
A worker that is lost ends the others; all are started anew, and the work goes on from its last checkpoint.

Source: Ray 2.60, `ray.train.tensorflow.TensorflowTrainer`.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ctrfast.cluster_address import cluster_address
from ctrfast.config import ClusterConfig
from ctrfast.errors import CtrFastError, DependencyError, WorkerLostError
from ctrfast.folders import PARTIAL, write_file
from ctrfast.loop.progress import Progress
from ctrfast.told_errors import told, told_error

if TYPE_CHECKING:  # TensorFlow is for the workers alone
    from ctrfast.workers import Workers

MOST_RESTARTS = 3
Work: TypeAlias = Callable[["Workers", Callable[[Progress], None], Callable[[], bool]], None]

_LOOPBACK = "127.0.0.1"
# Of a Ray that is started here; set before it is imported, unless the environment says otherwise.
_LOCAL_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else it talks to the host's own network address
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # its next version's default, of whose coming it warns
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",  # of its 60 s, a busy machine needs most to load TensorFlow
    "RAY_worker_niceness": "0",  # workers run as the process that starts them would
}
_NOT_NEEDED = {"DatasetsCallback", "PlacementGroupCleanerCallback"}
_LOCAL_OBJECT_STORE_BYTES = 80 * 2**20  # nearly nothing goes through it
_POLL_S = 0.2
_PATIENCE_S = 20.0  # for the other workers to meet the same error
_PROGRESS, _STOP = "progress.jsonl", "stop"

log = logging.getLogger(__name__)


def require_ray() -> None:
    """Raise DependencyError where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise DependencyError(
            "`cluster.workers` needs Ray. Install it with: pip install 'ctrfast[cluster]'.", path="cluster.workers"
        )


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
    with _mailbox(out) as mail:
        fit = _Fit(lambda: _fit(work, cluster, mail))
        fit.start()
        reader = _ProgressReader(mail / _PROGRESS)
        while fit.is_alive():
            fit.join(_POLL_S)
            for progress in reader.read():
                on_progress(progress)
            if should_stop():
                (mail / _STOP).touch()
        for progress in reader.read():
            on_progress(progress)
        if (error := _first_error(mail)) is not None:
            raise error
        if fit.error is not None:
            raise fit.error


class _Fit(threading.Thread):
    """Ray's part, in a thread: Ray takes over signals in a main thread, and this one has a stop to look for."""

    def __init__(self, fit: Callable[[], None]) -> None:
        super().__init__(name="ray-train", daemon=True)
        self._fit = fit
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._fit()
        except Exception as error:
            self.error = error


def _fit(work: Work, cluster: ClusterConfig, mail: Path) -> None:
    with connected(cluster):
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.tensorflow import TensorflowTrainer

        gpus = cluster.gpus_per_worker

        class Trainer(TensorflowTrainer):
            """Without two of its actors: one for data that Ray would hand out; one that misses the dashboard, aloud."""

            def _create_default_callbacks(self) -> list[Any]:
                callbacks: list[Any] = super()._create_default_callbacks()  # type: ignore[misc]
                return [each for each in callbacks if type(each).__name__ not in _NOT_NEEDED]

        trainer = Trainer(
            lambda: _as_worker(work, mail),
            scaling_config=ScalingConfig(
                num_workers=cluster.workers or 1,
                use_gpu=gpus is not None,
                resources_per_worker={"CPU": 1, **({"GPU": gpus} if gpus else {})},
                placement_strategy="SPREAD",
            ),
            run_config=RunConfig(
                name="ray", storage_path=str(mail), failure_config=FailureConfig(max_failures=MOST_RESTARTS)
            ),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            last = str(error).strip().splitlines()[-1]
            raise WorkerLostError(
                f"The run must not lose its workers more than {MOST_RESTARTS} times. The last loss: {last} "
                "Mend what ends them, and resume the run."
            ) from error


@contextmanager
def connected(cluster: ClusterConfig) -> Iterator[None]:
    """Ray, connected: as it is where this process has it already, else to a cluster or one of our own."""
    address = cluster_address()
    if address is None:
        for name, value in _LOCAL_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    if address is None:
        ray.init(
            address="local",
            num_cpus=cluster.workers,
            include_dashboard=False,
            object_store_memory=_LOCAL_OBJECT_STORE_BYTES,
            _node_ip_address=_LOOPBACK,
        )
    else:
        ray.init(address=address)
    try:
        yield
    finally:
        ray.shutdown()


def _as_worker(work: Work, mail: Path) -> None:
    """In a worker: do the work; an error of ours that all workers meet is told and ends them all well."""
    from ray.train import get_context

    from ctrfast.workers import Workers

    if _first_error(mail) is not None:
        return  # a worker's alone, before the group was started anew
    context = get_context()
    _share_cores(context.get_local_world_size())
    workers = Workers.of_cluster(context.get_world_rank(), context.get_world_size())
    try:
        if workers.is_chief:
            with _Chief(mail) as chief:
                work(workers, chief.tell, chief.is_to_stop)
        else:
            work(workers, lambda _: None, lambda: False)
    except CtrFastError as error:
        write_file(mail / _error_file(workers.index), json.dumps(told(error)))
        if not _all_have_told(mail, workers.size):
            raise


def _share_cores(workers: int) -> None:
    """Keep TensorFlow from taking all cores of a machine in each of several workers."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # else it tells of each collective
    tf.config.threading.set_intra_op_parallelism_threads(max(1, len(os.sched_getaffinity(0)) // workers))


class _Chief:
    """The chief's ends of the mailbox."""

    def __init__(self, mail: Path) -> None:
        path = mail / _PROGRESS
        if path.exists():
            log.warning("A worker was lost: all were started anew and go on from the last checkpoint.")
        self._file = path.open("a", encoding="utf-8")
        self._stop, self._look_at, self._seen = mail / _STOP, 0.0, False

    def __enter__(self) -> _Chief:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def tell(self, progress: Progress) -> None:
        """Write a line, at once."""
        self._file.write(json.dumps(asdict(progress)) + "\n")
        self._file.flush()

    def is_to_stop(self) -> bool:
        """Whether the wish is there; looks for it at most every `_POLL_S`."""
        now = time.monotonic()
        if not self._seen and now >= self._look_at:
            self._look_at = now + _POLL_S
            self._seen = self._stop.exists()
        return self._seen


class _ProgressReader:
    """Takes new whole lines of the chief's progress."""

    def __init__(self, path: Path) -> None:
        self._path, self._place = path, 0

    def read(self) -> Iterator[Progress]:
        """Progress since the last call."""
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._place)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._place += len(line)
                yield Progress(**json.loads(line))


@contextmanager
def _mailbox(out: Path) -> Iterator[Path]:
    """An empty folder beside the run, for as long as the block lasts."""
    mail = out.parent / f"{PARTIAL}cluster-{out.name}"
    shutil.rmtree(mail, ignore_errors=True)
    mail.mkdir()
    try:
        yield mail
    finally:
        shutil.rmtree(mail, ignore_errors=True)


def _error_file(index: int) -> str:
    return f"error-{index:04d}.json"


def _first_error(mail: Path) -> CtrFastError | None:
    for path in sorted(mail.glob("error-*.json")):
        value: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return told_error(value)
    return None


def _all_have_told(mail: Path, size: int) -> bool:
    """Whether all workers met an error of ours; those that did not would wait for this one for ever."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if all((mail / _error_file(index)).exists() for index in range(size)):
            return True
        time.sleep(0.05)
    return False
