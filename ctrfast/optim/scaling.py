"""Scaling plans: from settings tuned at a base batch size to those of a batch s times larger, each with its reason.

A rule (`ctrfast.optim.scaling_rules`) multiplies the base values by powers of s; what is set stays as it is set. No
rule scales the clips' limits; CowClip's grow with the batch by its counts.

    plan = make_plan(TrainConfig(batch_size=131072), preset="criteo")
    plan.lr_dense, plan.l2          # 0.00905..., 0.00128
    plan.reasons["lr_dense"]        # '0.0008 at batch 1,024 x sqrt(128): rule cowclip'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ctrfast.config import (
    ADAPTIVE_CLIPS,
    BETA_1,
    CONSTANT_CLIPS,
    Clip,
    LrDecay,
    OptimizerName,
    TrainConfig,
    Update,
)
from ctrfast.errors import unknown_name
from ctrfast.optim.scaling_rules import PUBLISHED, RULES, SOURCE, Base, Published, Rule

if TYPE_CHECKING:  # pandas takes a second to load
    import pandas as pd

CHOICES: dict[str, dict[str, str]] = {
    "optimizer": {
        "adam": "the source's",
        "lamb": "set; arXiv:1904.00962. It wants rates of its own, those published are Adam's",
        "lars": "set; arXiv:1708.03888. It wants rates of its own, those published are Adam's and hardly move it",
    },
    "update": {
        "dense": "the source's: every row at each step",
        "sparse": "set; different mathematics: rows absent from a batch keep weights and moments, and do not decay",
    },
}

LR_DECAYS: dict[str, str] = {
    "constant": "both rates stay",
    "cosine": "both rates fall to 0 over the run",
    "cooldown": "both rates stay, and fall to 0 over the run's second half",
    "plateau": "both rates x 0.1 where the validation AUC has not risen",
}


class Plan(BaseModel):
    """The resolved settings of a run; `reasons` says where each comes from.

    clip_ratio, bound, clip_norm: `None` where the clip has no such value. beta_1: `None` for LAMB and LARS.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    preset: str
    base_batch_size: int
    batch_size: int
    scale: float
    optimizer: OptimizerName
    lr_dense: float
    lr_embed: float
    lr_decay: LrDecay
    beta_1: float | None = BETA_1  # plans of earlier runs do not say it
    l2: float
    clip: Clip
    clip_ratio: float | None
    bound: float | None
    clip_norm: float | None
    warmup_epochs: float
    embedding_init_std: float
    update: Update
    reasons: dict[str, str]

    @property
    def settings(self) -> dict[str, Any]:
        """The values that `reasons` gives reasons for, by name."""
        return self.model_dump(exclude={"reasons", "rule", "preset"})

    def frame(self) -> pd.DataFrame:
        """A row per setting: its value and the reason."""
        import pandas as pd

        settings = self.settings
        table = {"value": pd.Series(settings, dtype=object), "reason": [self.reasons[name] for name in settings]}
        return pd.DataFrame(table).rename_axis("setting")


def make_plan(config: TrainConfig, preset: str) -> Plan:
    """Apply the config's rule to its base values, or to the preset's published ones where none are set.

    Args:
        config: settings at the base batch size.
        preset: name of the data's schema. One that was not published takes Criteo's values, and the reasons say so; a
            rule with a base of its own takes that for all.

    Raises:
        ConfigError: the rule is unknown.
    """
    scaling, optimizer = config.scaling, config.optimizer
    if scaling.rule not in RULES:
        raise unknown_name("scaling rule", scaling.rule, RULES, path="scaling.rule")
    rule = RULES[scaling.rule]
    published = PUBLISHED.get(preset, PUBLISHED["criteo"])
    of_preset = f"published base for {preset}" if preset in PUBLISHED else "Criteo's published base"
    published_origin = origin = f"{of_preset} ({SOURCE})"
    start: Base | Published = published
    if rule.base is not None:
        start, origin = rule.base, f"base of rule {scaling.rule}, docs/scaling_rules.md"
    base = scaling.base_batch_size or start.base_batch_size
    scale = config.batch_size / base
    values: dict[str, Any] = {}
    reasons = {
        "base_batch_size": "set" if scaling.base_batch_size else origin,
        "batch_size": f"set{_shared(config)}",
        "scale": f"{config.batch_size:,} / {base:,}",
    }

    powers = {"lr_dense": rule.lr_dense_power, "lr_embed": rule.lr_embed_power, "l2": rule.l2_power}
    for name, power in powers.items():
        given = getattr(optimizer, name)
        value = getattr(start, name) if given is None else given
        values[name] = value * scale**power
        note = rule.lr_dense_note if name == "lr_dense" else ""
        reasons[name] = (
            f"{value:g} at batch {base:,} x {_factor(power, scale)}: rule {scaling.rule}{note}"
            f" ({'set' if given is not None else origin})"
        )
    exception = (
        published.exceptions.get(config.batch_size) if preset in PUBLISHED and scaling.rule == "cowclip" else None
    )
    if exception:
        reasons["lr_dense"] += f". The published row is off the rule, {exception}; it is not applied"

    rule_says = f"rule {scaling.rule}"
    fallbacks = {
        "clip": (rule.clip, rule_says),
        "warmup_epochs": (rule.warmup_epochs, rule_says),
        "embedding_init_std": (rule.embedding_init_std, rule_says),
        "clip_ratio": (published.clip_ratio, published_origin),
        "bound": (published.bound(config.batch_size), _bound_origin(published, preset, config) or published_origin),
        "lr_decay": (rule.lr_decay, rule_says),
        "beta_1": _beta_1(rule, scale, rule_says),
        "clip_norm": (None, ""),  # `check_config` sees to it that it is set where it is needed
    }
    for name, (fallback, why) in fallbacks.items():
        given = getattr(optimizer, name)
        values[name] = fallback if given is None else given
        reasons[name] = why if given is None else "set"
    for name, clips in (("clip_ratio", ADAPTIVE_CLIPS), ("bound", ADAPTIVE_CLIPS), ("clip_norm", CONSTANT_CLIPS)):
        if values["clip"] not in clips:
            values[name], reasons[name] = None, f"clip {values['clip']} has none"
    if values["clip_norm"] is not None:
        reasons["clip_norm"] += "; the same at each batch size"
    if optimizer.name != "adam":
        values["beta_1"], reasons["beta_1"] = None, f"{optimizer.name} keeps its article's"
    reasons["lr_decay"] += f"; {LR_DECAYS[values['lr_decay']]}"
    for name, texts in CHOICES.items():
        chosen = optimizer.name if name == "optimizer" else getattr(optimizer, name)
        values[name], reasons[name] = chosen, texts[chosen]

    return Plan(
        rule=scaling.rule,
        preset=preset,
        base_batch_size=base,
        batch_size=config.batch_size,
        scale=scale,
        reasons=reasons,
        **values,
    )


def _bound_origin(published: Published, preset: str, config: TrainConfig) -> str | None:
    """The published row that the bound is of; None where it is the base."""
    least = published.bound_from(config.batch_size)
    return None if least is None else f"published for {preset} at batch {least:,} and above ({SOURCE})"


def _shared(config: TrainConfig) -> str:
    workers = config.cluster.workers
    return "" if workers is None else f"; {config.batch_size // workers:,} rows on each of {workers} workers"


def _beta_1(rule: Rule, scale: float, rule_says: str) -> tuple[float, str]:
    """Adam's beta_1 and why. 1 - beta_1 grows with s, up to 1/2: no memory of earlier steps at all is worse."""
    if not rule.shortens_momentum:
        return BETA_1, "the source's"
    return 1.0 - min((1.0 - BETA_1) * scale, 0.5), f"1 - min({1 - BETA_1:g} x {scale:g}, 1/2): {rule_says}"


def _factor(power: float, scale: float) -> str:
    shown = f"{scale:g}"
    return {0: "1", 0.5: f"sqrt({shown})", 1: shown, 2: f"{shown}^2"}[power]
