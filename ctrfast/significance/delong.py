"""The sampling error of an AUC, and of the difference of two AUCs on the same rows or on others.

Of m clicks with scores x_i and n other rows with scores y_j, psi(x, y) = 1 where x > y, 1/2 where x = y, else 0:
    V10_i = mean over j of psi(x_i, y_j)          V01_j = mean over i of psi(x_i, y_j)          AUC = mean V10
    cov(AUC_r, AUC_s) = cov(V10_r, V10_s) / m + cov(V01_r, V01_s) / n
    var(AUC_r - AUC_s) = var(AUC_r) + var(AUC_s) - 2 cov(AUC_r, AUC_s)

Source: DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, Eq. 5-6; V10 and V01 by mid-ranks, in O(R log R): Sun & Xu
2014, IEEE Signal Processing Letters 21.

    placements_of(labels, logits).estimate()                    # Estimate(value=0.7512, low=0.7490, high=0.7534)
    paired_difference(first, second), unpaired_difference(first, second)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctrfast.significance.estimate import Difference, Estimate, normal_difference, normal_estimate

Floats = npt.NDArray[np.float64]
_FEWEST = 2  # of clicks and of other rows; fewer have no variance


@dataclass(frozen=True)
class Placements:
    """Where each row stands among those of the other class. clicks: V10 (m,). others: V01 (n,), each in row order."""

    clicks: Floats
    others: Floats

    @property
    def auc(self) -> float:
        """The area, as `ctrfast.metrics.auc` has it."""
        return float(self.clicks.mean())

    @property
    def variance(self) -> float:
        """Of the AUC."""
        return float(self.clicks.var(ddof=1) / len(self.clicks) + self.others.var(ddof=1) / len(self.others))

    def estimate(self) -> Estimate:
        """The AUC with its interval."""
        return normal_estimate(self.auc, self.variance)


def placements_of(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Placements | None:
    """Placements of rows: labels (R,) 0 or 1, scores (R,). None with fewer than two of a class."""
    is_click, scores = np.asarray(labels) > 0, np.asarray(scores)
    x, y = scores[is_click], scores[~is_click]
    if min(len(x), len(y)) < _FEWEST:
        return None
    ranks = _mid_ranks(scores)
    return Placements(
        (ranks[is_click] - _mid_ranks(x)) / len(y),
        1.0 - (ranks[~is_click] - _mid_ranks(y)) / len(x),
    )


def paired_difference(earlier: Placements, later: Placements) -> Difference:
    """AUC of the later less that of the earlier, on the same rows."""
    clicks, others = later.clicks - earlier.clicks, later.others - earlier.others
    # The variance of a difference is that of the rows' differences: the covariance need not be written out.
    return normal_difference(later.auc - earlier.auc, Placements(clicks, others).variance)


def unpaired_difference(earlier: Placements, later: Placements) -> Difference:
    """The same for rows that have nothing to do with each other."""
    return normal_difference(later.auc - earlier.auc, earlier.variance + later.variance)


def _mid_ranks(values: npt.NDArray[np.floating]) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(sizes, dtype=np.float64)
    ranks: Floats = (last_rank - (sizes - 1) / 2.0)[group]
    return ranks
