"""What an optimizer step needs of a plan, once the length of the run is known. Needs no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from ctrfast.config import BETA_1, Clip, LrDecay, OptimizerName, Update
from ctrfast.optim.scaling import Plan


@dataclass(frozen=True)
class StepSettings:
    """Units: rates per step; `l2` is lambda of lambda * sum(w^2). Clip values are `None` where the clip has none."""

    lr_dense: float
    lr_embed: float
    l2: float
    clip: Clip
    warmup_steps: int
    total_steps: int
    clip_ratio: float | None = None
    bound: float | None = None
    clip_norm: float | None = None
    optimizer: OptimizerName = "adam"
    beta_1: float = BETA_1
    lr_decay: LrDecay = "constant"
    update: Update = "dense"

    @property
    def by_row(self) -> bool:
        """Whether a row's step needs no other row, and an absent row is never clipped.

        CowClip leaves an absent row alone if its gradient, 2 l2 w, is always within its limit, ratio * ||w|| or more.
        """
        is_by_row = self.optimizer == "adam" and self.clip in ("adaptive_column", "none")
        may_clip_absent = self.clip == "adaptive_column" and self.update == "dense"
        return is_by_row and not (may_clip_absent and 2.0 * self.l2 > (self.clip_ratio or 0.0))

    @classmethod
    def of(cls, plan: Plan, steps_per_epoch: int, epochs: int) -> StepSettings:
        """The settings of a plan for data of so many steps an epoch."""
        return cls(
            lr_dense=plan.lr_dense,
            lr_embed=plan.lr_embed,
            l2=plan.l2,
            clip=plan.clip,
            clip_ratio=plan.clip_ratio,
            bound=plan.bound,
            clip_norm=plan.clip_norm,
            warmup_steps=round(plan.warmup_epochs * steps_per_epoch),
            total_steps=steps_per_epoch * epochs,
            optimizer=plan.optimizer,
            beta_1=BETA_1 if plan.beta_1 is None else plan.beta_1,
            lr_decay=plan.lr_decay,
            update=plan.update,
        )
