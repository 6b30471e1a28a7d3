"""Rows per second of two workers of one core each, beside one worker and one process with two threads; a lost worker.

    python -m bench.cluster                                          # as `make bench-cluster`
    python -m bench.cluster --batch-size 65536 --ids 100000 --steps 8

Each form builds, takes two steps to compile, then is timed over `--steps`. The time in the all-reduce is that of the
same sums sent again, with nothing else going on: a worker's wait for a slower one is in the step's time alone. At last
a run of two workers loses one of them to `kill -9` (`bench.lost_worker`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ctrfast  # noqa: F401  (before TensorFlow: it selects Keras 2)

# isort: split
import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes

from bench.clicks import make_clicks
from bench.lost_worker import CHECKPOINT_EVERY, LOST_AFTER
from bench.lost_worker import measure as measure_loss
from bench.report import Report, Table, write
from ctrfast.cluster import run_on_workers
from ctrfast.cluster_connection import connected
from ctrfast.config import TrainConfig, parse_config
from ctrfast.data.shards import Dataset
from ctrfast.loop.epoch_batches import epoch_batches
from ctrfast.network import Network
from ctrfast.optim.scaling import make_plan
from ctrfast.optim.step_settings import StepSettings
from ctrfast.replicas import Replicas, choose_devices
from ctrfast.workers import ALONE, Workers

_WARM_UP_STEPS = 2
_TIMES = {
    "start_s": "from the wish to train to the end of the first step",
    "anew_s": "from `kill -9` until the workers begin anew",
    "recover_s": "from `kill -9` to the end of the first step after it",
}


def measure(config: TrainConfig, data: Path, cores: Sequence[int], steps: int, workers: Workers) -> dict[str, float]:
    """Median seconds of a step of this process on its cores, and of its all-reduce alone."""
    os.sched_setaffinity(0, cores)
    dataset = Dataset.open(data, verify=False)
    plan = make_plan(config, dataset.fitted.schema_.name)
    replicas = Replicas(
        lambda: Network(config.model, dataset.fitted, seed=1, embedding_init_std=plan.embedding_init_std),
        [row for _, row in dataset.fitted.row_ranges],
        StepSettings.of(plan, steps_per_epoch=dataset.rows("train") // config.batch_size, epochs=1),
        workers.devices() or choose_devices(1),
        batch_size=config.batch_size,
        workers=workers,
    )
    source = epoch_batches(dataset, config, 0, workers.part)

    def step() -> None:
        batch = next(source)
        np.asarray(replicas.step(batch.ids, batch.numbers, batch.labels)[0])

    step_s = _median_s(step, steps)
    shapes = [
        (dataset.fitted.table_rows, config.model.embedding_dim + 2),
        *(v.shape for v in replicas.network.model.dense_variables),
    ]
    reduce_s = 0.0 if workers.strategy is None else _median_s(_all_reduce(workers.strategy, shapes), steps)
    source.close()
    replicas.close()
    return {"step_s": step_s, "all_reduce_s": reduce_s}


def _all_reduce(strategy: tf.distribute.Strategy, shapes: Sequence[Sequence[int]]) -> Callable[[], object]:
    values = [tf.zeros(shape) for shape in shapes]

    def reduced() -> Any:
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)

    run = tf.function(lambda: strategy.run(reduced))
    return lambda: [np.asarray(value) for value in run()]


def _median_s(work: Callable[[], object], times: int) -> float:
    seconds = []
    for _ in range(_WARM_UP_STEPS + times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[_WARM_UP_STEPS:])


def as_worker(
    config: TrainConfig, data: Path, steps: int, out: Path, workers: Workers, _tell: object, _stop: object
) -> None:
    """A worker on a core of its own; the chief writes what it measured."""
    figures = measure(config, data, [sorted(os.sched_getaffinity(0))[workers.index]], steps, workers)
    if workers.is_chief:
        out.write_text(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=16_384)
    parser.add_argument("--ids", type=int, default=1_067_398, help="rows of the embedding table, about")
    parser.add_argument("--steps", type=int, default=8, help="at least 4")
    parser.add_argument("--data", type=Path, default=Path("build/bench"))
    arguments = parser.parse_args()
    rows = arguments.batch_size * (_WARM_UP_STEPS + arguments.steps)
    data = (make_clicks(arguments.data, rows, arguments.ids) / "dataset").resolve()
    out = (arguments.data / "cluster.json").resolve()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("Two cores are needed, one for each worker.")
    os.sched_setaffinity(0, cores)  # before TensorFlow counts them
    found: dict[str, dict[str, float]] = {}
    for update in ("dense", "sparse"):
        for workers in (2, 1, None):
            config = parse_config(
                {"batch_size": arguments.batch_size, "optimizer": {"update": update}, "cluster": {"workers": workers}}
            )
            if workers is None:
                form, figures = "1 process, 2 threads", measure(config, data, cores, arguments.steps, ALONE)
            else:
                form = f"{workers} worker{'s' * (workers > 1)} of 1 core"
                with connected(config.cluster):
                    work = partial(as_worker, config, data, arguments.steps, out)
                    run_on_workers(work, config.cluster, out, lambda _: None, lambda: False)
                figures = json.loads(out.read_text())
            found[f"{update}, {form}"] = {
                "rows_per_s": arguments.batch_size / figures["step_s"],
                "all_reduce_share": figures["all_reduce_s"] / figures["step_s"],
            }
    lost = measure_loss(_losing(arguments.batch_size), data, (arguments.data / "lost").resolve())
    write(_report(arguments.batch_size, arguments.ids, arguments.steps, found, lost), partial(_draw, found))


def _losing(batch_size: int) -> TrainConfig:
    saved = {"checkpoint_every_steps": CHECKPOINT_EVERY, "optimizer": {"update": "dense"}}
    return parse_config({"batch_size": batch_size, "epochs": 1, "cluster": {"workers": 2}, **saved})


def _report(
    batch_size: int,
    ids: int,
    steps: int,
    found: Mapping[str, Mapping[str, float]],
    lost: Mapping[str, float],
) -> Report:
    cells = [[form, f"{of['rows_per_s']:,.0f}", f"{of['all_reduce_share']:.0%}"] for form, of in found.items()]
    times = [[words, f"{lost[name]:.1f}"] for name, words in _TIMES.items()]
    return Report(
        name="cluster",
        title=f"Workers of one core each: DeepFM, about {ids:,} ids, batch {batch_size:,}",
        tables=[
            Table("Rows per second", ["update, form", "rows/s", "share in the all-reduce"], cells),
            Table("Time to recover from a lost worker", ["of two workers, update dense", "s"], times),
        ],
        notes=[
            f"Median of {steps} steps; the forms one after the other, so a noisy minute meets one of them.",
            "Share in the all-reduce: the same sums sent again with nothing else going on, by the time of a step.",
            f"The lost worker: one run, one loss after {LOST_AFTER} steps, checkpoints at each {CHECKPOINT_EVERY}. "
            "Both workers are started anew, load TensorFlow and go on from the last checkpoint.",
        ],
        figures={"forms": {form: dict(of) for form, of in found.items()}, "lost_worker": dict(lost)},
    )


def _draw(found: Mapping[str, Mapping[str, float]], axes: Axes) -> None:
    axes.barh(list(found), [of["rows_per_s"] for of in found.values()])
    axes.invert_yaxis()
    axes.set_xlabel("rows/s")


if __name__ == "__main__":
    main()
