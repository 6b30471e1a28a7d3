"""What a run needs of the dataset: enough training rows, of both classes, and validation rows where figures decide.

A network gives as many probabilities as the dataset has labels, so the labels must fit the network's heads; and one of
pairs of fields needs two.
"""

from __future__ import annotations

from collections.abc import Sequence

from ctrfast.config import TrainConfig
from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError, DataError
from ctrfast.model_config import MODEL_OPTIONS, ModelConfig
from ctrfast.task_config import TASK_SETTINGS

OF_PAIRS = ("afm", "deep_fwfm", "dlrm", "fibinet", "fwfm", "pnn")  # of which a single vector makes none


def check_dataset(dataset: Dataset, config: TrainConfig) -> None:
    """Refuse settings that a dataset cannot serve.

    Raises:
        ConfigError: the labels or fields do not fit the network; or the batch is larger than the training split; or a
            setting needs validation rows, or rows of both classes, which there are none of. The setting is named.
        DataError: all training rows have the same label, or of one label all that are known.
    """
    schema = dataset.fitted.schema_
    check_labels(config.model, schema.labels)
    check_fields(config.model, schema.id_names, schema.numeric_names)
    rows = dataset.rows("train")
    if config.batch_size > rows:
        raise ConfigError(
            f"`batch_size` must be at most the training split's {rows:,} rows. Got batch_size={config.batch_size:,}. "
            "Choose a smaller one.",
            path="batch_size",
        )
    rates = dataset.label_rates("train")
    for name, rate in rates.items():
        if rate in (0.0, 1.0):
            label = name if len(rates) > 1 else "label"
            raise DataError(
                f"The training split must hold rows with {label} 1 and with {label} 0. Got a label rate of {rate:g}. "
                "Check which column is the label.",
                path="dataset.label",
            )
    _check_validation(dataset, config)


def check_labels(model: ModelConfig, labels: Sequence[str]) -> None:
    """Refuse a network that does not give as many probabilities as a dataset has labels.

    Raises:
        ConfigError: `path` names the setting.
    """
    if len(labels) == 1 and model.tasks is not None:
        problem = f"`tasks` has no place beside a dataset of one label, {labels[0]}. Got tasks={model.tasks.kind}."
        raise ConfigError(f"{problem} Leave it out, or prepare a dataset of several.", path="model.tasks")
    if len(labels) > 1 and "tasks" not in MODEL_OPTIONS.get(model.name, ("tasks",)):
        having = ", ".join(name for name, options in MODEL_OPTIONS.items() if "tasks" in options)
        problem = f"The model {model.name} has one logit, and the dataset {len(labels)} labels: {', '.join(labels)}."
        raise ConfigError(f"{problem} Choose one of {having}, with `tasks`.", path="model.name")
    if len(labels) > 1 and model.tasks is None:
        problem = f"`tasks` must be set for a dataset of {len(labels)} labels: {', '.join(labels)}. Got none."
        raise ConfigError(f"{problem} Set it to one of {', '.join(TASK_SETTINGS)}.", path="model.tasks")


def check_fields(model: ModelConfig, id_names: Sequence[str], numeric_names: Sequence[str]) -> None:
    """Refuse a network of pairs of vectors for a dataset that has one.

    Raises:
        ConfigError: `path` names the setting.
    """
    of_numbers = int(model.name == "dlrm" and len(numeric_names) > 0)  # its bottom MLP makes one vector of them
    has_squares = model.variant == "outer"  # pnn's outer products are of a field with itself too
    if model.name in OF_PAIRS and not has_squares and len(id_names) + of_numbers < 2:
        problem = f"The model {model.name} is of pairs of id fields. Got a dataset of one, {', '.join(id_names)}."
        raise ConfigError(f"{problem} Choose another, such as wide_deep or dcn_v2.", path="model.name")


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
