"""The settings of a training run: one frozen model for YAML files, the command line, REST and notebooks.

Values under `optimizer` hold **at the base batch size**; the scaling rule turns them into those of the run
(`ctrfast.optim.scaling`). `None` means "not set": the preset's published value, or the rule's own choice, applies.

    config = load_config(Path("train.yaml"), ["optimizer.lr_dense=0.001", "model.hidden=[400,400]"])
    config = parse_config({"batch_size": 8192, "model": {"name": "wide_deep"}})
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ctrfast.dotted import assign
from ctrfast.errors import ConfigError, unknown_name
from ctrfast.model_config import ModelConfig, check_model
from ctrfast.task_config import TASK_SETTINGS, TaskSettings, with_kind
from ctrfast.tower_config import TOWER_SETTINGS, TowerSettings, with_name
from ctrfast.yaml_text import parse_yaml, read_yaml

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Clip = Literal["none", "global", "field", "column", "adaptive_field", "adaptive_column"]
OptimizerName = Literal["adam", "lamb", "lars"]
LrDecay = Literal["constant", "cosine", "cooldown", "plateau"]
Update = Literal["dense", "sparse"]
# What settings mean that are not set.
BETA_1 = 0.9  # of Adam
CPU_MICRO_BATCH_ROWS = 8192  # their activations stay in the cache
ADAPTIVE_CLIPS = ("adaptive_field", "adaptive_column")
CONSTANT_CLIPS = ("global", "field", "column")
MOST_WORKERS = 1024
RULE_NAMES = ("none", "sqrt", "sqrt_star", "linear", "n2_lambda", "cowclip", "adaptive")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OptimizerConfig(_Settings):
    """The optimizer, at the base batch size.

    name: the rule that turns gradients into steps.
    lr_dense, lr_embed: learning rates of the dense weights and of the embedding table.
    l2: lambda of the penalty lambda * sum(w^2) over table rows and linear weights.
    clip: the gradient clip of table rows (`ctrfast.optim.clip`). clip_ratio, bound: c and beta of the adaptive clips'
    limit. clip_norm: the constant limit of the others.
    warmup_epochs: length of the dense rate's linear warm-up. embedding_init_std: of the embeddings' normal start.
    lr_decay: of both rates: none, half a cosine to 0 over the run, constant and over the run's second half linear to 0
    (`cooldown`), or x 0.1 where the validation AUC has not risen for `plateau_patience` evaluations.
    plateau_patience: so many evaluations without a rise. beta_1: Adam's, of the mean of the gradients.
    update: `dense` updates every row at each step, present in the batch or not; `sparse` only those in the batch, with
    their L2 and moments, which is different mathematics.
    """

    name: OptimizerName = "adam"
    lr_dense: Positive | None = None
    lr_embed: Positive | None = None
    l2: NotNegative | None = None
    clip: Clip | None = None
    clip_ratio: Positive | None = None
    bound: Positive | None = None
    clip_norm: Positive | None = None
    warmup_epochs: NotNegative | None = None
    embedding_init_std: NotNegative | None = None
    lr_decay: LrDecay | None = None
    plateau_patience: int | None = Field(default=None, ge=1)
    beta_1: float | None = Field(default=None, ge=0, lt=1)
    update: Update = "dense"


class ScalingConfig(_Settings):
    """rule: how settings grow with the batch. base_batch_size: rows; where `optimizer`'s values were tuned."""

    rule: str = "cowclip"
    base_batch_size: int | None = Field(default=None, ge=1)


class ClusterConfig(_Settings):
    """Several processes that train one run on a Ray cluster (`ctrfast.cluster`).

    workers: how many; each has the batch's share of rows. Not set: this process trains.
    gpus_per_worker: each with a share of the worker's rows. Not set: workers train on their CPUs.
    """

    workers: int | None = Field(default=None, ge=1, le=MOST_WORKERS)
    gpus_per_worker: int | None = Field(default=None, ge=1, le=64)


class TrainConfig(_Settings):
    """All settings of a run.

    batch_size: B, rows per optimizer step, over all replicas and workers.
    micro_batch_size: rows of one forward and backward pass on a replica; the step is that of the whole batch. Not set:
    the fastest for the device.
    replicas: devices that share each batch. Not set: all GPUs, or one CPU.
    precision: of the MLP's products, for GPUs; weights, moments and the update stay float32.
    epochs: passes over the training split.
    seed: of initial weights and shuffling; with the same data and machine it gives the same run.
    shuffle_rows: rows held in memory to shuffle; a split that fits is shuffled whole.
    log_every_steps: steps between two progress records.
    evaluate_every_steps: steps between two evaluations on the validation split, beside the one at each epoch's end.
    checkpoint_every_steps: steps between two checkpoints, beside those at each epoch's end and every ten minutes.
    early_stop_patience: end the run after so many evaluations without a rise of the validation AUC.
    final_weights: those of the last step, or of the evaluation with the highest validation AUC.
    """

    batch_size: int = Field(default=1024, ge=1, le=16_777_216)
    micro_batch_size: int | None = Field(default=None, ge=1)
    replicas: int | None = Field(default=None, ge=1, le=1024)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    epochs: int = Field(default=1, ge=1, le=10_000)
    seed: int = Field(default=1, ge=0, le=2**31 - 1)
    shuffle_rows: int = Field(default=2_000_000, ge=1)
    log_every_steps: int = Field(default=50, ge=1)
    evaluate_every_steps: int | None = Field(default=None, ge=1)
    checkpoint_every_steps: int | None = Field(default=None, ge=1)
    early_stop_patience: int | None = Field(default=None, ge=1)
    final_weights: Literal["last", "best"] = "last"
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    scaling: ScalingConfig = ScalingConfig()
    cluster: ClusterConfig = ClusterConfig()

    @property
    def shares(self) -> int:
        """Parts that each batch is cut into, as far as the settings say: replicas of all workers."""
        workers, gpus = self.cluster.workers or 1, self.cluster.gpus_per_worker or 1
        return (self.replicas or 1) * workers * gpus

    @property
    def clip(self) -> Clip:
        """The clip in force: the one set, or the scaling rule's own."""
        return self.optimizer.clip or ("adaptive_column" if self.scaling.rule == "cowclip" else "none")


def parse_config(values: Mapping[str, Any]) -> TrainConfig:
    """Build a config from nested values.

    Raises:
        ConfigError: a setting is unknown (near names are suggested) or breaks a rule; `path` names it.
    """
    _check_keys(values, TrainConfig, ())
    try:
        config = TrainConfig.model_validate(values)
    except ValidationError as error:
        raise _config_error(error) from error
    check_config(config)
    return config


def check_config(config: TrainConfig) -> None:
    """Refuse names that do not exist, and settings that have no effect beside the others or cannot hold together.

    Raises:
        ConfigError: `path` names the setting.
    """
    check_model(config.model)
    if config.scaling.rule not in RULE_NAMES:
        raise unknown_name("scaling rule", config.scaling.rule, RULE_NAMES, path="scaling.rule")
    _refuse_contradictions(config)


def _refuse_contradictions(config: TrainConfig) -> None:
    """Refuse settings that have no effect beside the others, or cannot hold together."""
    optimizer, clip = config.optimizer, config.clip
    is_adaptive, is_constant = clip in ADAPTIVE_CLIPS, clip in CONSTANT_CLIPS
    warmup = optimizer.warmup_epochs or 0.0
    cluster, shares = config.cluster, config.shares
    without = f"has no effect with clip {clip}"
    contradictions = (
        ("optimizer.clip_ratio", optimizer.clip_ratio is not None and not is_adaptive, without),
        ("optimizer.bound", optimizer.bound is not None and not is_adaptive, without),
        ("optimizer.clip_norm", optimizer.clip_norm is not None and not is_constant, without),
        ("optimizer.clip_norm", optimizer.clip_norm is None and is_constant, f"must be set with clip {clip}"),
        (
            "optimizer.plateau_patience",
            optimizer.plateau_patience is not None and optimizer.lr_decay != "plateau",
            f"has no effect unless `lr_decay` is plateau, here it is {optimizer.lr_decay or 'not set'}",
        ),
        (
            "optimizer.beta_1",
            optimizer.beta_1 is not None and optimizer.name != "adam",
            f"has no effect with {optimizer.name}",
        ),
        ("optimizer.warmup_epochs", warmup > config.epochs, f"must be at most the run's {config.epochs} epochs"),
        (
            "optimizer.update",
            optimizer.update == "sparse" and optimizer.name != "adam",
            f"has no meaning with {optimizer.name}, whose steps follow from the norm of the whole table",
        ),
        (
            "optimizer.update",
            optimizer.update == "sparse" and clip == "adaptive_field",
            "has no meaning with clip adaptive_field, whose limit follows from the norm of the whole field",
        ),
        (
            "replicas",
            config.replicas is not None and cluster.workers is not None,
            "has no place beside cluster.workers, whose devices cluster.gpus_per_worker sets",
        ),
        (
            "cluster.gpus_per_worker",
            cluster.gpus_per_worker is not None and cluster.workers is None,
            "has no effect without cluster.workers",
        ),
        ("replicas", config.batch_size % (config.replicas or 1) != 0, f"must divide batch_size={config.batch_size}"),
        (
            "cluster.workers",
            config.batch_size % shares != 0,
            f"must divide batch_size={config.batch_size}, with all their GPUs",
        ),
        (
            "micro_batch_size",
            (config.micro_batch_size or 1) * shares > config.batch_size,
            f"must be at most a replica's {config.batch_size // shares} rows",
        ),
    )
    for path, is_wrong, why in contradictions:
        if is_wrong:
            section, _, name = path.rpartition(".")
            value = getattr(getattr(config, section) if section else config, name)
            raise ConfigError(f"`{name}` {why}. Got {name}={value}.", path=path)


def load_config(
    file: Path | None, assignments: Sequence[str] = (), overrides: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Read YAML, then apply `overrides` (dotted name -> value; `None` is skipped), then `key=value` assignments.

    Raises:
        ConfigError: the file cannot be read, an assignment has no `=`, or a setting breaks a rule.
    """
    values = _read_settings(file) if file else {}
    for name, value in (overrides or {}).items():
        if value is not None:
            assign(values, name, value)
    for assignment in assignments:
        name, equals, text = (part.strip() for part in assignment.partition("="))
        if not (name and equals and text):
            raise ConfigError(f"A setting must read section.key=value. Got {assignment!r}.", path=name or None)
        assign(values, name, parse_yaml(text, f"The value of `{name}`"))
    return parse_config(values)


def _read_settings(file: Path) -> dict[str, Any]:
    values = read_yaml(file)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"The file {file} must hold settings by name. Got {type(values).__name__}.")
    return values


def _check_keys(values: Any, model: type[BaseModel], path: tuple[str, ...]) -> None:
    if not isinstance(values, Mapping):
        return
    for key, value in values.items():
        here = ".".join((*path, str(key)))
        field = model.model_fields.get(str(key))
        if field is None:
            raise unknown_name("setting", here, _dotted_names(TrainConfig), path=here)
        if field.annotation == TowerSettings:
            _check_choice_keys(with_name(value), here, "tower", "name", TOWER_SETTINGS)
            continue
        if field.annotation == TaskSettings | None:
            if value is not None:
                _check_choice_keys(with_kind(value), here, "heads", "kind", TASK_SETTINGS)
            continue
        if isinstance(value, bool):  # would be taken for 0 or 1
            raise ConfigError(f"`{here}` must not be true or false. Got {value!r}.", path=here)
        nested = _nested_model(field.annotation)
        if nested is not None:
            _check_keys(value, nested, (*path, str(key)))


def _check_choice_keys(
    given: Any, here: str, what: str, key_of_name: str, known: Mapping[str, type[BaseModel]]
) -> None:
    """Each tower, and each kind of heads, has settings of its own."""
    if not isinstance(given, Mapping):
        article = "a tower's" if what == "tower" else "the heads'"
        raise ConfigError(f"`{here}` must be {article} {key_of_name} or settings. Got {given!r}.", path=here)
    name = str(given[key_of_name])
    if name not in known:
        raise unknown_name(what, name, known, path=f"{here}.{key_of_name}")
    for key in given:
        if key not in known[name].model_fields:
            names = [f"{here}.{each}" for each in known[name].model_fields]
            raise unknown_name(f"setting of the {what} {name}", f"{here}.{key}", names, path=f"{here}.{key}")
    _check_keys(given, known[name], tuple(here.split(".")))


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)


def _dotted_names(model: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        nested = _nested_model(field.annotation)
        names += _dotted_names(nested, f"{prefix}{name}.") if nested else [f"{prefix}{name}"]
    return names


def _config_error(error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"]]
    if parts[0] == "model" and parts[1:2] in (["tower"], ["tasks"]) and len(parts) > 3:  # pydantic names which, too
        del parts[2]
    path = ".".join(parts)
    return ConfigError(f"`{path}` breaks a rule: {first['msg']}. Got {first['input']!r}.", path=path)
