"""Train a CTR network on a dataset: the loop, from an opened dataset and a config to a finished run.

    dataset = Dataset.open(Path("data/criteo"))
    result = train(dataset, TrainConfig(batch_size=8192), Path("runs/first"))
    result.metrics["test_auc"]

A run that was stopped or killed goes on from its last checkpoint with `resume=True`: the order of the rows follows from
(seed, epoch), so the position is a number of steps.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from ctrfast.checkpoint import latest_checkpoint, restore, save_checkpoint
from ctrfast.config import TrainConfig
from ctrfast.data.batches import Shuffle, batches, prefetch
from ctrfast.data.shards import Dataset
from ctrfast.errors import Cancelled, ConfigError, TrainingError
from ctrfast.folders import write_file
from ctrfast.metrics import Predictions, sigmoid
from ctrfast.network import Network
from ctrfast.optim.cowclip_adam import CowClipAdam, StepSettings
from ctrfast.optim.scaling import make_plan
from ctrfast.run import RECEIPT, Receipt, check_same_run, start_run
from ctrfast.run_log import RunLog
from ctrfast.step import TrainStep

_EVALUATION_BATCH = 65_536
_GOLDEN_ROWS = 256
_PROGRESS_INTERVAL_S = 0.5
_LOWER_RATES = "Lower optimizer.lr_dense or optimizer.lr_embed."
_PACKAGES = ("ctrfast", "tensorflow", "tf-keras", "numpy", "pyarrow")


@dataclass(frozen=True)
class Progress:
    """Where a run is. fraction: 0..1 of all steps. eta_s: seconds to go, `None` until known. metrics: the latest."""

    epoch: int
    step: int
    total_steps: int
    rows: int
    fraction: float
    eta_s: float | None
    metrics: dict[str, float] = field(default_factory=dict)


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
) -> RunResult:
    """Train and leave a run folder.

    Args:
        dataset: what to train on.
        config: settings at the base batch size; the scaling rule applies to them.
        out: the run folder; must not exist, or be empty, unless `resume`.
        resume: go on from the last checkpoint of `out`, or start where there is none.
        on_progress: called about twice a second and at each epoch's end.
        should_stop: asked at each step; once true, a checkpoint is saved and `Cancelled` is raised.

    Raises:
        ConfigError: a setting does not fit the data, or `out` holds another run.
        ArtifactError: a checkpoint was made with another config or dataset.
        TrainingError: the loss is not a number.
        Cancelled: `should_stop` was true.
    """
    session = _Session(dataset, config, out, resume, on_progress or (lambda _: None), should_stop or (lambda: False))
    return session.run()


class _Session:
    """One call of `train`: its parts, and the position in the run."""

    def __init__(
        self,
        dataset: Dataset,
        config: TrainConfig,
        out: Path,
        resume: bool,
        on_progress: Callable[[Progress], None],
        should_stop: Callable[[], bool],
    ) -> None:
        rows = dataset.rows("train")
        if config.batch_size > rows:
            raise ConfigError(
                f"`batch_size` must be at most the training split's {rows:,} rows. "
                f"Got batch_size={config.batch_size:,}.",
                path="batch_size",
            )
        self.dataset, self.config, self.out = dataset, config, out
        self.on_progress, self.should_stop = on_progress, should_stop
        self.plan = make_plan(config, dataset.fitted.schema_.name)
        self.steps_per_epoch = rows // config.batch_size
        self.total_steps = self.steps_per_epoch * config.epochs
        if resume and out.is_dir() and any(out.iterdir()):
            check_same_run(out, config, dataset)
        else:
            start_run(out, config, self.plan, dataset)

        self.network = Network(
            config.model, dataset.fitted, seed=config.seed, embedding_init_std=self.plan.embedding_init_std
        )
        model = self.network.model
        self.optimizer = CowClipAdam(
            StepSettings.of(self.plan, self.steps_per_epoch),
            self.network.table,
            dataset.fitted.table_offsets,
            model.linear_variables,
            model.deep_variables,
        )
        self.train_step = TrainStep(model, self.optimizer, config.batch_size)
        checkpoint, self.earlier_s = latest_checkpoint(self._checkpoints) or (None, 0.0)
        if checkpoint:
            restore(checkpoint, self.optimizer.state())
        self.step = int(self.optimizer.step)
        self.log = RunLog(out, self.step)
        self.metrics: dict[str, float] = {}
        for record in self.log.kept:
            self._learn(record)
        self.started = time.monotonic()
        self.first_step = self.step
        self.last_progress = 0.0

    @property
    def _checkpoints(self) -> Path:
        return self.out / "checkpoints"

    def run(self) -> RunResult:
        try:
            for epoch in range(self.step // self.steps_per_epoch, self.config.epochs):
                self._epoch(epoch)
                self._evaluate("valid")
                self._save()
                self._report(epoch, force=True)
            seconds = self._train_s()
            self.metrics["rows_per_s"] = self.step * self.config.batch_size / seconds
            self._evaluate("test")
            self._report(self.config.epochs - 1, force=True)
        finally:
            self.log.close()
        self._write_golden()
        self._write_receipt(seconds)
        return RunResult(self.out, self.metrics)

    def _epoch(self, epoch: int) -> None:
        config = self.config
        shuffle = Shuffle(seed=(config.seed, epoch), rows=config.shuffle_rows)
        source = prefetch(batches(self.dataset, "train", config.batch_size, shuffle=shuffle, drop_remainder=True))
        window = _Window(self.dataset.fitted.schema_.id_names)
        try:
            for _ in range(self.step - epoch * self.steps_per_epoch):  # a resumed epoch: already trained on
                next(source)
            for _ in range(self.step, (epoch + 1) * self.steps_per_epoch):
                if self.should_stop():
                    self._save()
                    raise Cancelled(f"Stopped after {self.step:,} of {self.total_steps:,} steps; a checkpoint is kept.")
                waited = time.monotonic()
                batch = next(source)
                window.waited_s += time.monotonic() - waited
                window.add(self.train_step(batch.ids, batch.numbers, batch.labels), len(batch))
                self.step += 1
                if self.step % config.log_every_steps == 0 or self.step == (epoch + 1) * self.steps_per_epoch:
                    self._log_window(window, epoch)
                    window = _Window(self.dataset.fitted.schema_.id_names)
                self._report(epoch)
        finally:
            source.close()

    def _log_window(self, window: _Window, epoch: int) -> None:
        record = window.record()
        if not math.isfinite(record["loss"]):
            raise TrainingError(f"The loss is {record['loss']} at step {self.step:,}. {_LOWER_RATES}")
        self._record({"kind": "train", "epoch": epoch, "step": self.step, **record})

    def _evaluate(self, split: str) -> None:
        if not self.dataset.rows(split):
            return
        figures = evaluate_split(self.network, self.dataset, split).metrics()
        if not all(map(math.isfinite, figures.values())):
            raise TrainingError(
                f"The {split} log loss is {figures['log_loss']} after step {self.step:,}. {_LOWER_RATES}"
            )
        self._record({"kind": "evaluation", "split": split, "step": self.step, **figures})

    def _record(self, record: dict[str, Any]) -> None:
        self.log.write(record)
        self._learn(record)

    def _learn(self, record: dict[str, Any]) -> None:
        """Take a record's figures as the latest."""
        prefix = f"{record['split']}_" if "split" in record else ""
        self.metrics |= {f"{prefix}{name}": value for name, value in record.items() if isinstance(value, float)}

    def _save(self) -> None:
        weights = self.network.weights().values()
        if not all(bool(tf.reduce_all(tf.math.is_finite(variable))) for variable in weights):
            raise TrainingError(f"A weight is not a finite number after step {self.step:,}. {_LOWER_RATES}")
        save_checkpoint(self._checkpoints, self.optimizer.state(), self.step, self._train_s())

    def _train_s(self) -> float:
        return self.earlier_s + time.monotonic() - self.started

    def _report(self, epoch: int, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self.last_progress < _PROGRESS_INTERVAL_S:
            return
        self.last_progress = now
        done = self.step - self.first_step
        eta = (now - self.started) / done * (self.total_steps - self.step) if done else None
        rows = self.step * self.config.batch_size
        fraction = self.step / self.total_steps
        self.on_progress(Progress(epoch, self.step, self.total_steps, rows, fraction, eta, dict(self.metrics)))

    def _write_golden(self) -> None:
        """Rows with the training graph's scores, so that an exported scorer can be held against it."""
        split = next(name for name in ("test", "valid", "train") if self.dataset.rows(name))
        batch = next(iter(batches(self.dataset, split, _GOLDEN_ROWS)))
        columns = {
            "ids": pa.array(list(batch.ids), pa.list_(pa.int32())),
            "numbers": pa.array(list(batch.numbers), pa.list_(pa.float32())),
            "score": pa.array(sigmoid(self.network.logits(batch.ids, batch.numbers)).astype(np.float32)),
        }
        pq.write_table(pa.table(columns), self.out / "golden.parquet")

    def _write_receipt(self, seconds: float) -> None:
        rows = self.dataset.rows("train")
        receipt = Receipt(
            metrics=self.metrics,
            dataset_hash=self.dataset.hash,
            checkpoint=f"step-{self.step:08d}",
            steps=self.step,
            rows_left_out_per_epoch=rows - self.steps_per_epoch * self.config.batch_size,
            seed=self.config.seed,
            train_s=seconds,
            rows_per_s=self.metrics["rows_per_s"],
            versions={"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
            machine={"cpus": str(os.cpu_count()), "processor": platform.machine()},
            finished_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )
        write_file(self.out / RECEIPT, receipt.model_dump_json(indent=1))


def evaluate_split(network: Network, dataset: Dataset, split: str) -> Predictions:
    """Labels and logits of a split's rows."""
    predictions = Predictions()
    for batch in prefetch(batches(dataset, split, _EVALUATION_BATCH)):
        predictions.add(batch.labels, network.logits(batch.ids, batch.numbers))
    return predictions


class _Window:
    """Figures of the steps since the last record; tensors stay on the device until the record is made."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        self._fields = fields
        self._steps: list[tuple[tf.Tensor, tf.Tensor, tf.Tensor]] = []
        self._rows = 0
        self._started = time.monotonic()
        self.waited_s = 0.0

    def add(self, step: tuple[tf.Tensor, tf.Tensor, tf.Tensor], rows: int) -> None:
        self._steps.append(step)
        self._rows += rows

    def record(self) -> dict[str, Any]:
        """Mean loss, rows/s, share of time waiting for input, share of clipped among present rows, and per field."""
        columns = zip(*self._steps, strict=True)
        loss, present, clipped = (np.stack([np.asarray(part) for part in column]) for column in columns)
        seconds = max(time.monotonic() - self._started, 1e-9)
        shares = clipped.sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        return {
            "loss": float(loss.mean()),
            "rows_per_s": self._rows / seconds,
            "input_wait_share": self.waited_s / seconds,
            "clipped_share": float(clipped.sum() / max(float(present.sum()), 1.0)),
            "clipped_share_by_field": {name: float(share) for name, share in zip(self._fields, shares, strict=True)},
        }
