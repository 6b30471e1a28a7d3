"""Rows per second of two workers of one core each, beside one worker and one process with two threads; a lost worker.

    python -m bench.cluster                                          # as `make bench-cluster`
    python -m bench.cluster --batch-size 65536 --ids 100000 --steps 8

Each form, for each number of ids, builds, takes two steps to compile, then is timed over `--steps`. Two workers
exchange the sums of row gradients in both forms of `ctrfast.row_sums`: those of all rows, and those of the touched rows
alone. The time of the exchange is that of as many sums sent again, with nothing else going on: a worker's wait for a
slower one, and what lists take to be made and added up, are in the step's time alone. At last a run of two workers,
with the first number of ids, loses one of them to `kill -9` (`bench.lost_worker`).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import ctrfast  # noqa: F401  (before TensorFlow: it selects Keras 2)

# isort: split
import numpy as np
import numpy.typing as npt
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
from ctrfast.row_sums import RowSums, RowSumsForm
from ctrfast.workers import ALONE, Workers

Ints: TypeAlias = npt.NDArray[np.int32]
Figures: TypeAlias = Mapping[str, Mapping[str, float]]

_WARM_UP_STEPS = 2
_IDS = (1_067_398, 100_000, 8_000_000)  # a worker is lost with the first
_FORMS: Sequence[tuple[str, int | None, RowSumsForm]] = (
    ("2 workers of 1 core, sums of all rows", 2, "dense"),
    ("2 workers of 1 core, of touched rows", 2, "sparse"),
    ("1 worker of 1 core", 1, "dense"),
    ("1 process, 2 threads", None, "dense"),
)
_TIMES = {
    "start_s": "from the wish to train to the end of the first step",
    "anew_s": "from `kill -9` until the workers begin anew",
    "recover_s": "from `kill -9` to the end of the first step after it",
}


def measure(
    config: TrainConfig, data: Path, cores: Sequence[int], steps: int, row_sums: RowSumsForm, workers: Workers
) -> dict[str, float]:
    """Median seconds of a step of this process on its cores, and of its exchange alone; MiB of row sums sent by it."""
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
        row_sums=row_sums,
    )
    source = epoch_batches(dataset, config, 0, workers.part)
    ids: list[Ints] = []

    def step() -> None:
        batch = next(source)
        ids[:] = [batch.ids]
        np.asarray(replicas.step(batch.ids, batch.numbers, batch.labels)[0])

    step_s = _median_s(step, steps)
    touched = len(np.unique(ids[0]))
    costs = RowSums(workers.size, dataset.fitted.table_rows, config.model.embedding_dim, touched)
    exchange_s = 0.0
    if workers.strategy is not None:
        added_up = [tf.zeros(variable.shape) for variable in replicas.network.model.dense_variables]
        gathered = []
        if row_sums == "dense":
            added_up.append(tf.zeros((dataset.fitted.table_rows, config.model.embedding_dim + 2)))
        else:
            gathered.append(tf.zeros((touched, config.model.embedding_dim + 3)))
        exchange = _exchange(workers.strategy, added_up, gathered)
        exchange_s = _median_s(exchange, steps)
    source.close()
    replicas.close()
    sent = costs.dense_bytes if row_sums == "dense" else costs.sparse_bytes
    return {"step_s": step_s, "exchange_s": exchange_s, "mib_sent": sent / 2**20}


def _exchange(
    strategy: tf.distribute.Strategy, added_up: Sequence[tf.Tensor], gathered: Sequence[tf.Tensor]
) -> Callable[[], object]:
    """Dense gradients, and the sums of all rows or lists of touched ones, as a step sends them."""

    def exchanged() -> Any:
        context = tf.distribute.get_replica_context()
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, added_up)
        return [*sums, *(context.all_gather(lists, axis=0) for lists in gathered)]

    run = tf.function(lambda: strategy.run(exchanged))
    return lambda: [np.asarray(value) for value in run()]


def _median_s(work: Callable[[], object], times: int) -> float:
    seconds = []
    for _ in range(_WARM_UP_STEPS + times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[_WARM_UP_STEPS:])


def as_worker(
    config: TrainConfig,
    data: Path,
    steps: int,
    row_sums: RowSumsForm,
    out: Path,
    workers: Workers,
    _tell: object,
    _stop: object,
) -> None:
    """A worker on a core of its own; the chief writes what it measured."""
    figures = measure(config, data, [sorted(os.sched_getaffinity(0))[workers.index]], steps, row_sums, workers)
    if workers.is_chief:
        out.write_text(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=16_384)
    parser.add_argument("--ids", type=int, nargs="+", default=_IDS, help="rows of the embedding table, about")
    parser.add_argument("--steps", type=int, default=8, help="at least 4")
    parser.add_argument("--data", type=Path, default=Path("build/bench"))
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("Two cores are needed, one for each worker.")
    os.sched_setaffinity(0, cores)  # before TensorFlow counts them
    rows = arguments.batch_size * (_WARM_UP_STEPS + arguments.steps)
    data = {ids: (make_clicks(arguments.data, rows, ids) / "dataset").resolve() for ids in arguments.ids}
    out = (arguments.data / "cluster.json").resolve()
    found = {ids: _all_forms(arguments.batch_size, folder, cores, arguments.steps, out) for ids, folder in data.items()}
    lost = measure_loss(_losing(arguments.batch_size), data[arguments.ids[0]], (arguments.data / "lost").resolve())
    write(_report(arguments.batch_size, arguments.steps, found, lost), partial(_draw, found))


def _all_forms(batch_size: int, data: Path, cores: Sequence[int], steps: int, out: Path) -> Figures:
    """Of each update and form: rows per second, share of the exchange, MiB sent. out: where the chief writes."""
    found = {}
    for update, (form, workers, row_sums) in itertools.product(("dense", "sparse"), _FORMS):
        config = parse_config(
            {"batch_size": batch_size, "optimizer": {"update": update}, "cluster": {"workers": workers}}
        )
        if workers is None:
            figures = measure(config, data, cores, steps, row_sums, ALONE)
        else:
            with connected(config.cluster):
                work = partial(as_worker, config, data, steps, row_sums, out)
                run_on_workers(work, config.cluster, out, lambda _: None, lambda: False)
            figures = json.loads(out.read_text())
        found[f"{update}, {form}"] = {
            "rows_per_s": batch_size / figures["step_s"],
            "exchange_share": figures["exchange_s"] / figures["step_s"],
            "mib_sent": figures["mib_sent"],
        }
    return found


def _losing(batch_size: int) -> TrainConfig:
    saved = {"checkpoint_every_steps": CHECKPOINT_EVERY, "optimizer": {"update": "dense"}}
    return parse_config({"batch_size": batch_size, "epochs": 1, "cluster": {"workers": 2}, **saved})


def _report(batch_size: int, steps: int, found: Mapping[int, Figures], lost: Mapping[str, float]) -> Report:
    header = ["update, form", "rows/s", "MiB sent", "share in the exchange"]
    by_ids = [
        Table(
            f"Rows per second, about {ids:,} ids",
            header,
            [
                [form, f"{of['rows_per_s']:,.0f}", f"{of['mib_sent']:.1f}", f"{of['exchange_share']:.0%}"]
                for form, of in forms.items()
            ],
        )
        for ids, forms in found.items()
    ]
    times = [[words, f"{lost[name]:.1f}"] for name, words in _TIMES.items()]
    return Report(
        name="cluster",
        title=f"Workers of one core each: DeepFM, batch {batch_size:,}",
        tables=[
            *by_ids,
            Table("Time to recover from a lost worker", ["of two workers, update dense", "s"], times),
        ],
        notes=[
            f"Median of {steps} steps; the forms one after the other, so a noisy minute meets one of them.",
            "MiB sent: row sums that each worker sends at a step, by `ctrfast.row_sums`, U being what the "
            "first worker's last batch touched.",
            "Share in the exchange: as many sums sent again with nothing else going on, by the time of a step.",
            f"The lost worker: one run of the first table, one loss after {LOST_AFTER} steps, checkpoints at each "
            f"{CHECKPOINT_EVERY}. Both workers are started anew, load TensorFlow and go on from the last checkpoint.",
        ],
        figures={"forms": {str(ids): dict(forms) for ids, forms in found.items()}, "lost_worker": dict(lost)},
    )


def _draw(found: Mapping[int, Figures], axes: Axes) -> None:
    axes.figure.set_size_inches(9, 5)
    for place, form in enumerate(next(iter(found.values()))):
        ids = sorted(found)
        speeds = [found[count][form]["rows_per_s"] for count in ids]
        axes.plot(ids, speeds, "--" if "sparse" in form else "-", marker="osD^"[place % 4], label=form)
    axes.set(xlabel="ids", ylabel="rows/s", xscale="log", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


if __name__ == "__main__":
    main()
