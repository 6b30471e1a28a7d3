"""Live traffic of one version in one process, for its drift: rows are kept for a moment and counted together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctrfast.drift import DriftReport, LiveTally
from ctrfast.score import Scorer

_ROWS = 256  # counted at once: a call for a single row takes nearly as long

Ids = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.float32]


class LiveRows:
    """Belongs to one event loop.

    Args:
        scorer: of the version. Without `reference.json` in its bundle nothing is counted.
    """

    def __init__(self, scorer: Scorer) -> None:
        reference = scorer.bundle.reference()
        self._tally = LiveTally(reference, scorer.encoder.fitted) if reference is not None else None
        self._kept: list[tuple[Ids, Numbers]] = []
        self._rows = 0

    def add(self, ids: Ids, numbers: Numbers) -> None:
        """Take in scored rows: ids (R, S) local to their tables, numbers (R, N)."""
        if self._tally is None:
            return
        self._kept.append((ids, numbers))
        self._rows += len(ids)
        if self._rows >= _ROWS:
            self._count(self._tally)

    def report(self) -> DriftReport | None:
        """How far the last 24 hours are from the training rows; None where the bundle does not know those."""
        if self._tally is None:
            return None
        self._count(self._tally)
        return self._tally.report()

    def _count(self, tally: LiveTally) -> None:
        if self._kept:
            tally.add(
                np.concatenate([ids for ids, _ in self._kept]), np.concatenate([numbers for _, numbers in self._kept])
            )
        self._kept, self._rows = [], 0
