"""Drift of a field between two splits: the population stability index.

    PSI = sum over bins b of (q_b - p_b) ln(q_b / p_b)        p: shares in the training split, q: in the other split

Half a row is added to each bin that has rows in either split, so that an empty one gives no infinity. The usual reading
is: below 0.1 no drift to speak of, 0.1 to 0.25 some, above 0.25 the field is another one. Between two samples of n and
m rows of one population, PSI / (1/n + 1/m) follows a chi-squared distribution with B - 1 degrees of freedom: small
splits and many bins give a high PSI by chance, and `psi_by_chance` tells how high.

Bins of an id field: unseen, missing, its 100 most frequent training values, all others. Bins of a numeric field:
missing, ten training quantiles.

The training split taught the vocabulary, so its own share of unseen values is too low; with min_count 1 it is 0. What
is expected instead is the number of its rows whose value would be unseen without that very row: those that are unseen,
and those whose value occurs exactly min_count times (Good-Turing). These are moved before the PSI is taken; without
this, every field with many rare values would seem to drift, also between random halves.

Source: S. Lewis, An Introduction to Credit Scoring, 1994; B. Yurdakul, Statistical Properties of Population Stability
Index, Western Michigan University, 2018 (the distribution); I. J. Good, Biometrika 40, 1953 (unseen values).
Differs from the source: half a row is added.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ctrfast.data.report.quantiles import Counts
from ctrfast.schema import UNSEEN_ID

Measure = Callable[[Counts, Counts], float]

SOME, LARGE = 0.1, 0.25  # the usual reading
NUMBER_PARTS = 10
_ADDED_ROWS = 0.5
_DIGITS = 6  # the last bits of a logarithm are the machine's own
_CHANCE = 3.0902  # 99.9 % of a normal distribution lie below, in standard deviations


def psi(expected: Counts, actual: Counts) -> float:
    """PSI of two counts of rows (B,) by bin; bins without any row are left out. 0 where either has no rows."""
    if not expected.any() or not actual.any():
        return 0.0
    used = (expected > 0) | (actual > 0)
    p, q = (counts[used] + _ADDED_ROWS for counts in (expected, actual))  # (B,)
    p, q = p / p.sum(), q / q.sum()
    return round(float(((q - p) * np.log(q / p)).sum()), _DIGITS)


def psi_by_chance(expected: Counts, actual: Counts) -> float:
    """What the PSI of two samples of one population, of these sizes and bins, stays below 999 times in 1,000.

    The quantile of chi-squared is that of Wilson and Hilferty, Proc. Natl. Acad. Sci. 17, 1931; within 4 %, the
    less the more bins there are.
    """
    freedom = int(((expected > 0) | (actual > 0)).sum()) - 1
    if freedom < 1 or not expected.any() or not actual.any():
        return 0.0
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + _CHANCE * math.sqrt(spread)) ** 3
    return round((1 / int(expected.sum()) + 1 / int(actual.sum())) * quantile, _DIGITS)


def with_expected_unseen(head: Counts, rare_rows: int) -> Counts:
    """Training counts with the unseen rows that other rows drawn alike would have.

    Args:
        head: (2 + T + 1,) rows of the unseen id, the missing id, the T most frequent values, and all others.
        rare_rows: rows whose value is among "all others" and occurs exactly min_count times.
    """
    moved = min(rare_rows, int(head[-1]))
    expected = head.copy()
    expected[UNSEEN_ID] += moved
    expected[-1] -= moved
    return expected


def number_counts(histogram: Counts, missing: int, part: Counts, zero: int) -> Counts:
    """(1 + NUMBER_PARTS,) rows of a numeric field: missing ones, then by training quantile.

    Args:
        histogram: (K,) rows by fine bin; shards hold 0 for what is missing.
        missing: rows that are missing.
        part: (K,) part of each fine bin.
        zero: the fine bin of 0.
    """
    present = without_missing(histogram, missing, zero)
    by_part = np.bincount(part, weights=present, minlength=NUMBER_PARTS).astype(np.int64)
    return np.concatenate([[histogram.sum() - present.sum()], by_part])


def without_missing(histogram: Counts, missing: int, zero: int) -> Counts:
    """A histogram (K,) without the missing rows, which stand in the bin of 0."""
    present = histogram.copy()
    present[zero] -= min(missing, int(present[zero]))
    return present
