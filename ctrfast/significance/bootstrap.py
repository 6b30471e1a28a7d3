"""The sampling error of log loss, normalised entropy, PR-AUC, ECE, Brier score, calibration ratio: seeded bootstrap.

Each of them is made of sums over rows, so a replicate needs the sums of a resample alone: counts (T, G) of how often
each row was drawn, times the rows' values (G, K), for T replicates at once. All models are resampled together, row by
row, so that a difference of two is paired. Beyond `_MOST_GROUPS` rows, rows are first put together at random in as many
groups of one size: their sums vary as sums of rows do, and the work stays the same however many rows there are.

PR-AUC is no function of such sums; a replicate is its first-order expansion, the value plus the mean influence of the
rows drawn (`influence`). ECE is, with the bins of the whole. Resampling adds noise to each bin, and a mean of distances
rises with noise: ECE's replicates are moved so that their mean is the figure.

Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 10 (bias), 13 (percentile interval) and 15
(achieved level of significance). The smallest p that T replicates can show is 2 / (T + 1).

    boot = bootstrap(labels, [first_logits, second_logits])
    boot.estimate(0, "log_loss"), boot.difference(0, 1, "log_loss")
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctrfast.metrics import pr_auc, sigmoid
from ctrfast.significance.estimate import Difference, Estimate
from ctrfast.significance.influence import pr_auc_influence

Floats = npt.NDArray[np.float64]
FIGURES = ("log_loss", "normalised_entropy", "pr_auc", "calibration_ratio", "ece", "brier")
REPLICATES = 1_000
_SEED = 1
_MOST_GROUPS = 20_000
_COUNTS_AT_ONCE = 2_000_000
_BINS = 20  # of the ECE
_OF_ROWS, _OF_MODEL = 2, 4 + _BINS  # sums: rows and clicks; then of each model those of `_columns`


@dataclass(frozen=True)
class Bootstrap:
    """values: of each model, by figure. replicates: (T,) of each model, by figure."""

    values: Sequence[Mapping[str, float]]
    replicates: Sequence[Mapping[str, Floats]]

    def estimate(self, model: int, figure: str) -> Estimate | None:
        """A model's figure; None where labels of one class leave it undefined, here or in a replicate."""
        value, drawn = self.values[model][figure], self.replicates[model][figure]
        if not (np.isfinite(value) and np.isfinite(drawn).all()):
            return None
        low, high = np.quantile(drawn, (0.025, 0.975))
        if figure == "pr_auc":  # its expansion does not know its bounds
            low, high = np.clip((low, high), 0.0, 1.0)
        return Estimate(float(value), float(low), float(high))

    def difference(self, earlier: int, later: int, figure: str) -> Difference | None:
        """The figure of one model less that of another, on the same rows."""
        return _difference(self, earlier, self, later, figure)


def bootstrap(labels: npt.ArrayLike, logits: Sequence[npt.ArrayLike], seed: int = _SEED) -> Bootstrap:
    """Resample rows: labels (R,) 0 or 1, logits (R,) of each model."""
    rng = np.random.default_rng(seed)
    sums = _grouped_sums(np.asarray(labels, np.float64), logits, rng)  # (G, K)
    drawn = np.concatenate([counts @ sums for counts in _resamples(len(sums), rng)])  # (T, K)
    whole = sums.sum(axis=0, keepdims=True)  # (1, K)
    values, replicates = [], []
    for model, scores in enumerate(logits):
        pr = pr_auc(labels, scores)
        of_all = {name: float(value[0]) for name, value in _figures(whole, model, pr).items()}
        of_drawn = _figures(drawn, model, pr)
        of_drawn["ece"] = np.maximum(of_drawn["ece"] - of_drawn["ece"].mean() + of_all["ece"], 0.0)
        values.append(of_all)
        replicates.append(of_drawn)
    return Bootstrap(values, replicates)


def unpaired_difference(earlier: Bootstrap, later: Bootstrap, figure: str) -> Difference | None:
    """The figure of the only model of one bootstrap less that of another, whose rows have nothing to do with it.

    The two must have had different seeds.
    """
    return _difference(earlier, 0, later, 0, figure)


def _difference(first: Bootstrap, earlier: int, second: Bootstrap, later: int, figure: str) -> Difference | None:
    if first.estimate(earlier, figure) is None or second.estimate(later, figure) is None:
        return None
    value = second.values[later][figure] - first.values[earlier][figure]
    drawn = second.replicates[later][figure] - first.replicates[earlier][figure]
    low, high = np.quantile(drawn, (0.025, 0.975))
    beyond = min(int(np.count_nonzero(drawn <= 0)), int(np.count_nonzero(drawn >= 0)))
    p = min(1.0, 2.0 * (beyond + 1) / (len(drawn) + 1))
    return Difference(value, float(low), float(high), p)


def _grouped_sums(labels: Floats, logits: Sequence[npt.ArrayLike], rng: np.random.Generator) -> Floats:
    """(G, K): sums of each group's rows, one row to a group where there are few."""
    rows = len(labels)
    group = np.arange(rows) % _MOST_GROUPS
    if rows > _MOST_GROUPS:
        rng.shuffle(group)
    return np.stack([np.bincount(group, weights=column) for column in _columns(labels, logits)], axis=1)


def _columns(labels: Floats, logits: Sequence[npt.ArrayLike]) -> Iterator[Floats]:
    yield np.ones_like(labels)
    yield labels
    for of_model in logits:
        values = np.asarray(of_model, np.float64)
        probabilities = sigmoid(values)
        yield np.logaddexp(0.0, values) - labels * values
        yield np.square(probabilities - labels)
        yield probabilities
        yield pr_auc_influence(labels, values)
        places = np.array_split(np.argsort(probabilities, kind="stable"), _BINS)
        for place in places:
            distance = np.zeros_like(labels)
            distance[place] = probabilities[place] - labels[place]
            yield distance


def _resamples(groups: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Counts (t, G) of how often each group was drawn, of `REPLICATES` in all."""
    at_once = max(1, _COUNTS_AT_ONCE // groups)
    for start in range(0, REPLICATES, at_once):
        count = min(at_once, REPLICATES - start)
        drawn = rng.integers(groups, size=(count, groups)) + groups * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * groups).reshape(count, groups).astype(np.float64)


def _figures(sums: Floats, model: int, pr: float | None) -> dict[str, Floats]:
    """Sums (T, K) -> each figure (T,); no finite number where the labels leave it undefined. pr: the PR-AUC of all."""
    rows, clicks = sums[:, 0], sums[:, 1]
    loss, square, probability, influence, *bins = sums[:, _OF_ROWS + _OF_MODEL * model :][:, :_OF_MODEL].T
    rate = clicks / rows
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
        return {
            "log_loss": loss / rows,
            "normalised_entropy": loss / rows / entropy,
            "pr_auc": np.where(clicks > 0, (np.nan if pr is None else pr) + influence / rows, np.nan),
            "calibration_ratio": probability / clicks,
            "ece": np.abs(bins).sum(axis=0) / rows,
            "brier": square / rows,
        }
