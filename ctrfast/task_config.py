"""The settings of a network that has several labels: which heads give each task its logit.

    model:
      name: deepfm
      hidden: [256, 128]
      tasks: {kind: mmoe, experts: 8, hidden: [64]}

`tasks: mmoe` is short for the mmoe with its defaults. Bottom and experts are the network's tower, of the widths
`model.hidden`; each task has an MLP of its own behind them (`ctrfast.models.task_heads`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ctrfast.errors import ConfigError

Width = Annotated[int, Field(ge=1, le=65536)]


class _Heads(BaseModel):
    """hidden: widths of each task's own layers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: tuple[Width, ...] = Field(default=(64,), max_length=32)


class SharedBottomSettings(_Heads):
    """One bottom for all tasks."""

    kind: Literal["shared_bottom"] = "shared_bottom"


class MmoeSettings(_Heads):
    """Experts for all tasks, which each task weighs by a gate of its own.

    experts: how many.
    """

    kind: Literal["mmoe"] = "mmoe"
    experts: int = Field(default=4, ge=2, le=64)


class PleSettings(_Heads):
    """Levels of experts, some of each task and some of all, which a gate of each task weighs.

    experts: of each task, at each level. shared_experts: of all tasks, at each level. levels: one behind the other.
    """

    kind: Literal["ple"] = "ple"
    experts: int = Field(default=2, ge=1, le=64)
    shared_experts: int = Field(default=2, ge=1, le=64)
    levels: int = Field(default=2, ge=1, le=8)


TaskSettings = SharedBottomSettings | MmoeSettings | PleSettings
TASK_SETTINGS: dict[str, type[TaskSettings]] = {
    "mmoe": MmoeSettings,
    "ple": PleSettings,
    "shared_bottom": SharedBottomSettings,
}


def with_kind(value: Any) -> Any:
    """Settings as read, by kind alone or without one, in full."""
    if isinstance(value, str):
        return {"kind": value}
    return {"kind": "shared_bottom", **value} if isinstance(value, Mapping) else value


def check_heads(tasks: TaskSettings | None, hidden: Sequence[int]) -> None:
    """Refuse heads that cannot be built of these widths.

    Raises:
        ConfigError: `path` names the setting.
    """
    if tasks is not None and not hidden:
        problem = f"`hidden` must hold one width at least for the tasks' {tasks.kind}. Got none."
        raise ConfigError(f"{problem} Give the widths of its bottom or experts.", path="model.hidden")
