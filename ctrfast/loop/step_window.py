"""Figures of the steps since the last record: mean loss, rows/s, waiting for input, clipped rows per table.

Tensors stay on the device until the record is made. A checkpoint holds the open window too, so that a run that goes on
from between two records writes the same ones.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Floats = npt.NDArray[np.float32]


class StepWindow:
    """Gathers what a step returns.

    Args:
        tables: their names, in order; None for rows that no figure counts (`FittedSchema.row_ranges`).
        earlier: `tensors()` of a window that a checkpoint cut off.
    """

    NAMES = ("window.loss", "window.present", "window.clipped")

    def __init__(self, tables: tuple[str | None, ...], earlier: Mapping[str, Floats] | None = None) -> None:
        self._tables = tables
        self._counted = np.array([name is not None for name in tables], bool)
        columns = [earlier[name] for name in self.NAMES] if earlier else []
        self._steps: list[tuple[tf.Tensor | Floats, ...]] = list(zip(*columns, strict=True))
        self._rows = 0
        self._started = time.monotonic()
        self._waited_s = 0.0

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: tuple[tf.Tensor | Floats, ...], *, rows: int, waited_s: float) -> None:
        """Take in a step: loss (), present (T,), clipped (T,); rows of its batch; seconds that it waited for them."""
        self._steps.append(step)
        self._rows += rows
        self._waited_s += waited_s

    def tensors(self) -> dict[str, Floats]:
        """All steps by name: loss (S,), present and clipped (S, T), float32."""
        T = len(self._tables)
        columns = zip(*self._steps, strict=True) if self._steps else ((), (), ())
        shapes = ((-1,), (-1, T), (-1, T))
        return {
            name: np.asarray([np.asarray(part) for part in column], np.float32).reshape(shape)
            for name, column, shape in zip(self.NAMES, columns, shapes, strict=True)
        }

    def record(self) -> dict[str, Any]:
        """Mean loss, rows/s, share of time waiting for input, share of clipped among present rows, and per table."""
        loss, present, clipped = self.tensors().values()
        present, clipped = present[:, self._counted], clipped[:, self._counted]
        names = [name for name in self._tables if name is not None]
        seconds = max(time.monotonic() - self._started, 1e-9)
        shares = clipped.sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        return {
            "loss": float(loss.mean()),
            "rows_per_s": self._rows / seconds,
            "input_wait_share": self._waited_s / seconds,
            "clipped_share": float(clipped.sum() / max(float(present.sum()), 1.0)),
            "clipped_share_by_field": {name: float(share) for name, share in zip(names, shares, strict=True)},
        }
