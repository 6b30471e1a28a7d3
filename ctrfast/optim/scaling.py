"""Scaling plans: from settings tuned at a base batch size to those of a batch s times larger.

| rule      | lr_dense | lr_embed | l2     | clip            | warm-up of lr_dense | embedding start |
| none      | 1        | 1        | 1      | none            | none                | N(0, 1e-4)      |
| sqrt      | sqrt s   | sqrt s   | sqrt s | none            | none                | N(0, 1e-4)      |
| sqrt_star | sqrt s   | sqrt s   | 1      | none            | none                | N(0, 1e-4)      |
| linear    | s        | s        | 1      | none            | none                | N(0, 1e-4)      |
| n2_lambda | sqrt s   | 1        | s^2    | none            | none                | N(0, 1e-4)      |
| cowclip   | sqrt s   | 1        | s      | adaptive_column | 1 epoch             | N(0, 1e-2)      |
| adaptive  | sqrt s   | sqrt s   | 1      | none            | 1 epoch             | N(0, 1e-2)      |

`adaptive` also takes Adam's beta_1 = 1 - min(0.1 s, 1/2), and `lr_decay: cooldown`. It starts from base values of its
own where none are set: the published L2 is too weak for a second epoch on little data.

Source: Zheng et al. 2022, arXiv:2204.06240, Rules 1-4 and Tables of the appendix. `adaptive` is ours, after Malladi et
al. 2022, arXiv:2205.10287, Definition 5.2; derivation, evidence and limits: docs/scaling_rules.md.
Differs from the source: n2_lambda's factor of lr_dense is not stated there; sqrt s is our reading; the plan says so.
No rule scales the clips' limits; CowClip's grow with the batch by its counts.

    plan = make_plan(TrainConfig(batch_size=131072), preset="criteo")
    plan.lr_dense, plan.l2          # 0.00905..., 0.00128
    plan.reasons["lr_dense"]        # '0.0008 at batch 1,024 x sqrt(128): rule cowclip'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

if TYPE_CHECKING:  # pandas takes a second to load
    import pandas as pd

SOURCE = "arXiv:2204.06240"


@dataclass(frozen=True)
class Base:
    """Values at a base batch size."""

    lr_dense: float
    lr_embed: float
    l2: float
    base_batch_size: int


@dataclass(frozen=True)
class Rule:
    """Powers of s by which a rule multiplies each base value, and its other choices.

    shortens_momentum: Adam's 1 - beta_1 grows with s. base: where a run starts that sets no values of its own; the
    published ones, if `None`.
    """

    lr_dense_power: float
    lr_embed_power: float
    l2_power: float
    clip: Clip = "none"
    warmup_epochs: float = 0.0
    embedding_init_std: float = 1e-4
    lr_dense_note: str = ""
    lr_decay: LrDecay = "constant"
    shortens_momentum: bool = False
    base: Base | None = None


RULES: dict[str, Rule] = {
    "none": Rule(0, 0, 0),
    "sqrt": Rule(0.5, 0.5, 0.5),
    "sqrt_star": Rule(0.5, 0.5, 0),
    "linear": Rule(1, 1, 0),
    "n2_lambda": Rule(0.5, 0, 2, lr_dense_note="; the source does not state this factor, sqrt s is our reading"),
    "cowclip": Rule(0.5, 0, 1, clip="adaptive_column", warmup_epochs=1, embedding_init_std=1e-2),
    "adaptive": Rule(
        0.5,
        0.5,
        0,
        warmup_epochs=1,
        embedding_init_std=1e-2,
        lr_decay="cooldown",
        shortens_momentum=True,
        base=Base(lr_dense=1e-3, lr_embed=2e-3, l2=4e-4, base_batch_size=128),
    ),
}


@dataclass(frozen=True)
class Published:
    """Settings of the paper at its base batch size, with the rows that it prints for larger ones.

    bounds: (smallest batch size, bound) in rising order. table: batch size -> (lr_dense, lr_embed, l2).
    exceptions: batch sizes whose printed row is off the rule.
    """

    lr_dense: float
    lr_embed: float
    l2: float
    clip_ratio: float
    bounds: tuple[tuple[int, float], ...]
    table: Mapping[int, tuple[float, float, float]]
    exceptions: Mapping[int, str]
    base_batch_size: int = 1024

    def bound(self, batch_size: int) -> float:
        """The printed bound at the largest printed batch size that is not above `batch_size`."""
        return next((bound for least, bound in reversed(self.bounds) if least <= batch_size), self.bounds[0][1])


PUBLISHED: dict[str, Published] = {
    "criteo": Published(
        lr_dense=8e-4,
        lr_embed=1e-4,
        l2=1e-5,
        clip_ratio=1.0,
        bounds=((1024, 1e-5),),
        table={1024: (8e-4, 1e-4, 1e-5), 131072: (90.5e-4, 1e-4, 128e-5)},
        exceptions={},
    ),
    "avazu": Published(
        lr_dense=1e-4,
        lr_embed=1e-4,
        l2=1e-5,
        clip_ratio=1.0,
        bounds=((1024, 1e-3), (4096, 1e-4)),
        table={1024: (1e-4, 1e-4, 1e-5), 131072: (16e-4, 1e-4, 96e-5)},
        exceptions={131072: "tuned by hand: lr_dense 16e-4, l2 96e-5"},
    ),
}


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
        "bound": (published.bound(config.batch_size), published_origin),
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
