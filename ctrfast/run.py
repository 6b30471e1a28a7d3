"""A run folder: what training leaves behind. It counts as a run once `receipt.json`, written last, is there.

manifest.json                   written first: dataset hash, the share of negatives that it kept, and the sha256 of the
                                files in the next two lines
config.json  plan.json          settings, and what the scaling rule made of them
schema.json  vocabulary/        the encoder, so that raw impressions can be scored
checkpoints/step-*/             weights and moments, each with a manifest of its own
metrics.jsonl  tensorboard/     one record per line, as training went
calibration.json                of the final weights, fitted on the validation split (`ctrfast.calibration`)
report/reliability.png          predicted and seen click rates, before and after calibration
golden.parquet                  encoded rows with the training graph's scores
reference.json                  the training rows by field (`ctrfast.reference`); runs before it came have none
test_scores.parquet             the test rows' labels and logits (`ctrfast.kept_scores`), where there are such rows
receipt.json                    final metrics, versions, seed
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ctrfast.calibration import Calibration
from ctrfast.config import TrainConfig
from ctrfast.data.encode import Encoder
from ctrfast.data.shards import Dataset
from ctrfast.dotted import flat_settings
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import (
    kind_of,
    new_folder,
    read_manifest,
    refuse_existing,
    remove_partials,
    verify_files,
    write_file,
    write_manifest,
)
from ctrfast.optim.scaling import Plan

RECEIPT = "receipt.json"
CHECKPOINTS = "checkpoints"
RECORDS = "metrics.jsonl"
RELIABILITY = "report/reliability.png"
EndedBy = Literal["epochs", "early_stop", "callback"]
_KIND, _FORMAT = "run", 1
_PACKAGES = ("ctrfast", "tensorflow", "tf-keras", "numpy", "pyarrow")


class Receipt(BaseModel):
    """What a finished run came to.

    metrics: final figures (`test_auc`, `valid_log_loss` ...); those of `test` and `valid` belong to the final weights.
    checkpoint: the one with the final weights. steps: optimizer steps taken.
    ended_by: all epochs done, the validation AUC no longer rising, or a Keras callback.
    rows_left_out_per_epoch: too few for one more batch; others in each epoch.
    train_s: seconds from the start to the last checkpoint, with evaluation and compilation, over all parts of a run.
    rows_per_s: rows trained on by train_s.
    test_scores: sha256 of the file; None without test rows, and in runs older than it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metrics: dict[str, float]
    dataset_hash: str
    checkpoint: str = Field(pattern=r"^step-[0-9]+$")
    steps: int
    ended_by: EndedBy = "epochs"
    rows_left_out_per_epoch: int
    seed: int
    train_s: float
    rows_per_s: float
    versions: dict[str, str]
    machine: dict[str, str]
    finished_at: str
    test_scores: str | None = None


@dataclass(frozen=True)
class Ending:
    """How a run came to its end, as its `Receipt` says it; checkpoint: the folder."""

    metrics: Mapping[str, float]
    checkpoint: Path
    steps: int
    ended_by: EndedBy
    train_s: float
    test_scores: str | None = None


@dataclass(frozen=True)
class Run:
    """A finished run. negative_rate: of its dataset; 1 in runs older than the setting."""

    path: Path
    config: TrainConfig
    plan: Plan
    receipt: Receipt
    negative_rate: float

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open a finished run.

        Raises:
            ArtifactError: there is no run, it has not finished, or its files were changed.
        """
        config, _ = open_started(path)
        if not (path / RECEIPT).is_file():
            raise ArtifactError(f"The run {path} has not finished. Go on with `ctrfast train ... --resume`.")
        try:
            plan = Plan.model_validate_json((path / "plan.json").read_text(encoding="utf-8"))
            receipt = Receipt.model_validate_json((path / RECEIPT).read_text(encoding="utf-8"))
            negative_rate = float(read_manifest(path, _KIND).get("negative_rate", 1.0))
            if not 0 < negative_rate <= 1:
                raise ValueError(f"negative_rate={negative_rate}")
        except (OSError, TypeError, ValueError) as error:  # pydantic's error is a ValueError
            raise ArtifactError(f"The files of the run {path} cannot be read. Train it again.") from error
        return cls(path, config, plan, receipt, negative_rate)

    @property
    def metrics(self) -> dict[str, float]:
        """Final figures: `test_auc`, `test_log_loss`, `valid_auc` ... as far as the splits had rows."""
        return dict(self.receipt.metrics)

    @property
    def checkpoint(self) -> Path:
        """The checkpoint with the final weights."""
        return self.path / CHECKPOINTS / self.receipt.checkpoint

    @property
    def seal(self) -> str:
        """What the run's checkpoints carry."""
        return run_seal(self.path)

    def calibration(self) -> Calibration:
        """The calibration of the final weights. Raises ArtifactError where its file cannot be used."""
        return Calibration.load(self.path)

    def encoder(self) -> Encoder:
        """The encoder that the run's dataset was made with."""
        return Encoder.load(self.path)


def refuse_taken_run(out: Path, *, resume: bool = False) -> None:
    """Refuse a folder in which no run can be started, or gone on with.

    Raises:
        ConfigError: with `resume`, its run has finished; without, it is there and not empty.
    """
    is_run, has_finished = kind_of(out) == _KIND, (out / RECEIPT).is_file()
    if resume:
        if is_run and has_finished:
            raise ConfigError(f"The run {out} has finished already. Choose another folder.")
        return
    if is_run and not has_finished:
        raise ConfigError(f"The run {out} exists already and has not finished. Give --resume to go on with it.")
    refuse_existing(out)


def start_run(
    out: Path, config: TrainConfig, plan: Plan, dataset: Dataset, origin: Mapping[str, str] | None = None
) -> None:
    """Make a run folder, or leave nothing.

    Args:
        out: the folder.
        config: settings.
        plan: what the scaling rule made of them.
        dataset: what it trains on.
        origin: `warm_start`, seal of the run that the first weights come from; `soft_labels`, the share of that run's
            probabilities in the labels.

    Raises:
        ConfigError: `out` exists and is not empty.
    """
    refuse_taken_run(out)
    with new_folder(out) as folder:
        dataset.encoder().save(folder)
        write_file(folder / "plan.json", plan.model_dump_json(indent=1))
        write_file(folder / "config.json", config.model_dump_json(indent=1))
        content = {"kind": _KIND, "format": _FORMAT, "dataset": dataset.hash, "negative_rate": dataset.negative_rate}
        write_manifest(folder, content | dict(origin or {}))
        (folder / CHECKPOINTS).mkdir()


def finish_run(out: Path, dataset: Dataset, config: TrainConfig, ending: Ending) -> None:
    """Write the receipt, with which the folder counts as a run."""
    receipt = Receipt(
        metrics=dict(ending.metrics),
        dataset_hash=dataset.hash,
        checkpoint=ending.checkpoint.name,
        steps=ending.steps,
        ended_by=ending.ended_by,
        rows_left_out_per_epoch=dataset.rows("train") % config.batch_size,
        seed=config.seed,
        train_s=ending.train_s,
        rows_per_s=ending.metrics["rows_per_s"],
        versions=versions_now(),
        machine=machine_now(),
        finished_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        test_scores=ending.test_scores,
    )
    write_file(out / RECEIPT, receipt.model_dump_json(indent=1))


def versions_now() -> dict[str, str]:
    """Versions of what a run's figures depend on, as a receipt has them."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def machine_now() -> dict[str, str]:
    """The machine, as a receipt has it."""
    return {"cpus": str(os.cpu_count()), "processor": platform.machine()}


def check_same_run(out: Path, config: TrainConfig, dataset: Dataset, origin: Mapping[str, str] | None = None) -> None:
    """Refuse to go on with a run that was started otherwise; arguments as in `start_run`.

    Raises:
        ConfigError: it has finished.
        ArtifactError: it has another config or dataset, or its files were changed.
    """
    started, dataset_hash = open_started(out)
    refuse_taken_run(out, resume=True)
    if started != config:
        was, now = (flat_settings(settings.model_dump()) for settings in (started, config))
        changed = {name: value for name, value in was.items() if value != now.get(name)}
        differing = {name: f"{name}={value} (now {now.get(name)})" for name, value in changed.items()}
        raise ArtifactError(
            f"The run {out} was started with other settings: {', '.join(differing.values())}. "
            "Give the same ones to resume it.",
            path=next(iter(differing)),
        )
    if dataset_hash != dataset.hash:
        raise ArtifactError(f"The run {out} was started with another dataset. Give the same one to resume it.")
    if origin_of(out) != dict(origin or {}):
        raise ArtifactError(
            f"The run {out} was started with other first weights or labels. Give the same `warm_start` to resume it.",
            path="warm_start",
        )


def start_or_resume(
    out: Path, resume: bool, config: TrainConfig, plan: Plan, dataset: Dataset, origin: Mapping[str, str]
) -> None:
    """Make a run's folder, or make one that goes on ready; arguments and errors as in `start_run`, `check_same_run`."""
    if resume and out.is_dir() and any(out.iterdir()):
        check_same_run(out, config, dataset, origin)
        remove_partials(out)
    else:
        start_run(out, config, plan, dataset, origin)


def origin_of(path: Path) -> dict[str, str]:
    """Where a run's first weights and labels come from, as `start_run` was told.

    Raises:
        ArtifactError: there is no run, or its manifest was edited.
    """
    manifest = read_manifest(path, _KIND)
    return {name: str(manifest[name]) for name in ("warm_start", "soft_labels") if name in manifest}


def run_seal(path: Path) -> str:
    """The seal of a run's manifest: it stands for settings, seed, vocabulary and dataset.

    Raises:
        ArtifactError: there is no run, or its manifest was edited.
    """
    return str(read_manifest(path, _KIND)["seal"])


def open_started(path: Path) -> tuple[TrainConfig, str]:
    """Config and dataset hash of a run, finished or not.

    Raises:
        ArtifactError: there is no run, or the files that it started with were changed.
    """
    manifest = read_manifest(path, _KIND)
    verify_files(path, manifest)
    try:
        config = TrainConfig.model_validate_json((path / "config.json").read_text(encoding="utf-8"))
        return config, str(manifest["dataset"])
    except (OSError, KeyError, ValidationError) as error:
        raise ArtifactError(f"The files of the run {path} cannot be read. Train it again.") from error
