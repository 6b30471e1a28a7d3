"""Fit the calibrations of `ctrfast.calibration` and choose among them.

The validation split is cut in two. Each candidate is fitted on one part; the one with the lowest log loss on the other
is fitted again on all rows. Of equal ones the simplest wins: identity, temperature, Platt, isotonic.

    temperature, Platt   min_ab sum_r [ln(1 + exp z_r) - y_r z_r] + ((a - 1)^2 + b^2) / 2,   z = a logit p + b
    isotonic             pool adjacent violators (Ayer et al. 1955); knots: the means of pools of R / 198 rows or more

The prior of a = 1, b = 0 weighs as much as a few rows; with it, separable data has a finite solution too.

Differs from Platt 1999: a Gaussian prior about the identity instead of smoothed labels. Differs from plain isotonic
regression: lines between the pools' means instead of steps, so that different scores stay different.

    calibration = fit_calibration(labels, logits, in_time_order=False, seed=1)
    calibration.method, calibration.choice.log_losses
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctrfast.calibration import MOST_SCALE, MOST_SHIFT, Calibration, Choice, Figures, Method, logits_of, scores_of
from ctrfast.metrics import Predictions, log_loss, sigmoid

MOST_KNOTS = 200
_MOST_POOLS = MOST_KNOTS - 2  # and the ends, 0 and 1
_MOST_BINS = 10_000  # of equal mass, that pools are made of: a loop in Python over each row would take long
_MOST_STEPS = 100
_PRIOR = 1.0
_PRECISION = 1e-10

_Labels = npt.NDArray[np.float64]
_Scores = npt.NDArray[np.float32]
_Doubles = npt.NDArray[np.float64]


def fit_calibration(labels: npt.ArrayLike, logits: npt.ArrayLike, *, in_time_order: bool, seed: int) -> Calibration:
    """Fit all methods and choose one.

    Args:
        labels: (R,), 0 or 1, of the validation split.
        logits: (R,), the network's.
        in_time_order: whether later rows come later. The later half is then held out, since a model is used on later
            rows; otherwise rows are drawn, since a file may be sorted by anything.
        seed: of the draw.

    Returns:
        The identity, with the reason, where a part lacks clicks or others.
    """
    y, p = np.asarray(labels, np.float64), scores_of(logits)
    if not len(y):
        return Calibration(method="identity", reason="The validation split has no rows.")
    order = np.arange(len(y)) if in_time_order else np.random.default_rng(seed).permutation(len(y))
    fitted, held_out = order[: len(y) // 2], order[len(y) // 2 :]
    if any(part.size == 0 or y[part].min() == y[part].max() for part in (fitted, held_out)):
        reason = "Both halves of the validation split must hold clicks and others."
        return Calibration(method="identity", rows=len(y), reason=reason)

    final = _fit_all(y, p)
    candidates = {name: each for name, each in _fit_all(y[fitted], p[fitted]).items() if name in final}
    losses = {
        name: log_loss(y[held_out], logits_of(candidate.exact(p[held_out]))) for name, candidate in candidates.items()
    }
    method = min(losses, key=lambda name: losses[name])
    choice = Choice(
        fitted_rows=len(fitted),
        held_out_rows=len(held_out),
        log_losses=losses,
        before=_figures(y[held_out], p[held_out], candidates["identity"]),
        after=_figures(y[held_out], p[held_out], candidates[method]),
    )
    reason = f"Lowest log loss on the {'later' if in_time_order else 'held-out'} half of the validation split."
    return final[method].model_copy(update={"rows": len(y), "reason": reason, "choice": choice})


def fit_line(x: _Doubles, labels: _Labels, *, with_shift: bool) -> tuple[float, float]:
    """Scale and shift of logits (R,) by Newton's method; the shift is 0 unless it is asked for."""
    design = np.stack([x, np.ones_like(x)]) if with_shift else x[None]  # (P, R)
    prior = np.array([1.0, 0.0])[: len(design)]

    def loss(values: _Doubles) -> float:
        z = values @ design
        return float(np.sum(np.logaddexp(0.0, z) - labels * z) + _PRIOR * np.sum((values - prior) ** 2) / 2)

    at, lowest = prior, loss(prior)
    for _ in range(_MOST_STEPS):
        p = sigmoid(at @ design)
        gradient = design @ (p - labels) + _PRIOR * (at - prior)
        curvature = (design * (p * (1 - p))) @ design.T + _PRIOR * np.eye(len(design))
        step = np.linalg.solve(curvature, gradient)
        while (reached := loss(at - step)) > lowest and np.abs(step).max() > _PRECISION:
            step /= 2
        if reached > lowest or np.abs(step).max() <= _PRECISION:
            break
        at, lowest = at - step, reached
    return float(at[0]), float(at[1]) if with_shift else 0.0


def pool_adjacent_violators(sums: _Doubles, weights: _Doubles) -> list[int]:
    """Isotonic regression: the rising step function nearest to the means sums / weights (M,), by least squares.

    Returns:
        Where each step begins. Its value is the mean of its members; these values rise strictly.
    """
    starts: list[int] = []
    totals: list[float] = []
    masses: list[float] = []
    for place, (total, mass) in enumerate(zip(sums.tolist(), weights.tolist(), strict=True)):
        start = place
        while starts and totals[-1] / masses[-1] >= total / mass:
            start = starts.pop()
            total += totals.pop()
            mass += masses.pop()
        starts.append(start)
        totals.append(total)
        masses.append(mass)
    return starts


def fit_isotonic(p: _Scores, labels: _Labels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scores and probabilities of the knots, from probabilities (R,) and labels (R,)."""
    rows, clicks, score_sums = _bins(p, labels)
    starts = pool_adjacent_violators(clicks, rows)
    rows, clicks, score_sums = (np.add.reduceat(sums, starts) for sums in (rows, clicks, score_sums))
    starts = _enough_rows(rows, least=len(labels) / _MOST_POOLS)
    rows, clicks, score_sums = (np.add.reduceat(sums, starts) for sums in (rows, clicks, score_sums))
    edge = 1 / (len(labels) + 2)  # no rate is surely 0 or 1
    knots = np.stack([score_sums / rows, np.clip(clicks / rows, edge, 1 - edge)])  # (2, K)
    inside = knots[:, (knots[0] > 0) & (knots[0] < 1)]
    scores, probabilities = np.column_stack([(0.0, 0.0), inside, (1.0, 1.0)])
    return tuple(scores.tolist()), tuple(probabilities.tolist())


def _enough_rows(rows: _Doubles, *, least: float) -> list[int]:
    """Where to cut pools so that neighbours join until they hold enough rows. Means of rising values still rise."""
    starts, held = [0], 0.0
    for place, count in enumerate(rows.tolist()):
        if held >= least:
            starts.append(place)
            held = 0.0
        held += count
    return starts[:-1] if held < least and len(starts) > 1 else starts


def _bins(p: _Scores, labels: _Labels) -> tuple[_Doubles, _Doubles, _Doubles]:
    """Rows, clicks and the sum of scores (M,) of equal scores, or of bins of equal mass where there are too many."""
    order = np.argsort(p, kind="stable")
    sorted_p, sorted_labels = p[order].astype(np.float64), labels[order]
    is_first = np.concatenate([[True], sorted_p[1:] != sorted_p[:-1]])
    if np.count_nonzero(is_first) > _MOST_BINS:
        place = np.arange(len(p)) * _MOST_BINS // len(p)
        bin_of = np.maximum.accumulate(np.where(is_first, place, 0))  # equal scores share a bin
        is_first = np.concatenate([[True], bin_of[1:] != bin_of[:-1]])
    starts = np.flatnonzero(is_first)
    rows = np.diff(np.append(starts, len(p))).astype(np.float64)
    return rows, np.add.reduceat(sorted_labels, starts), np.add.reduceat(sorted_p, starts)


def _fit_all(labels: _Labels, p: _Scores) -> dict[Method, Calibration]:
    """The candidates by name, in order of simplicity."""
    fitted: dict[Method, Calibration] = {"identity": Calibration(method="identity")}
    x = logits_of(p)
    lines: tuple[Method, Method] = ("temperature", "platt")
    for method in lines:
        scale, shift = fit_line(x, labels, with_shift=method == "platt")
        if 0 < scale <= MOST_SCALE and abs(shift) <= MOST_SHIFT:  # else it turns the order of the scores round
            fitted[method] = Calibration(method=method, scale=scale, shift=shift)
    scores, probabilities = fit_isotonic(p, labels)
    fitted["isotonic"] = Calibration(method="isotonic", scores=scores, probabilities=probabilities)
    return fitted


def _figures(labels: _Labels, p: _Scores, calibration: Calibration) -> Figures:
    after = Predictions()
    after.add(labels, logits_of(calibration.exact(p)))
    figures = after.metrics()
    return Figures(**{name: figures[name] for name in Figures.model_fields})
