"""Which split a row belongs to, from its place among all usable rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ctrfast.errors import ConfigError, unknown_name

_HOW = ("random", "sequential")


@dataclass(frozen=True)
class Splitter:
    """random: one draw per row from the seed. sequential: the first rows train, then valid, the last ones test.

    Args:
        how: one of the two.
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
        """(rows,) index into `SPLITS` of the rows from `first_row` on, of `total`; however rows come in blocks."""
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
