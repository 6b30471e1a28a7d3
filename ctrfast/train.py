"""Train a CTR network on a dataset: from an opened dataset and a config to a finished run.

    dataset = Dataset.open(Path("data/criteo"))
    result = train(dataset, TrainConfig(batch_size=8192), Path("runs/first"))
    result.metrics["test_auc"]

A run that was stopped or killed goes on from its last checkpoint with `resume=True`, bit for bit as if nothing had
happened. The order of the rows follows from (seed, epoch), so the position is a number of steps; all that a step causes
(record, evaluation, lower rates) is done before the checkpoint of that step, and records beyond a checkpoint's step are
dropped when the run goes on from it.

With `cluster.workers` set, that many processes do so together (`ctrfast.cluster`), each on its part of the rows; the
chief alone writes the run, and whatever depends on files, clocks or wishes is its to say.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tf_keras.callbacks import Callback

from ctrfast.cluster import require_ray, run_on_workers
from ctrfast.cluster_address import is_elsewhere
from ctrfast.config import TrainConfig, check_config
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.file_lock import FileLock, run_lock
from ctrfast.loop.dataset_needs import check_dataset
from ctrfast.loop.progress import Progress
from ctrfast.machine_memory import available_memory
from ctrfast.memory import check_memory, estimate
from ctrfast.optim.scaling import make_plan
from ctrfast.run import Run, start_or_resume
from ctrfast.storage import storing
from ctrfast.teacher import Teacher
from ctrfast.training_loop import TrainingLoop
from ctrfast.workers import ALONE, Workers

_CHIEF_PATIENCE_S = 120.0  # shared storage may take a minute and a half to notice that a machine is gone


@dataclass(frozen=True)
class RunResult:
    """A finished run's folder and final metrics."""

    path: Path
    metrics: dict[str, float]


def train(
    dataset: Dataset,
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    callbacks: Sequence[Callback] = (),
    warm_start: Path | None = None,
    teacher: Teacher | None = None,
) -> RunResult:
    """Train and leave a run folder.

    Args:
        dataset: what to train on.
        config: settings at the base batch size; the scaling rule applies to them.
        out: the run folder; must not exist, or be empty, unless `resume`.
        resume: go on from the last checkpoint of `out`, or start where there is none.
        on_progress: called about twice a second and at each epoch's end.
        should_stop: asked at each step; once true, a checkpoint is saved and `Cancelled` is raised.
        callbacks: of Keras; `ctrfast.loop.callbacks` says what they get and which ones work.
        warm_start: a finished run to take the first weights from (`ctrfast.warm_start`).
        teacher: a trained mixture of experts to learn from, in place of `warm_start`; `config.model` is its student's.

    Raises:
        ConfigError: a setting or callback does not fit the data or the run, `out` holds another run, or another process
            is training into it.
        DependencyError: `cluster.workers` is set, and Ray is not installed.
        WorkerLostError: too many workers of a cluster were lost; the run can go on from its last checkpoint.
        ArtifactError: the run or a checkpoint was made with another config or dataset.
        TrainingError: a figure or weight is not a number, all outputs are alike, nothing is learned, or it diverges.
        StorageError: the disk takes no more; the run can go on from its last checkpoint.
        Cancelled: `should_stop` was true.
    """
    if teacher is not None and warm_start is not None:
        problem = f"A student begins with its teacher and takes no `warm_start`. Got {warm_start}."
        raise ConfigError(f"{problem} Leave one of them out.", path="warm_start")
    on_progress, should_stop = on_progress or (lambda _: None), should_stop or (lambda: False)
    if config.cluster.workers is None:
        loop = partial(TrainingLoop, dataset, config, out, resume, callbacks, warm_start, teacher, ALONE)
        with run_lock(out) as lock:
            return _run(out, lock, loop, ALONE, on_progress, should_stop)
    if callbacks:
        raise ConfigError(
            "Keras callbacks cannot be used with cluster.workers: they live in one process.", path="callbacks"
        )
    if teacher is not None:
        raise ConfigError(
            "A student cannot be trained with cluster.workers: its teacher lives in one process. Leave them out.",
            path="cluster.workers",
        )
    require_ray()
    check_config(config)
    check_dataset(dataset, config)
    if not is_elsewhere(config.cluster):
        _check_this_machine(dataset, config)
    origin = {"warm_start": Run.open(warm_start).seal} if warm_start else {}
    plan = make_plan(config, dataset.fitted.schema_.name)
    start = warm_start.resolve() if warm_start else None
    with run_lock(out) as lock:
        lock.take()
        start_or_resume(out, resume, config, plan, dataset, origin)
        work = partial(work_on, dataset.path.resolve(), dataset.hash, config, out.resolve(), start)
        run_on_workers(work, config.cluster, out.resolve(), on_progress, should_stop)
    return RunResult(out, Run.open(out).metrics)


def _check_this_machine(dataset: Dataset, config: TrainConfig) -> None:
    """Refuse workers that do not fit this machine all together; each knows its GPUs."""
    on_gpu = config.cluster.gpus_per_worker is not None
    needs = estimate(dataset.fitted, config, train_rows=dataset.rows("train"), on_gpu=on_gpu)
    check_memory(needs, available_memory(), sys.maxsize if on_gpu else None)


def work_on(
    data: Path,
    dataset_hash: str,
    config: TrainConfig,
    out: Path,
    warm_start: Path | None,
    workers: Workers,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> None:
    """What each worker of a cluster does: `train`, with resume. Data, run and `warm_start` lie where all see them."""
    dataset = Dataset.open(data, verify=False)  # `train` was given it verified
    if dataset.hash != dataset_hash:
        raise ArtifactError(f"The dataset {data} of a worker must be that of the run. Put it where all workers see it.")
    loop = partial(TrainingLoop, dataset, config, out, True, (), warm_start, None, workers)
    # The caller of `train` holds the run itself; what ended may have left a chief elsewhere, which is about to end too.
    with run_lock(out, "chief", patience_s=_CHIEF_PATIENCE_S) as lock:
        _run(out, lock, loop, workers, on_progress, should_stop)


def _run(
    out: Path,
    lock: FileLock,
    begin: Callable[[], TrainingLoop],
    workers: Workers,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> RunResult:
    with storing(f"The run {out}"):
        workers.from_chief(lock.take)
        loop = begin()
        try:
            return RunResult(out, loop.run(on_progress, should_stop))
        finally:
            loop.replicas.close()
