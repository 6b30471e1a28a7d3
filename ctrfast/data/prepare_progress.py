"""How far a preparation is, and how fast it goes.

pace = Pace()
prepare(..., on_progress=lambda progress: print(progress.share, pace.after(progress)))
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

# Share of the work that is done before a stage, and share of the stage.
_STAGES = {"read": (0.0, 0.5), "fit": (0.5, 0.2), "write": (0.7, 0.3)}


@dataclass(frozen=True)
class PrepareProgress:
    """How far the work is.

    stage: "read", "fit" or "write". rows: of that stage; total_rows: None while reading. share: 0 to 1 of the whole
    work; it never falls. While reading it goes by the bytes of the inputs as they are stored.
    """

    stage: str
    rows: int
    total_rows: int | None
    share: float

    @classmethod
    def of(cls, stage: str, rows: int, total_rows: int | None, done: float) -> PrepareProgress:
        """The progress when `done` (0 to 1) of a stage is done."""
        before, share = _STAGES[stage]
        return cls(stage, rows, total_rows, before + share * min(max(done, 0.0), 1.0))


@dataclass(frozen=True)
class Speed:
    """rows_per_s: of the stage. eta_s: seconds until all is done. None until known."""

    rows_per_s: float | None
    eta_s: float | None


class Pace:
    """Measures speed from one report to the next; what an earlier process did counts for nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = self._stage_started = clock()
        self._stage = ""
        self._first_share: float | None = None
        self._first_rows = 0

    def after(self, progress: PrepareProgress) -> Speed:
        """The speed as of a report that has just come."""
        now = self._clock()
        if self._first_share is None:
            self._first_share, self._started = progress.share, now
        if progress.stage != self._stage:
            self._stage, self._stage_started, self._first_rows = progress.stage, now, progress.rows
        rows, seconds = progress.rows - self._first_rows, now - self._stage_started
        gained = progress.share - self._first_share
        eta = (now - self._started) * (1 - progress.share) / gained if gained > 0 else None
        return Speed(rows / seconds if rows > 0 and seconds > 0 else None, eta)
