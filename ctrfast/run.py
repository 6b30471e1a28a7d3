"""A run folder: what training leaves behind. It counts as a run once `receipt.json`, written last, is there.

config.json  plan.json          settings, and what the scaling rule made of them
schema.json  vocabulary/        the encoder, so that raw impressions can be scored
checkpoints/step-*/             weights and moments
metrics.jsonl  tensorboard/     one record per line, as training went
golden.parquet                  encoded rows with the training graph's scores
receipt.json                    final metrics, versions, seed, dataset hash
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctrfast.config import TrainConfig, parse_config
from ctrfast.data.encode import Encoder
from ctrfast.errors import ArtifactError
from ctrfast.optim.scaling import Plan

RECEIPT = "receipt.json"


@dataclass(frozen=True)
class Run:
    """A finished run. receipt: `metrics`, `dataset`, `checkpoint`, `versions`, `rows_per_s` and more."""

    path: Path
    config: TrainConfig
    plan: Plan
    receipt: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open a finished run.

        Raises:
            ArtifactError: there is no run, it has not finished, or its files cannot be read.
        """
        if not path.is_dir():
            raise ArtifactError(f"There is no run at {path}.")
        if not (path / RECEIPT).is_file():
            if (path / "config.json").is_file():
                raise ArtifactError(f"The run {path} has not finished. Go on with `ctrfast train ... --resume`.")
            raise ArtifactError(f"{path} is not a run: it has no {RECEIPT}.")
        try:
            receipt = json.loads((path / RECEIPT).read_text(encoding="utf-8"))
            config = parse_config(json.loads((path / "config.json").read_text(encoding="utf-8")))
            plan = Plan.model_validate_json((path / "plan.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"The files of the run {path} cannot be read. Train it again.") from error
        return cls(path, config, plan, receipt)

    @property
    def metrics(self) -> dict[str, float]:
        """Final figures: `test_auc`, `test_log_loss`, `valid_auc` ... as far as the splits had rows."""
        return dict(self.receipt["metrics"])

    @property
    def checkpoint(self) -> Path:
        """The checkpoint with the final weights."""
        return self.path / "checkpoints" / str(self.receipt["checkpoint"])

    def encoder(self) -> Encoder:
        """The encoder that the run's dataset was made with."""
        return Encoder.load(self.path)
