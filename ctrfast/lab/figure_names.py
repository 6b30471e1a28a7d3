"""What a column of figures is called in a picture, and its unit."""

from __future__ import annotations

_SPLITS = {"train": "training", "valid": "validation", "test": "test"}
_NAMES = {
    "auc": ("AUC", ""),
    "pr_auc": ("PR-AUC", ""),
    "log_loss": ("log loss", "nats"),
    "loss": ("training loss", "nats"),
    "ece": ("expected calibration error", ""),
    "calibrated_log_loss": ("calibrated log loss", "nats"),
    "seconds": ("training time", "s"),
    "train_s": ("training time", "s"),
    "epoch_s": ("time per epoch", "s"),
    "rows_per_s": ("throughput", "rows/s"),
    "clipped_share": ("clipped share of the rows present", "0 to 1"),
    "embedding_norm": ("embedding norm", "root mean square over rows"),
}


def name_of(column: str, *, with_unit: bool = False) -> str:
    """`test_log_loss` -> `test log loss`, or `test log loss (nats)`; a column that is not known keeps its words."""
    split, _, rest = column.partition("_")
    of, figure = (f"{_SPLITS[split]} ", rest) if split in _SPLITS and column not in _NAMES else ("", column)
    name, unit = _NAMES.get(figure, (figure.replace("_", " "), ""))
    return f"{of}{name} ({unit})" if with_unit and unit else f"{of}{name}"
