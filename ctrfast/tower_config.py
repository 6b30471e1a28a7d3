"""The settings of a network's deep part: which tower, and how its hidden layers end.

    model:
      name: deepfm
      hidden: [400, 400, 400]
      tower: {name: moe, experts: 8, top_k: 2, norm: layer}

`hidden` has the widths of every tower's layers. `tower: moe` is short for the moe with its defaults; settings without a
name are those of the mlp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ctrfast.errors import ConfigError

Activation = Literal["relu", "gelu", "silu", "tanh"]
Norm = Literal["none", "batch", "layer"]


class _Hidden(BaseModel):
    """How a hidden layer ends: its product is normed, then activated, then a share `dropout` of it is dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    activation: Activation = "relu"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    norm: Norm = "none"


class MlpSettings(_Hidden):
    """One layer for each width."""

    name: Literal["mlp"] = "mlp"


class SharedSettings(_Hidden):
    """A layer as wide as the last one, then a block of all widths, applied `repeats` times with norms of their own."""

    name: Literal["shared"] = "shared"
    repeats: int = Field(default=2, ge=1, le=64)


class MoeSettings(_Hidden):
    """An mlp whose layers after the first are mixtures of experts.

    experts: of each mixture. top_k: how many of them a row takes. balance: weight of the load-balancing loss.
    across_depth: each mixture has experts of its `own`, or all have the same (`shared`), with norms of their own, which
    `norm` must then be set for.
    """

    name: Literal["moe"] = "moe"
    experts: int = Field(default=4, ge=2, le=256)
    top_k: int = Field(default=2, ge=1, le=256)
    balance: float = Field(default=0.01, ge=0, allow_inf_nan=False)
    across_depth: Literal["own", "shared"] = "own"


TowerSettings = MlpSettings | SharedSettings | MoeSettings
TOWER_SETTINGS: dict[str, type[TowerSettings]] = {"mlp": MlpSettings, "moe": MoeSettings, "shared": SharedSettings}
PLAIN = MlpSettings()


def with_name(value: Any) -> Any:
    """Settings as read, by name alone or without a name, in full."""
    if isinstance(value, str):
        return {"name": value}
    return {"name": PLAIN.name, **value} if isinstance(value, Mapping) else value


def check_tower(tower: TowerSettings, hidden: Sequence[int]) -> None:
    """Refuse a tower that cannot be built of these widths.

    Raises:
        ConfigError: `path` names the setting.
    """
    if isinstance(tower, SharedSettings) and not hidden:
        problem = "`hidden` must hold one width at least for the tower shared. Got none."
        raise ConfigError(f"{problem} Give the widths of its block.", path="model.hidden")
    if not isinstance(tower, MoeSettings):
        return
    if tower.top_k > tower.experts:
        problem = f"`top_k` must be at most experts={tower.experts}. Got top_k={tower.top_k}."
        raise ConfigError(f"{problem} Choose fewer, or more experts.", path="model.tower.top_k")
    if len(hidden) < 2:
        problem = "`hidden` must hold two widths at least for the tower moe: of the first layer and of a mixture."
        raise ConfigError(f"{problem} Got {list(hidden)}. Give more, or another tower.", path="model.hidden")
    if tower.across_depth == "shared" and len(set(hidden)) > 1:
        problem = f"`hidden` must hold equal widths where mixtures share their experts. Got {list(hidden)}."
        raise ConfigError(f"{problem} Make them equal, or set across_depth=own.", path="model.hidden")
    if tower.across_depth == "shared" and tower.norm == "none":
        problem = "`norm` must be layer or batch where mixtures share their experts: norms are all that each depth has"
        raise ConfigError(f"{problem} of its own. Got none. Set one, or across_depth=own.", path="model.tower.norm")
