"""How far a run is, told about twice a second.

meter = ProgressMeter(print, first_step=0, total_steps=686, steps_per_epoch=343, batch_size=1024)
meter.tell(57, {"loss": 0.43})
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypedDict

_INTERVAL_S = 0.5


class Measured(TypedDict):
    """What was measured at a step: metrics, and what is counted for each id field, as `clipped_share.C1`."""

    epoch: int
    step: int
    metrics: dict[str, float]
    by_field: dict[str, float]


@dataclass(frozen=True)
class Progress:
    """Where a run is. fraction: 0..1 of all steps. eta_s: seconds to go, `None` until known. metrics: the latest.

    by_field: the latest of what is counted by id field or expert. measured: all since the progress before this one.
    """

    epoch: int
    step: int
    total_steps: int
    rows: int
    fraction: float
    eta_s: float | None
    metrics: dict[str, float] = field(default_factory=dict)
    by_field: dict[str, float] = field(default_factory=dict)
    measured: list[Measured] = field(default_factory=list)


class ProgressMeter:
    """Makes `Progress` of step numbers.

    Args:
        listener: called with each progress.
        first_step: where this part of the run began.
        total_steps: of the whole run; set it anew where the run ends earlier.
        steps_per_epoch: of the training split.
        batch_size: rows per step.
    """

    def __init__(
        self,
        listener: Callable[[Progress], None],
        *,
        first_step: int,
        total_steps: int,
        steps_per_epoch: int,
        batch_size: int,
    ) -> None:
        self._listener = listener
        self._first_step = first_step
        self.total_steps = total_steps
        self._steps_per_epoch = steps_per_epoch
        self._batch_size = batch_size
        self._started = time.monotonic()
        self._last = 0.0
        self._measured: list[Measured] = []

    def note(self, step: int, metrics: Mapping[str, float], by_field: Mapping[str, float]) -> None:
        """Keep what was measured at a step until the next telling."""
        measured = Measured(epoch=self._epoch(step), step=step, metrics=dict(metrics), by_field=dict(by_field))
        self._measured.append(measured)

    def tell(
        self,
        step: int,
        metrics: Mapping[str, float],
        by_field: Mapping[str, float] = MappingProxyType({}),
        *,
        force: bool = False,
    ) -> None:
        """Tell the listener, unless it was told just now. step: optimizer steps taken."""
        now = time.monotonic()
        if not force and now - self._last < _INTERVAL_S:
            return
        self._last = now
        done = step - self._first_step
        measured, self._measured = self._measured, []
        self._listener(
            Progress(
                epoch=self._epoch(step),
                step=step,
                total_steps=self.total_steps,
                rows=step * self._batch_size,
                fraction=step / self.total_steps,
                eta_s=(now - self._started) / done * (self.total_steps - step) if done else None,
                metrics=dict(metrics),
                by_field=dict(by_field),
                measured=measured,
            )
        )

    def _epoch(self, step: int) -> int:
        return max(step - 1, 0) // self._steps_per_epoch
