"""What the validation figures decide: when to stop, when to lower the rates, which weights were the best.

The state follows from the evaluations alone, in their order. A run that goes on shows its kept records again and stands
where it stood.

    watch = ValidationWatch(config, steps_per_epoch)
    watch.see({"step": 500, "auc": 0.71, "log_loss": 0.42})
    watch.has_ended, watch.wants_lower_rates, watch.best
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctrfast.config import TrainConfig
from ctrfast.errors import TrainingError

PLATEAU_FACTOR = 0.1
_CHANCE, _NEAR_CHANCE, _CHANCE_EVALUATIONS = 0.5, 0.001, 3


class ValidationWatch:
    """Follows the validation AUC.

    Args:
        config: patience, decay and which weights the run ends with.
        steps_per_epoch: evaluations within the first epoch cannot prove that nothing is learned.
    """

    def __init__(self, config: TrainConfig, steps_per_epoch: int) -> None:
        self._stop_patience = config.early_stop_patience
        decays = config.optimizer.lr_decay == "plateau"
        self._decay_patience = (config.optimizer.plateau_patience or 1) if decays else None
        self._steps_per_epoch = steps_per_epoch
        self._without_rise = 0
        self._since_lowered = 0
        self._at_chance = 0
        self.best: Mapping[str, Any] | None = None
        self.wants_lower_rates = False

    def see(self, record: Mapping[str, Any]) -> None:
        """Take in an evaluation: `step`, and `auc` where the labels define one."""
        self.wants_lower_rates = False
        auc = record.get("auc")
        if auc is None:
            return
        if self.best is None or auc > self.best["auc"]:
            self.best = record
            self._without_rise = self._since_lowered = 0
        else:
            self._without_rise += 1
            self._since_lowered += 1
        if self._decay_patience is not None and self._since_lowered >= self._decay_patience:
            self.wants_lower_rates = True
            self._since_lowered = 0
        is_chance = record["step"] >= self._steps_per_epoch and abs(auc - _CHANCE) < _NEAR_CHANCE
        self._at_chance = self._at_chance + 1 if is_chance else 0

    @property
    def best_step(self) -> int | None:
        """Step of the highest AUC, the first of equals."""
        return int(self.best["step"]) if self.best is not None else None

    @property
    def has_ended(self) -> bool:
        """Whether the AUC has not risen for `early_stop_patience` evaluations."""
        return self._stop_patience is not None and self._without_rise >= self._stop_patience

    def refuse_chance(self) -> None:
        """Stop a run that learns nothing.

        Raises:
            TrainingError: after a whole epoch, the AUC was that of chance in three evaluations in a row.
        """
        if self._at_chance >= _CHANCE_EVALUATIONS:
            raise TrainingError(
                f"The validation AUC stays at {_CHANCE} after a whole epoch: nothing is learned. "
                "The labels may not belong to their rows, or the learning rates are far too high or too low."
            )
