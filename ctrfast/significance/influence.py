"""How much each row moves the area under the precision-recall curve.

Let row k weigh w_k, and TP_i, N_i be the weight of the clicks, and of all rows, with a score of at least s_i. Then

    AP = A / M,  A = sum over clicks i of w_i TP_i / N_i,  M = weight of the clicks
    dAP/dw_k = (y_k TP_k / N_k + sum over clicks i with s_i <= s_k of (y_k / N_i - TP_i / N_i^2) - AP y_k) / M

The influence of a row is R dAP/dw_k at weights of 1: AP of another sample is about AP plus the mean influence of its
rows, which is 0 over the rows themselves. In O(R log R).

Source: Hampel 1974, The influence curve and its role in robust estimation; Efron & Tibshirani 1993, chapter 21.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def pr_auc_influence(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Floats:
    """Rows' influence (R,) on `ctrfast.metrics.pr_auc`: labels (R,) 0 or 1, scores (R,). Zeros without a click."""
    is_click = np.asarray(labels, np.float64) > 0
    clicks = float(np.count_nonzero(is_click))
    if clicks == 0:
        return np.zeros(len(is_click))
    _, group = np.unique(-np.asarray(scores), return_inverse=True)  # the highest score first; equal ones together
    hits, rows = np.bincount(group, weights=is_click), np.bincount(group)
    found, above = np.cumsum(hits), np.cumsum(rows)  # TP and N of each group
    precision = found / above
    per_row = _from_here_on(hits / above)  # sum over clicks i with s_i <= s_k of 1 / N_i
    per_found = _from_here_on(hits * found / above**2)
    area = float(np.sum(hits * precision)) / clicks
    slope = np.where(is_click, (precision + per_row)[group] - area, 0.0) - per_found[group]
    influence: Floats = slope * (len(is_click) / clicks)
    return influence


def _from_here_on(values: Floats) -> Floats:
    """Sums of each value and all after it."""
    sums: Floats = np.cumsum(values[::-1])[::-1]
    return sums
