"""Quantiles of float32 values from one pass in fixed memory: a histogram whose bins are 0.1 % wide.

A bin holds the values that agree in sign, exponent and the first ten bits of the fraction, for sizes from 2^-20 to
2^20; larger ones share the outermost bins, smaller ones share that of zero. Counts of blocks add up, in any order.

    counts = np.bincount(fine_bins(values), minlength=BINS)
    part = quantile_parts(counts, 10)          # (BINS,) which of ten equal parts of the rows a bin belongs to
    np.bincount(part, weights=counts)          # rows by part
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

_FRACTION_BITS = 10
_LOWEST, _HIGHEST = -20, 20  # exponents of two
_SHIFT = 23 - _FRACTION_BITS  # a float32 has 23 bits of fraction, then 8 of exponent with bias 127
_FIRST = (127 + _LOWEST) << _FRACTION_BITS
_SIZES = (_HIGHEST - _LOWEST) << _FRACTION_BITS

ZERO = _SIZES  # the bin of zero
BINS = 2 * _SIZES + 1


def fine_bins(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """(R,) bin of each value (R,), rising with the value. Values must be numbers; infinite ones are the outermost."""
    bits = np.ascontiguousarray(values).view(np.int32)
    size = np.clip(((bits & 0x7FFFFFFF) >> _SHIFT) - _FIRST + 1, 0, _SIZES)
    bins: npt.NDArray[np.int32] = np.where(bits < 0, ZERO - size, ZERO + size).astype(np.int32)
    return bins


def quantile_parts(counts: Counts, parts: int) -> Counts:
    """Cut a histogram (K,) into parts with equally many rows, as far as its bins allow.

    Returns: (K,) the part of each bin, 0 to `parts` - 1, never falling. A bin belongs where its last row does; a bin
    that holds more than one part's rows leaves parts empty.
    """
    upto = np.cumsum(counts)
    total = max(int(upto[-1]), 1)
    part: Counts = np.clip(-(-upto * parts // total) - 1, 0, parts - 1)
    return part
