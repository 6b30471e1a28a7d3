"""How rows are split, and the split that follows from a row's place among all usable rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ctrfast.errors import ConfigError, unknown_name
from ctrfast.schema import Schema

_HOW = ("random", "sequential", "time", "column")


@dataclass(frozen=True)
class Splitter:
    """random: one draw per row from the seed. sequential: the first rows train, then valid, the last ones test.

    `time` and `column` are those of `ctrfast.data.row_splits`: by these fractions, and regardless of them.

    Args:
        how: one of the four.
        valid_fraction: share of rows to validate on.
        test_fraction: share of rows to test on; the rest trains.
        seed: of the draws.

    Raises:
        ConfigError: a setting breaks a rule.
    """

    how: str
    valid_fraction: float
    test_fraction: float
    seed: int

    def __post_init__(self) -> None:
        if self.how not in _HOW:
            raise unknown_name("split", self.how, _HOW, path="split")
        for name in ("valid_fraction", "test_fraction"):
            fraction = getattr(self, name)
            if not 0 <= fraction < 1:
                raise ConfigError(f"`{name}` must be in [0, 1). Got {name}={fraction}.", path=name)
        if self.valid_fraction + self.test_fraction >= 1:
            raise ConfigError(
                "`valid_fraction` + `test_fraction` must be < 1, so that rows are left to train on. "
                f"Got {self.valid_fraction} + {self.test_fraction}.",
                path="valid_fraction",
            )
        if self.seed < 0:
            raise ConfigError(f"`seed` must be >= 0. Got seed={self.seed}.", path="seed")

    def splits(self, first_row: int, rows: int, total: int) -> npt.NDArray[np.int8]:
        """(rows,) index into `SPLITS` of the rows from `first_row` on, of `total`; however rows come in blocks.

        For `random` and `sequential`, where it follows from the place.
        """
        test, valid = Fraction(str(self.test_fraction)), Fraction(str(self.valid_fraction))
        if self.how == "random":
            bits = np.random.PCG64(self.seed).advance(first_row)  # one step per draw
            place: npt.NDArray[np.float64] | npt.NDArray[np.int64] = np.random.Generator(bits).random(rows)
            edges = [float(1 - valid - test), float(1 - test)]
        else:
            place = np.arange(first_row, first_row + rows)
            # Fractions, since 10 * (1 - 0.9) in floats is below 1 and its floor 0.
            edges = [math.floor(total * (1 - valid - test)), math.floor(total * (1 - test))]
        return np.searchsorted(edges, place, side="right").astype(np.int8)


def check_split(schema: Schema, split: str, split_column: str | None) -> None:
    """Refuse a split that a schema does not allow.

    Raises:
        ConfigError: split and schema do not go together.
    """
    if split == "time" and schema.timestamp is None:
        problem = f"`split` can be time only where the schema has a `timestamp`. The schema {schema.name!r} has none."
        raise ConfigError(f"{problem} Add it, or choose another split.", path="split")
    if (split == "column") != (split_column is not None):
        problem = f"`split_column` goes with split=column. Got split={split}, split_column={split_column}."
        raise ConfigError(f"{problem} Give both, or neither.", path="split_column")
    if split_column is not None and split_column not in schema.columns:
        problem = f"`split_column` must be one of the schema's columns. Got {split_column!r}."
        raise ConfigError(f"{problem} Add it to `columns`, or choose another.", path="split_column")


def check_negative_rate(schema: Schema, rate: float) -> None:
    """Raise ConfigError where `negative_rate` is not in (0, 1], or is below 1 beside several labels."""
    if not 0 < rate <= 1:
        raise ConfigError(f"`negative_rate` must be in (0, 1]. Got negative_rate={rate}.", path="negative_rate")
    if rate < 1 and schema.tasks:
        problem = "`negative_rate` must be 1 for several labels: models correct the first one's probabilities alone."
        raise ConfigError(f"{problem} Got negative_rate={rate}. Leave it out.", path="negative_rate")
