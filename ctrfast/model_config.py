"""The settings of the network: which one, how wide, and what each has beside what all have.

    model: {name: dcn_v2, embedding_dim: 16, hidden: [400, 400], cross_layers: 4}

`None` means "not set": the network's own default, named below, applies.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ctrfast.errors import ConfigError, unknown_name
from ctrfast.task_config import TaskSettings, Width, check_heads, with_kind
from ctrfast.tower_config import PLAIN, TowerSettings, check_tower, with_name

# Each network, and the settings that it has beside those of all networks.
MODEL_OPTIONS: dict[str, tuple[str, ...]] = {
    "afm": ("interaction_width",),
    "autoint": ("hidden", "tower", "tasks", "cross_layers", "interaction_width", "heads"),
    "dcn": ("hidden", "tower", "tasks", "cross_layers"),
    "dcn_mix": ("hidden", "tower", "tasks", "cross_layers", "low_rank", "experts"),
    "dcn_v2": ("hidden", "tower", "tasks", "cross_layers", "low_rank"),
    "deep_fwfm": ("hidden", "tower", "tasks"),
    "deepfm": ("hidden", "tower", "tasks"),
    "dlrm": ("hidden", "tower", "tasks", "interaction_width"),
    "eulernet": ("cross_layers", "interaction_width"),
    "fcn": ("cross_layers",),
    "fibinet": ("hidden", "tower", "tasks", "variant"),
    "final_mlp": ("hidden", "tower", "heads"),
    "fm": (),
    "fwfm": (),
    "gdcn": ("hidden", "tower", "tasks", "cross_layers"),
    "lr": (),
    "masknet": ("hidden", "tower", "tasks", "cross_layers", "interaction_width", "variant"),
    "nfm": ("hidden", "tower", "tasks"),
    "pnn": ("hidden", "tower", "tasks", "variant"),
    "wide_deep": ("hidden", "tower", "tasks"),
    "xdeepfm": ("hidden", "tower", "tasks", "cross_layers", "interaction_width"),
}
# The first one is meant where none is set.
MODEL_VARIANTS: dict[str, tuple[str, ...]] = {
    "fibinet": ("interaction", "each", "all"),
    "masknet": ("serial", "parallel"),
    "pnn": ("inner", "outer"),
}
MODEL_NAMES = tuple(MODEL_OPTIONS)
# What settings mean that are not set.
CROSS_LAYERS, EXPERTS, EXPERT_RANK, HEADS = 3, 4, 32, 2
ATTENTION_WIDTH, BOTTOM_WIDTH, CIN_WIDTH, MASK_WIDTH, ORDER_VECTORS = 32, 64, 32, 64, 8  # interaction_width


class ModelConfig(BaseModel):
    """The network.

    embedding_dim: D, width of an id's vector. hidden: widths of the deep part's layers, where there is one.
    tower: what they make up (`ctrfast.tower_config`). tasks: heads for a dataset of several labels
    (`ctrfast.task_config`).
    The others belong to some networks only (`MODEL_OPTIONS`). cross_layers: how many layers of interactions.
    low_rank, experts: of the crosses; `low_rank` not set means a full matrix in dcn_v2. interaction_width: of the
    vectors within the interactions: attention, feature maps, mask blocks, order vectors, dlrm's bottom MLP.
    heads: into how many parts these (autoint), or what the MLPs put out (final_mlp), are cut. variant: which form
    (`MODEL_VARIANTS`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "deepfm"
    embedding_dim: int = Field(default=10, ge=1, le=1024)
    hidden: tuple[Width, ...] = Field(default=(400, 400, 400), max_length=32)
    cross_layers: int | None = Field(default=None, ge=1, le=32)
    low_rank: int | None = Field(default=None, ge=1, le=65536)
    experts: int | None = Field(default=None, ge=1, le=256)
    interaction_width: int | None = Field(default=None, ge=1, le=65536)
    heads: int | None = Field(default=None, ge=1, le=256)
    variant: str | None = None
    tower: TowerSettings = Field(default=PLAIN, discriminator="name")
    tasks: TaskSettings | None = Field(default=None, discriminator="kind")

    @field_validator("tower", mode="before")
    @classmethod
    def _name_tower(cls, value: Any) -> Any:
        return with_name(value)

    @field_validator("tasks", mode="before")
    @classmethod
    def _name_tasks(cls, value: Any) -> Any:
        return with_kind(value)


def check_model(model: ModelConfig) -> None:
    """Refuse an unknown network, and settings that it has no place for or that do not fit each other.

    Raises:
        ConfigError: `path` names the setting.
    """
    if model.name not in MODEL_NAMES:
        raise unknown_name("model", model.name, MODEL_NAMES, path="model.name")
    fields = ModelConfig.model_fields
    for option in sorted({option for options in MODEL_OPTIONS.values() for option in options}):
        value = getattr(model, option)
        if value != fields[option].default and option not in MODEL_OPTIONS[model.name]:
            having = ", ".join(name for name, options in MODEL_OPTIONS.items() if option in options)
            shown = getattr(value, "name", getattr(value, "kind", value))
            problem = f"`{option}` has no place in the model {model.name}. Got {option}={shown}."
            raise ConfigError(f"{problem} It belongs to {having}.", path=f"model.{option}")
    variants = MODEL_VARIANTS.get(model.name, ())
    if model.variant is not None and model.variant not in variants:
        problem = f"`variant` of {model.name} must be one of {', '.join(variants)}. Got {model.variant[:100]!r}."
        raise ConfigError(problem, path="model.variant")
    cut = {"autoint": model.interaction_width or ATTENTION_WIDTH, "final_mlp": (model.hidden or (0,))[-1]}
    if model.name == "final_mlp" and not model.hidden:
        raise ConfigError("`hidden` of final_mlp must hold one width at least. Got none.", path="model.hidden")
    if model.name in cut and cut[model.name] % (model.heads or HEADS):
        what = "interaction_width" if model.name == "autoint" else "the last of hidden"
        problem = f"`heads` must divide {what}, {cut[model.name]}. Got {model.heads or HEADS}."
        raise ConfigError(f"{problem} Choose another number.", path="model.heads")
    _refuse_tower(model)


def _refuse_tower(model: ModelConfig) -> None:
    """Refuse a tower that the network's widths or form have no place for."""
    if model.name == "masknet" and model.variant != "parallel":
        _refuse_hidden_layers(model)
    check_heads(model.tasks, model.hidden)
    check_tower(model.tower, model.hidden)


def _refuse_hidden_layers(model: ModelConfig) -> None:
    """Refuse settings of hidden layers, which the serial masknet has none of."""
    got: dict[str, object] = {}
    if model.tasks is not None:
        got["tasks"] = model.tasks.kind
    if model.tower != PLAIN:
        got["tower"] = model.tower.name
    if model.hidden != ModelConfig.model_fields["hidden"].default:
        got["hidden"] = list(model.hidden)
    for option, value in got.items():
        problem = f"`{option}` has no place in masknet of the variant serial. Got {option}={value}."
        raise ConfigError(f"{problem} Leave it out, or set variant=parallel.", path=f"model.{option}")
