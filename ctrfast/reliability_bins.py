"""Click rates predicted and seen, in bins of equally many rows: what a reliability diagram shows.

bins = Reliability.of(labels, probabilities)
bins.predicted, bins.seen, bins.low, bins.high       # (K,) each
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BINS = 20
_LEAST_ROWS = 5  # of a bin
_Z = 1.96

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Bins (K,) in rising order. low, high: of the 95 % interval about the rate seen. rows: of each bin."""

    predicted: Doubles
    seen: Doubles
    low: Doubles
    high: Doubles
    rows: npt.NDArray[np.int64]

    @classmethod
    def of(cls, labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = _BINS) -> Reliability:
        """Bins of rows: labels (R,) 0 or 1, probabilities (R,). R is at least 1; few rows make fewer bins.

        Source of the interval: Wilson 1927, Probable inference, the law of succession, and statistical inference.
        """
        y, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
        order = np.argsort(p, kind="stable")
        parts = np.array_split(order, max(1, min(bins, len(order) // _LEAST_ROWS)))
        rows = np.array([len(part) for part in parts])
        seen = np.array([y[part].mean() for part in parts])
        centre = (seen + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
        reach = _Z / (1 + _Z**2 / rows) * np.sqrt(seen * (1 - seen) / rows + (_Z / (2 * rows)) ** 2)
        return cls(np.array([p[part].mean() for part in parts]), seen, centre - reach, centre + reach, rows)
