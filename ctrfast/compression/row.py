"""A form of a run, and what it came to: a line of the table."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ctrfast.compression.settings import Kind
from ctrfast.packing import Precision

RESULTS = "results.parquet"


class CompressedRow(BaseModel):
    """A form of a run.

    kind: of which of the two grids. run: the run's folder, below that of the comparison. key: its seal. settings: what
    the grid sets, but for the seed. network: its name. hidden, kept: widths trained, and left. epochs: trained at most.
    precision, prune: the form. train_s: seconds of the training, with evaluations and compilation. auc, log_loss: of
    the test split; calibrated_log_loss: with the calibration that the form would be published with, fitted on the
    validation split. weights: outside the table, after pruning. model_bytes: weights and graph. row_latency_us,
    thousand_rows_ms: median of one call on one thread, encoded rows to scores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    run: str
    key: str
    settings: str
    network: str
    hidden: str
    kept: str
    epochs: int
    seed: int
    precision: Precision
    prune: float | None
    train_s: float
    auc: float | None
    log_loss: float
    calibrated_log_loss: float
    weights: int
    model_bytes: int
    row_latency_us: float
    thousand_rows_ms: float
