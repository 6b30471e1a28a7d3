"""A run folder: what training leaves behind. It counts as a run once `receipt.json`, written last, is there.

manifest.json                   written first: dataset hash, and the sha256 of the files in the next two lines
config.json  plan.json          settings, and what the scaling rule made of them
schema.json  vocabulary/        the encoder, so that raw impressions can be scored
checkpoints/step-*/             weights and moments, each with a manifest of its own
metrics.jsonl  tensorboard/     one record per line, as training went
golden.parquet                  encoded rows with the training graph's scores
receipt.json                    final metrics, versions, seed
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ctrfast.config import TrainConfig
from ctrfast.data.encode import Encoder
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import kind_of, new_folder, read_manifest, verify_files, write_file, write_manifest
from ctrfast.optim.scaling import Plan

RECEIPT = "receipt.json"
_KIND, _FORMAT = "run", 1


class Receipt(BaseModel):
    """What a finished run came to.

    metrics: final figures (`test_auc`, `valid_log_loss` ...).
    rows_left_out_per_epoch: too few for one more batch; others in each epoch.
    train_s: seconds from the start to the last checkpoint, with evaluation and compilation, over all parts of a run.
    rows_per_s: rows trained on by train_s.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metrics: dict[str, float]
    dataset_hash: str
    checkpoint: str = Field(pattern=r"^step-[0-9]+$")
    steps: int
    rows_left_out_per_epoch: int
    seed: int
    train_s: float
    rows_per_s: float
    versions: dict[str, str]
    machine: dict[str, str]
    finished_at: str


@dataclass(frozen=True)
class Run:
    """A finished run."""

    path: Path
    config: TrainConfig
    plan: Plan
    receipt: Receipt

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
        except (OSError, ValidationError) as error:
            raise ArtifactError(f"The files of the run {path} cannot be read. Train it again.") from error
        return cls(path, config, plan, receipt)

    @property
    def metrics(self) -> dict[str, float]:
        """Final figures: `test_auc`, `test_log_loss`, `valid_auc` ... as far as the splits had rows."""
        return dict(self.receipt.metrics)

    @property
    def checkpoint(self) -> Path:
        """The checkpoint with the final weights."""
        return self.path / "checkpoints" / self.receipt.checkpoint

    def encoder(self) -> Encoder:
        """The encoder that the run's dataset was made with."""
        return Encoder.load(self.path)


def start_run(out: Path, config: TrainConfig, plan: Plan, dataset: Dataset) -> None:
    """Make a run folder, or leave nothing.

    Raises:
        ConfigError: `out` exists and is not empty.
    """
    if kind_of(out) == _KIND and not (out / RECEIPT).is_file():
        raise ConfigError(f"The run {out} exists already and has not finished. Give --resume to go on with it.")
    with new_folder(out) as folder:
        dataset.encoder().save(folder)
        write_file(folder / "plan.json", plan.model_dump_json(indent=1))
        write_file(folder / "config.json", config.model_dump_json(indent=1))
        write_manifest(folder, {"kind": _KIND, "format": _FORMAT, "dataset": dataset.hash})
        (folder / "checkpoints").mkdir()


def check_same_run(out: Path, config: TrainConfig, dataset: Dataset) -> None:
    """Refuse to go on with a run that was started otherwise.

    Raises:
        ConfigError: it has finished.
        ArtifactError: it has another config or dataset, or its files were changed.
    """
    started, dataset_hash = open_started(out)
    if (out / RECEIPT).is_file():
        raise ConfigError(f"The run {out} has finished already. Choose another folder.")
    if started != config:
        raise ArtifactError(f"The run {out} was started with other settings. Give the same ones to resume it.")
    if dataset_hash != dataset.hash:
        raise ArtifactError(f"The run {out} was started with another dataset. Give the same one to resume it.")


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
