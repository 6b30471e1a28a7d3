"""Do two settings differ, given the figures of several seeds of each? Welch's t test, for unequal variances.

    t = (mean_2 - mean_1) / e,  e^2 = s_1^2 / n_1 + s_2^2 / n_2
    degrees of freedom = e^4 / ((s_1^2 / n_1)^2 / (n_1 - 1) + (s_2^2 / n_2)^2 / (n_2 - 1))
    p = I(df / (df + t^2); df / 2, 1 / 2), the regularised incomplete beta function

Source: Welch 1947, Biometrika 34; Satterthwaite 1946; I by its continued fraction, Lentz's method: DLMF 8.17.22.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance

from ctrfast.significance.estimate import Difference

_TINY, _ENOUGH, _MOST_TERMS = 1e-300, 1e-15, 10_000


def welch_difference(earlier: Sequence[float], later: Sequence[float]) -> Difference:
    """Mean of the later values less that of the earlier, each at least two."""
    value = fmean(later) - fmean(earlier)
    shares = [variance(values) / len(values) for values in (earlier, later)]
    error = math.sqrt(sum(shares))
    if error == 0:
        return Difference(value, value, value, 1.0 if value == 0 else 0.0)
    freedom = sum(shares) ** 2 / sum(
        share**2 / (len(values) - 1) for share, values in zip(shares, (earlier, later), strict=True)
    )
    reach = t_reach(0.05, freedom) * error
    return Difference(value, value - reach, value + reach, t_p_value(value / error, freedom))


def t_p_value(t: float, freedom: float) -> float:
    """Probability of a Student t as far from 0, on either side."""
    return _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def t_reach(p: float, freedom: float) -> float:
    """The t whose two-sided probability is p, by halving."""
    low, high = 0.0, 1.0
    while t_p_value(high, freedom) > p:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_p_value(middle, freedom) > p else (low, middle)
    return (low + high) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """I(x; a, b)."""
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast below
        return 1 - _incomplete_beta(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    """1 + d_1 / (1 + d_2 / (1 + ...)), the denominator of DLMF 8.17.22."""
    value = c = 1.0
    d = 0.0
    for term in range(1, _MOST_TERMS):
        m = term // 2
        if term % 2:
            factor = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            factor = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + factor * d or _TINY)
        c = 1 + factor / c or _TINY
        value *= c * d
        if abs(c * d - 1) < _ENOUGH:
            break
    return value
