"""The median rule: a run whose validation AUC is below what half of the others had by then is hopeless.

At the end of each epoch but the last, a run ends early where its AUC is below the median of those that the sweep's
finished runs had at the end of that epoch. The first runs are never pruned: `FEWEST` others must have finished.
What a run is held against is fixed before it begins, so it ends at the same step however often it is tried.

Source: Golovin et al. 2017, Google Vizier, section 3.2 (median stopping rule).
Differs from the source: AUC at the end of the epoch on both sides, not the best so far against running averages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from ctrfast.run import RECORDS

if TYPE_CHECKING:
    from ctrfast.loop.progress import Progress

MEDIAN = "median"
FEWEST = 3


def epoch_aucs(run: Path, steps_per_epoch: int) -> dict[int, float]:
    """Validation AUC at the end of each epoch, from 1, of a finished run."""
    found: dict[int, float] = {}
    for line in (run / RECORDS).read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record.get("split") == "valid" and "auc" in record and record["step"] % steps_per_epoch == 0:
            found[record["step"] // steps_per_epoch] = record["auc"]
    return found


def medians(finished: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Of the `epoch_aucs` of finished runs, the median by epoch, where enough of them have one."""
    epochs = sorted({epoch for of in finished for epoch in of})
    columns = {epoch: [of[epoch] for of in finished if epoch in of] for epoch in epochs}
    return {epoch: median(column) for epoch, column in columns.items() if len(column) >= FEWEST}


class Pruner:
    """Watches one run.

    Args:
        bars: the AUC that it must have, by epoch.
        steps_per_epoch: of the run.
        epochs: of the run.

    Attributes:
        auc, message: the AUC by which the run is hopeless, and a sentence about it; None while it is not.
    """

    def __init__(self, bars: Mapping[int, float], steps_per_epoch: int, epochs: int) -> None:
        self._bars, self._steps_per_epoch, self._epochs = bars, steps_per_epoch, epochs
        self.auc: float | None = None
        self.message: str | None = None

    @property
    def is_hopeless(self) -> bool:
        """Whether the run should end."""
        return self.message is not None

    def see(self, progress: Progress) -> None:
        """Take in how far the run is; each epoch's end is told."""
        epoch, within = divmod(progress.step, self._steps_per_epoch)
        bar, auc = self._bars.get(epoch), progress.metrics.get("valid_auc")
        if within or epoch >= self._epochs or bar is None or auc is None or auc >= bar:
            return
        self.auc = auc
        self.message = (
            f"After epoch {epoch} its validation AUC was {auc:.4f}, below the median {bar:.4f} of the finished runs. "
            "Its checkpoint is kept."
        )
