"""Learn from the training split: mean and deviation of each numeric field, vocabulary of each id field.

    fitter = Fitter(schema)
    fitter.add(block.columns, is_train)       # rows outside the training split must not be seen
    encoder = fitter.encoder(min_count=1)

Validation and test rows leave no trace: an id that only they hold is unseen.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.encode import Encoder, distinct, field_values, transformed
from ctrfast.data.vocabulary import ValueCounter, Vocabulary, hash_vocabularies
from ctrfast.schema import FittedSchema, Schema, Statistics

_ROUNDING = 1e-9


class Moments:
    """Mean and deviation of a stream of numbers, in float64, merged block by block.

    Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", Eq. 2.1: no cancellation as
    with sums of squares. The deviation is the population's (divided by n).
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0  # sum of (x - mean)^2

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Take numbers; NaN means missing and does not count."""
        values = values[~np.isnan(values)]
        if not len(values):
            return
        mean = float(values.mean())
        total = self.count + len(values)
        shift = mean - self.mean
        self._squares += float(((values - mean) ** 2).sum()) + shift**2 * self.count * len(values) / total
        self.mean += shift * len(values) / total
        self.count = total

    def statistics(self) -> Statistics:
        """Mean and deviation; a constant or an empty field gets deviation 1, so that it can be divided by."""
        std = (self._squares / self.count) ** 0.5 if self.count else 0.0
        is_constant = std <= _ROUNDING * max(1.0, abs(self.mean))  # what rounding leaves of a constant is no deviation
        return Statistics(mean=self.mean, std=1.0 if is_constant else std)


class Fitter:
    """Gathers statistics and counts under a schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._moments = {name: Moments() for name in schema.numeric_names}
        self._counters = {name: ValueCounter() for name in schema.id_names}
        self.rows = 0

    def add(self, columns: Mapping[str, pa.Array], train: npt.NDArray[np.bool_]) -> None:
        """Learn from the rows of a block for which `train` (R,) is true; all input columns must be there."""
        self.rows += int(train.sum())
        for number in self._schema.numeric_fields:
            self._moments[number.name].add(transformed(columns[number.name], number)[train])
        for field in self._schema.id_fields:
            values, codes = distinct(columns[field.source])
            counts = np.bincount(codes[train], minlength=len(values) + 1)[:-1]  # without the missing ones
            seen = np.flatnonzero(counts)
            self._counters[field.name].add(field_values(values.take(pa.array(seen)), field), counts[seen])

    def encoder(self, min_count: int) -> Encoder:
        """Fit: values that occur fewer than `min_count` times share the unseen id."""
        vocabularies = {name: Vocabulary.fit(counter.table(), min_count) for name, counter in self._counters.items()}
        fitted = FittedSchema(
            schema_=self._schema,
            statistics={name: moments.statistics() for name, moments in self._moments.items()},
            vocabulary_sizes={name: len(vocabulary) for name, vocabulary in vocabularies.items()},
            vocabulary_hash=hash_vocabularies(vocabularies),
        )
        return Encoder(fitted, vocabularies)
