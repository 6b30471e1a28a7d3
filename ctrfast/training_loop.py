"""The training loop: the parts that a run needs, put together, and the run's position among its steps.

    loop = TrainingLoop(dataset, config, out, False, (), None, None, ALONE)
    metrics = loop.run(on_progress, should_stop)
    loop.replicas.close()

`ctrfast.train` is the way in; each part is a file of its own, most of them in `ctrfast.loop`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tf_keras.callbacks import Callback

from ctrfast.bundle import GOLDEN
from ctrfast.checkpoint import Checkpoint, path_of, save_checkpoint
from ctrfast.config import TrainConfig, check_config
from ctrfast.data.shards import Dataset
from ctrfast.device_memory import device_memory
from ctrfast.errors import Cancelled
from ctrfast.feed import Feed
from ctrfast.kept_scores import keep_scores
from ctrfast.loop.callbacks import Callbacks, check_callbacks
from ctrfast.loop.dataset_needs import check_dataset
from ctrfast.loop.divergence import check_entropy, check_figures, check_loss, check_norms, check_output, check_weights
from ctrfast.loop.embedding_norms import embedding_norms
from ctrfast.loop.final_calibration import calibrate_run, picture_run
from ctrfast.loop.golden import write_golden
from ctrfast.loop.latest_figures import LatestFigures, figures_of
from ctrfast.loop.progress import Progress, ProgressMeter
from ctrfast.loop.run_log import RunLog, kept_records
from ctrfast.loop.split_evaluation import ScoredSplit, evaluate_split
from ctrfast.loop.step_window import StepWindow
from ctrfast.loop.validation_watch import PLATEAU_FACTOR, ValidationWatch
from ctrfast.machine_memory import available_memory
from ctrfast.memory import check_memory, estimate
from ctrfast.metrics import Predictions
from ctrfast.network import Network
from ctrfast.optim.scaling import make_plan
from ctrfast.optim.step_settings import StepSettings
from ctrfast.reference import REFERENCE, reference_of
from ctrfast.replicas import Replicas, check_replicas, choose_devices
from ctrfast.row_sums import row_sums_form
from ctrfast.run import CHECKPOINTS, EndedBy, Ending, Run, finish_run, run_seal, start_or_resume
from ctrfast.step import choose_execution
from ctrfast.teacher import Teacher
from ctrfast.warm_start import WarmStart
from ctrfast.workers import Workers

_CHECKPOINT_INTERVAL_S = 600  # at most so much work is lost, whatever the length of an epoch


class TrainingLoop:
    """One call of `ctrfast.train`: its parts, and the position in the run. Arguments and errors as there."""

    def __init__(
        self,
        dataset: Dataset,
        config: TrainConfig,
        out: Path,
        resume: bool,
        callbacks: Sequence[Callback],
        warm_start: Path | None,
        teacher: Teacher | None,
        workers: Workers,
    ) -> None:
        check_config(config)
        check_dataset(dataset, config)
        check_callbacks(callbacks)
        if teacher is not None:
            teacher.check(config)
        self.workers = workers
        devices = workers.devices() or choose_devices(config.replicas)
        replicas = workers.size * len(devices)
        check_replicas(config, replicas)
        gpu_bytes, rows = device_memory(devices), dataset.rows("train")
        on_gpu, taught_by = gpu_bytes is not None, teacher.model if teacher else None
        needs = estimate(dataset.fitted, config, train_rows=rows, replicas=replicas, on_gpu=on_gpu, teacher=taught_by)
        check_memory(needs.of_a_worker(), available_memory(), gpu_bytes)
        self.dataset, self.config, self.out = dataset, config, out
        self.plan = make_plan(config, dataset.fitted.schema_.name)
        self.steps_per_epoch = dataset.rows("train") // config.batch_size
        self.total_steps = self.steps_per_epoch * config.epochs
        start: WarmStart | Teacher | None = teacher
        if warm_start is not None:
            start = WarmStart(Run.open(warm_start), config, dataset.encoder())
        origin = start.origin if start else {}
        workers.from_chief(lambda: start_or_resume(out, resume, config, self.plan, dataset, origin))
        self.checkpoints, self.seal = out / CHECKPOINTS, run_seal(out)

        self.replicas = Replicas(
            self._make_network,
            [row for _, row in dataset.fitted.row_ranges],
            StepSettings.of(self.plan, self.steps_per_epoch, config.epochs),
            devices,
            batch_size=config.batch_size,
            execution=choose_execution(config.micro_batch_size),
            precision=config.precision,
            workers=workers,
            row_sums=workers.from_chief(lambda: row_sums_form(dataset, config, replicas)),
        )
        self.network = self.replicas.network
        room = gpu_bytes - needs.device_bytes if gpu_bytes is not None and replicas == 1 else None
        labels = teacher.labels if teacher else None
        self.feed = Feed(dataset, self.replicas, config, room_bytes=room, part=workers.part, labels=labels)
        self.callbacks = Callbacks(callbacks, self.network, epochs=config.epochs, steps_per_epoch=self.steps_per_epoch)
        checkpoint = self._latest_checkpoint()
        if start and checkpoint is None:
            self.replicas.restore(start.restore)
        self._take_up(checkpoint)
        self.scored: ScoredSplit | None = None

    def _make_network(self) -> Network:
        return Network(
            self.config.model,
            self.dataset.fitted,
            seed=self.config.seed,
            embedding_init_std=self.plan.embedding_init_std,
            negative_rate=self.dataset.negative_rate,
        )

    def _latest_checkpoint(self) -> Checkpoint | None:
        if self.workers.size == 1:
            return Checkpoint.latest(self.checkpoints, self.seal)

        def look() -> int | None:
            latest = Checkpoint.latest(self.checkpoints, self.seal)
            return None if latest is None else latest.step

        step = self.workers.from_chief(look)
        return None if step is None else Checkpoint.open(path_of(self.checkpoints, step), self.seal)

    def _take_up(self, checkpoint: Checkpoint | None) -> None:
        """Stand where a checkpoint was saved, or at the start."""
        if checkpoint is not None:
            self.replicas.restore(checkpoint.restore)
        self.step = checkpoint.step if checkpoint else 0
        self.window = self._new_window(checkpoint)
        self.watch = ValidationWatch(self.config, self.steps_per_epoch)
        self.latest = LatestFigures()
        self.kept = self.workers.from_chief(lambda: kept_records(self.out, self.step))
        for record in self.kept:
            self.latest.take(record)
            if record.get("split") == "valid":
                self.watch.see(record)
        if self._best_step not in (None, self.step):  # now, not at the end of the run, when it would be too late
            self._best_checkpoint()
        self.earlier_s = checkpoint.train_s if checkpoint else 0.0
        self.started = self.saved = time.monotonic()

    def run(self, on_progress: Callable[[Progress], None], should_stop: Callable[[], bool]) -> dict[str, float]:
        """Train to the end and finish the run folder. Returns the final figures; the rest as in `ctrfast.train`."""
        self.should_stop = should_stop
        self.progress = ProgressMeter(
            on_progress,
            first_step=self.step,
            total_steps=self.total_steps,
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.config.batch_size,
        )
        with RunLog(self.out, self.kept) if self.workers.is_chief else nullcontext() as self.log:
            self.callbacks.train_begins()
            for epoch in range(self.step // self.steps_per_epoch, self.config.epochs):
                if self._ended_by() != "epochs":
                    break
                self._epoch(epoch)
            self.callbacks.train_ends(self.latest.metrics)
            ended_by: EndedBy = "epochs" if self.step == self.total_steps else self._ended_by()
            train_s = self._train_s()
            self.latest.metrics["rows_per_s"] = self.step * self.config.batch_size / train_s
            final_step = self._take_final_weights()
            self._calibrate(final_step)
            self._evaluate("test", final_step)
            self.progress.total_steps = self.step
            self._tell(force=True)
        self.workers.from_chief(lambda: self._finish(final_step, ended_by, train_s))
        return self.latest.metrics

    def _finish(self, final_step: int, ended_by: EndedBy, train_s: float) -> None:
        """Write what a run has beside its checkpoints and records."""
        test_scores = None
        if self.scored is not None:
            picture_run(self.out, self.scored.predictions, self.calibration, self.scored.split)
            if self.scored.split == "test":
                test_scores = keep_scores(self.out, self.scored.predictions)
        write_golden(self.out / GOLDEN, self.network, self.dataset)
        reference_of(self.dataset).save(self.out / REFERENCE)
        checkpoint = path_of(self.checkpoints, final_step)
        ending = Ending(self.latest.metrics, checkpoint, self.step, ended_by, train_s, test_scores)
        finish_run(self.out, self.dataset, self.config, ending)

    def _epoch(self, epoch: int) -> None:
        """The steps of an epoch that are still to do, and all that falls due on the way."""
        config = self.config
        done = self.step - epoch * self.steps_per_epoch  # a resumed epoch: already trained on
        source = self.feed.epoch(epoch, skip=done)
        self.callbacks.epoch_begins(epoch)
        try:
            for index in range(done, self.steps_per_epoch):
                is_overdue = time.monotonic() - self.saved > _CHECKPOINT_INTERVAL_S
                must_stop, is_overdue = self.replicas.agreed(self.should_stop(), is_overdue)
                if must_stop:
                    self._save()
                    raise Cancelled(f"Stopped after {self.step:,} of {self.total_steps:,} steps; a checkpoint is kept.")
                if self.callbacks.want_batches:
                    self.callbacks.batch_begins(index)
                waiting = time.monotonic()
                take_step = next(source)
                waited_s = time.monotonic() - waiting
                figures = take_step()
                self.window.add(figures, rows=config.batch_size, waited_s=waited_s)
                self.step += 1
                if self.callbacks.want_batches:
                    self.replicas.settle()
                    self.callbacks.batch_ends(index, figures[0])

                is_last = index == self.steps_per_epoch - 1 or self.callbacks.has_stopped
                if is_last or self._is_due(config.log_every_steps):
                    self._log_window(epoch)
                is_best = (is_last or self._is_due(config.evaluate_every_steps)) and self._validate()
                if is_last or self._ended_by() != "epochs":
                    break
                if is_best or is_overdue or self._is_due(config.checkpoint_every_steps):
                    self._save()
                self._tell()
        finally:
            source.close()
        self._log_window(epoch)
        self.replicas.settle()
        self.callbacks.epoch_ends(epoch, self.latest.metrics)
        self._save()

    def _is_due(self, every: int | None) -> bool:
        return every is not None and self.step % every == 0

    def _ended_by(self) -> EndedBy:
        """Why the run is at its end; `epochs` while it is not."""
        if self.watch.has_ended:
            return "early_stop"
        return "callback" if self.callbacks.has_stopped else "epochs"

    def _new_window(self, checkpoint: Checkpoint | None = None) -> StepWindow:
        earlier = checkpoint.tensors(StepWindow.NAMES) if checkpoint else None
        return StepWindow(tuple(name for name, _ in self.dataset.fitted.row_ranges), earlier)

    def _log_window(self, epoch: int) -> None:
        if not len(self.window):
            return
        record = self.window.record() | self.replicas.expert_figures()
        check_loss(record["loss"], self.step)
        if self.step % self.steps_per_epoch == 0 and not self.dataset.rows("valid"):
            record |= self.workers.from_chief(self._embedding_norms)
        self._record({"kind": "train", "epoch": epoch, "step": self.step, **record})
        self.window = self._new_window()

    def _validate(self) -> bool:
        """Evaluate on the validation split and act on it; whether these weights are to be kept as the best."""
        record = self._evaluate("valid", self.step)
        if record is None:
            return False
        self.watch.see(record)
        self.watch.refuse_chance()
        if self.watch.wants_lower_rates:
            self.replicas.reduce_rate(PLATEAU_FACTOR)
        return self._best_step == self.step

    def _evaluate(self, split: str, step: int) -> dict[str, Any] | None:
        """Figures of the weights of a step."""
        if not self.dataset.rows(split):
            return None
        self.replicas.settle()
        predictions = evaluate_split(self.network, self.dataset, split, self.workers)
        self.scored = ScoredSplit(split, step, predictions)
        figures = self.workers.from_chief(lambda: self._figures(split, step, predictions))
        record = {"kind": "evaluation", "split": split, "step": step, **figures}
        self._record(record)
        check_entropy(split, figures, step)  # what it came to stays on record
        return record

    def _figures(self, split: str, step: int, predictions: Predictions) -> dict[str, Any]:
        figures: dict[str, Any] = predictions.metrics()
        if split == "test":
            figures |= self.calibration.metrics(predictions)
        check_figures(split, figures, step)
        for task, logits in predictions.logit_ranges().items():
            check_output(f"{split}, {task}" if task else split, *logits, rows=self.dataset.rows(split), step=step)
        return figures | self._embedding_norms() if split == "valid" else figures

    def _embedding_norms(self) -> dict[str, dict[str, float]]:
        """Logged where the table is up to date anyway: with a validation, or at the end of an epoch without one."""
        self.replicas.settle()
        norms = embedding_norms(self.network.table, self.dataset.fitted)
        check_norms(norms.values(), self.step)
        return {"embedding_norm_by_field": norms}

    def _calibrate(self, final_step: int) -> None:
        """Fit the final weights' calibration; most runs have scored the validation split with those just now."""
        last = self.scored
        if last is None or (last.split, last.step) != ("valid", final_step):
            self.replicas.settle()
            last = ScoredSplit("valid", final_step, evaluate_split(self.network, self.dataset, "valid", self.workers))
        if self.workers.is_chief:
            self.calibration = calibrate_run(self.out, self.dataset, last.predictions, self.config.seed)
        self.scored = last if self.dataset.rows("valid") else None

    def _record(self, record: dict[str, Any]) -> None:
        if self.log is not None:
            self.log.write({**record, "train_s": self._train_s()})
        self.latest.take(record)
        self.progress.note(self.step, *figures_of(record))

    @property
    def _best_step(self) -> int | None:
        """Step of the checkpoint with the best weights, where the run ends with those and has evaluated."""
        return self.watch.best_step if self.config.final_weights == "best" else None

    def _save(self) -> None:
        """Write a checkpoint, and tell what was measured so far: who goes on from there does not measure it again."""
        self.workers.from_chief(self._write_checkpoint)
        self.saved = time.monotonic()
        self._tell(force=True)

    def _write_checkpoint(self) -> None:
        state = {**self.replicas.state(), **self.window.tensors()}
        check_weights((state[name] for name in self.network.weights()), self.step)
        if self.log is not None:
            self.log.sync()
        save_checkpoint(
            self.checkpoints, state, run=self.seal, step=self.step, train_s=self._train_s(), best=self._best_step
        )

    def _best_checkpoint(self) -> Checkpoint | None:
        step = self._best_step
        return Checkpoint.open(path_of(self.checkpoints, step), self.seal) if step is not None else None

    def _take_final_weights(self) -> int:
        """The step of the weights that the run ends with, once they and their figures are taken."""
        best = self._best_checkpoint()
        if best is None or self.watch.best is None:
            return self.step
        best.restore(self.network.weights())
        self.latest.take(self.watch.best)
        return best.step

    def _tell(self, *, force: bool = False) -> None:
        self.progress.tell(self.step, self.latest.metrics, self.latest.by_field, force=force)

    def _train_s(self) -> float:
        return self.earlier_s + time.monotonic() - self.started
