"""Raw numbers -> inputs of numeric fields: transform, then scale. The one implementation, for preparing and scoring.

    identity       x
    log_squared    ln(x)^2 for x > 2, x otherwise
    log1p          sign(x) ln(1 + |x|)

    input = (transform(x) - shift) / factor        missing: (mean - shift) / factor

with the training mean and deviation (`standard`), the least training value and the width (`min_max`), or 0 and 1
(`none`) as shift and factor. Inputs stay within float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ctrfast.data.cells import LARGEST
from ctrfast.fitted_schema import Statistics
from ctrfast.schema import NumericField

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.float32]


class NumberInputs:
    """Makes the inputs of N numeric fields, all at once: a request of one row pays numpy's calls once, not N times."""

    def __init__(self, fields: Sequence[NumericField], statistics: Mapping[str, Statistics]) -> None:
        self._is_log_squared = np.array([field.transform == "log_squared" for field in fields], dtype=bool)
        self._is_log1p = np.array([field.transform == "log1p" for field in fields], dtype=bool)
        places = [_shift_factor_missing(field, statistics[field.name]) for field in fields]
        self._shift, self._factor, self._missing = np.array(places, np.float64).reshape(len(places), 3).T  # (N,) each

    def of(self, values: Floats) -> Numbers:
        """Inputs (R, N) of raw numbers (R, N), NaN where missing."""
        return self.of_transformed(_transform(values, self._is_log_squared, self._is_log1p))

    def of_transformed(self, values: Floats) -> Numbers:
        """Inputs (R, N) of numbers that are transformed already."""
        scaled = (values - self._shift) / self._factor
        scaled = np.where(np.isnan(scaled), self._missing, scaled)
        numbers: Numbers = np.maximum(np.minimum(scaled, LARGEST), -LARGEST).astype(np.float32)
        return numbers


def transformed(values: Floats, field: NumericField) -> Floats:
    """(R,) numbers after the field's transform, NaN where missing: what is scaled."""
    return _transform(values, np.array(field.transform == "log_squared"), np.array(field.transform == "log1p"))


def missing_input(field: NumericField, statistics: Statistics) -> np.float32:
    """What a missing value of a field becomes."""
    return np.float32(NumberInputs((field,), {field.name: statistics}).of(np.array([[np.nan]]))[0, 0])


def _shift_factor_missing(field: NumericField, learned: Statistics) -> tuple[float, float, float]:
    if field.scale == "standard":
        return learned.mean, learned.std, 0.0
    shift, factor = 0.0, 1.0
    if learned.least is not None and learned.width is not None:  # `FittedSchema` holds that min_max has both
        shift, factor = learned.least, learned.width
    return shift, factor, (learned.mean - shift) / factor


def _transform(values: Floats, is_log_squared: npt.NDArray[np.bool_], is_log1p: npt.NDArray[np.bool_]) -> Floats:
    """Values (R,) or (R, N); which transform: a scalar or (N,). NaN stays NaN."""
    if is_log_squared.any():
        values = np.where(is_log_squared & (values > 2), np.log(np.maximum(values, 1.0)) ** 2, values)
    if is_log1p.any():
        values = np.where(is_log1p, np.copysign(np.log1p(np.abs(values)), values), values)
    return values
