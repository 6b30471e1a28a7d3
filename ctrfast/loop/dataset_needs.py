"""What a run needs of the dataset: enough training rows, of both classes, and validation rows where figures decide."""

from __future__ import annotations

from ctrfast.config import TrainConfig
from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError, DataError


def check_dataset(dataset: Dataset, config: TrainConfig) -> None:
    """Refuse settings that a dataset cannot serve.

    Raises:
        ConfigError: the batch is larger than the training split; or a setting needs validation rows, or rows of both
            classes, which there are none of. The setting is named.
        DataError: all training rows have the same label.
    """
    rows = dataset.rows("train")
    if config.batch_size > rows:
        raise ConfigError(
            f"`batch_size` must be at most the training split's {rows:,} rows. Got batch_size={config.batch_size:,}.",
            path="batch_size",
        )
    rate = dataset.label_rate("train")
    if rate in (0.0, 1.0):
        raise DataError(
            f"The training split must hold rows with label 1 and with label 0. Got a label rate of {rate:g}. "
            "Check which column is the label.",
            path="dataset.label",
        )
    _check_validation(dataset, config)


def _check_validation(dataset: Dataset, config: TrainConfig) -> None:
    needs_auc = {
        "early_stop_patience": config.early_stop_patience is not None,
        "final_weights": config.final_weights == "best",
        "optimizer.lr_decay": config.optimizer.lr_decay == "plateau",
    }
    needs_rows = {"evaluate_every_steps": config.evaluate_every_steps is not None, **needs_auc}
    rows, label_rate = dataset.rows("valid"), dataset.label_rate("valid")
    remedy = "Prepare the dataset with a larger --valid-fraction, or leave the setting out."
    for path, is_set in needs_rows.items():
        name = path.rpartition(".")[2]
        if is_set and not rows:
            raise ConfigError(f"`{name}` needs a validation split. Got one without rows. {remedy}", path=path)
        if is_set and path in needs_auc and label_rate in (0.0, 1.0):
            got = f"Got a label rate of {label_rate:g} in {rows:,} rows"
            raise ConfigError(f"`{name}` needs clicks and others in the validation split. {got}. {remedy}", path=path)
