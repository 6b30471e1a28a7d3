"""Numbers -> texts of ids: the bucket that a number falls into.

    log_squared    "floor(ln(x)^2)" for x > 2, "trunc(x)" otherwise, also for negative x
    quantile       "number of edges <= x", from "0" on; the edges cut the training rows into parts of equal size

Source of log_squared: the winners of the Criteo challenge (Juan, Zhuang and Chin 2014), taken over by benchmark papers
such as Song et al. 2019, "AutoInt", arXiv:1810.11921, section 5.1.
Differs from that code: fractions of x <= 2 are cut off, where it knows whole numbers alone. As there, some buckets hold
both: ln(2.5)^2 and 0 are "0".

Numbers are compared with edges, never logarithms with each other: columns and single rows, on any machine, agree.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ctrfast.data.cells import LARGEST
from ctrfast.schema import IdField

Floats = npt.NDArray[np.float64]

# Edge k - 1 is the least number with ln(x)^2 >= k.
_LOG_SQUARED_EDGES = np.array([math.exp(math.sqrt(k)) for k in range(1, math.floor(math.log(LARGEST) ** 2) + 1)])


def bucket_numbers(values: Floats, field: IdField, edges: Floats | None) -> Floats:
    """(R,) whole numbers of the buckets of numbers (R,), NaN where missing.

    Args:
        values: NaN = missing.
        field: has a `bucket`.
        edges: (E,) rising, for quantile buckets.
    """
    if field.bucket == "log_squared":
        logs = np.searchsorted(_LOG_SQUARED_EDGES, values, side="right").astype(np.float64)
        return np.where(values > 2, logs, np.trunc(values))
    if edges is None:
        raise ValueError(f"The edges of {field.name} are needed. Fit the field first.")
    return np.where(np.isnan(values), np.nan, np.searchsorted(edges, values, side="right").astype(np.float64))


def bucket_texts(buckets: Floats) -> list[str | None]:
    """Texts of the ids of R buckets; None where missing."""
    return [None if math.isnan(bucket) else str(int(bucket)) for bucket in buckets.tolist()]


def quantile_edges(values: Floats, buckets: int) -> Floats:
    """Edges (E,), E < buckets, that cut numbers (R,) into parts of equal size; fewer where numbers repeat."""
    if not len(values):
        return np.empty(0)
    return np.unique(np.quantile(values, np.arange(1, buckets) / buckets))
