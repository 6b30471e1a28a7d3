"""The fused table and Adam's moments in the machine's memory: updated in place, by threads, absent rows later.

    table = RowTable(settings, start, starts=[0, 2, 5], most_ids=ids.size)
    rows = table.take(ids)                            # (B, S, W), after all steps so far
    table.add(ids, gradients)                         # of the batch, or part by part
    present, clipped = table.update(rate)             # one step

A dense step moves every row, most of them by L2 and momentum alone, and a pass over the table waits for memory most of
the time. So a row that is absent from the batches waits until it is asked for, and at most `_PERIOD` steps: each step
settles another part of the table, which stays in the cache while it takes all the steps that it has missed. The
arithmetic is that of each single step (`ctrfast.optim.row_kernels`). Batches with many of the rows move all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ctrfast.data.ahead import threads
from ctrfast.errors import DataError
from ctrfast.optim.cowclip import smallest_norm
from ctrfast.optim.row_kernels import add_gradients, gather, settle_listed, settle_range, step_listed, step_range
from ctrfast.optim.step_settings import StepSettings

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_PERIOD = 16  # steps in which every row is settled once
_MANY = 1 / 8  # ids of a batch, per row of the table, from which on one pass over all rows is as fast
_PIECES = 8  # of a pass, per thread: some hold more rows of the batch than others


class RowTable:
    """V rows of W = D+1 numbers, the last of them the linear weight; T tables one behind the other.

    Args:
        settings: L2, clip, and which rows a step moves; `by_row` must hold.
        start: (V, W) float32, which becomes the table.
        starts: (T,), first row of each table, rising from 0.
        most_ids: at most so many are added before an update.
    """

    def __init__(self, settings: StepSettings, start: Floats, starts: Sequence[int], most_ids: int) -> None:
        V, W = start.shape
        self.weight = np.ascontiguousarray(start, np.float32)
        self.first, self.second = np.zeros_like(self.weight), np.zeros_like(self.weight)
        self.step = 0
        self._is_dense = settings.update == "dense"
        self._penalty = np.float32(2.0 * settings.l2)
        self._beta_1 = settings.beta_1
        self._ratio = np.float32(0 if settings.clip == "none" else settings.clip_ratio)
        self._floor = np.float32(smallest_norm(W - 1, ratio=float(self._ratio), bound=settings.bound or 0.0))
        self._starts = np.asarray(starts, np.int32)
        self._taken = np.zeros(V, np.int32)  # steps
        self._rates = np.zeros(2 * _PERIOD, np.float32)
        self._place = np.full(V, -1, np.int32)
        self._parts = 1 << (threads().bit_length() - 1)  # threads: a power of 2, by which rows are shared out fast
        self._pool = ThreadPoolExecutor(self._parts, "rows")
        most = min(most_ids, V)  # of memory that is never written, no page is taken
        self._is_whole = self._is_dense and most_ids >= V * _MANY
        self._present = np.empty((self._parts, most), np.int32)
        self._sums = np.empty((self._parts, most * (W + 1)), np.float32)
        self._found = [0] * self._parts
        self._adding: list[Future[int]] = []
        self._settling: list[Future[None]] = []

    def take(self, ids: Ints) -> Floats:
        """The weights of rows (..., S) int32 after all steps so far, (..., S, W).

        Raises:
            DataError: an id is no row of the table.
        """
        V, W = self.weight.shape
        flat = ids.reshape(-1)
        if not 0 <= int(flat.min()) <= int(flat.max()) < V:
            raise DataError(f"Ids must be rows of the table, 0 to {V - 1:,}. Got {flat.min():,} to {flat.max():,}.")
        if self._is_dense and not self._is_whole:
            self._run(settle_listed, [(*self._rows, flat, part, self._parts, *self._missed) for part in self._each])
        out = np.empty(flat.size * W, np.float32)
        pieces = _cut(0, flat.size, self._parts)
        self._run(gather, [(self._rows[0], W, flat[a:b], out[a * W : b * W]) for a, b in pieces])
        return out.reshape(*ids.shape, W)

    def settle_some(self) -> None:
        """Begin to bring a part of the table up to date, beside other work, after a step's last `take`.

        Else `update` does so: a row may miss as many steps as there are rates in the ring, and no more.
        """
        if self._is_dense and not self._is_whole:
            size = -(-len(self.weight) // _PERIOD)
            start = self.step % _PERIOD * size
            self._settling = self._settle(start, min(start + size, len(self.weight)))

    def settle(self) -> None:
        """Bring all rows up to date."""
        if self._is_dense:
            _results(self._settle(0, len(self.weight)))

    def add(self, ids: Ints, gradients: Floats) -> None:
        """Begin to add up gradients (..., S, W) of the global batch's mean loss, by rows (..., S) that were taken."""
        self._found = _results(self._adding) or self._found
        flat, flat_gradients, W = ids.reshape(-1), gradients.reshape(-1), self.weight.shape[1]
        lists = zip(self._each, self._present, self._sums, self._found, strict=True)
        self._adding = self._begin(
            add_gradients,
            [
                (flat, flat_gradients, W, part, self._parts, self._place, present, sums, found)
                for part, present, sums, found in lists
            ],
        )

    def update(self, rate: float) -> tuple[Floats, Floats]:
        """Take a step.

        Args:
            rate: of the step, with Adam's bias correction: lr sqrt(1 - b2^t) / (1 - b1^t).

        Returns:
            Per table, float32 (T,): rows present in the batch, and how many of these were clipped.
        """
        found = _results(self._adding)
        if not self._settling:
            self.settle_some()
        _results(self._settling)
        self._adding, self._settling, self._found = [], [], [0] * self._parts
        self.step += 1
        self._rates[self.step % len(self._rates)] = rate
        counts = self._step_all() if self._is_whole else self._step_found(found)
        present, clipped = counts.sum(axis=0).T.astype(np.float32)
        return present, clipped

    def _step_all(self) -> Ints:
        """All rows; counts (pieces, T, 2)."""
        pieces = _cut(0, len(self.weight), self._parts * _PIECES)
        counts = np.zeros((len(pieces), len(self._starts), 2), np.int32)
        how = (self.step, self._rates, self._penalty, self._beta_1, self._ratio, self._floor, self._starts)
        self._run(
            step_range,
            [
                (*self._rows, self._place, self._sums, *piece, *how, count)
                for piece, count in zip(pieces, counts, strict=True)
            ],
        )
        return counts

    def _step_found(self, found: Sequence[int]) -> Ints:
        """The rows in the batch; counts (pieces, T, 2)."""
        W = self.weight.shape[1]
        rate = self._rates[self.step % len(self._rates)]
        how = (self.step, rate, self._penalty, self._beta_1, self._ratio, self._floor, self._starts)
        pieces = [(part, a, b) for part in self._each for a, b in _cut(0, found[part], self._parts)]
        counts = np.zeros((len(pieces), len(self._starts), 2), np.int32)
        self._run(
            step_listed,
            [
                (
                    *self._rows,
                    self._place,
                    self._present[part, a:b],
                    self._sums[part, a * (W + 1) : b * (W + 1)],
                    *how,
                    count,
                )
                for (part, a, b), count in zip(pieces, counts, strict=True)
            ],
        )
        return counts

    def stand_at(self, step: int) -> None:
        """Take the weights and moments, which the caller has set, for those after so many steps."""
        self.step = step
        self._taken[:] = step

    def forget(self) -> None:
        """Drop what was added since the last update: the step was broken off."""
        running: list[Future[Any]] = [*self._adding, *self._settling]
        wait(running)
        self._adding, self._settling, self._found = [], [], [0] * self._parts
        self._place.fill(-1)

    def close(self) -> None:
        """End the threads and free the table."""
        self._pool.shutdown()
        self.weight = self.first = self.second = np.empty((0, 0), np.float32)

    @property
    def _rows(self) -> tuple[Floats, Floats, Floats, Ints, int]:
        W = self.weight.shape[1]
        return self.weight.reshape(-1), self.first.reshape(-1), self.second.reshape(-1), self._taken, W

    @property
    def _missed(self) -> tuple[int, Floats, np.float32, float]:
        return self.step, self._rates, self._penalty, self._beta_1

    @property
    def _each(self) -> range:
        return range(self._parts)

    def _settle(self, start: int, end: int) -> list[Future[None]]:
        pieces = _cut(start, end, self._parts)
        return self._begin(settle_range, [(*self._rows, *piece, *self._missed) for piece in pieces])

    def _begin(self, loop: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Future[Any]]:
        return [self._pool.submit(loop, *call) for call in calls]

    def _run(self, loop: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> None:
        _results(self._begin(loop, calls))


def _cut(start: int, end: int, pieces: int) -> list[tuple[int, int]]:
    """About equal pieces of a range."""
    return list(pairwise(start + (end - start) * piece // pieces for piece in range(pieces + 1)))


def _results(running: Sequence[Future[Any]]) -> list[Any]:
    return [each.result() for each in running]
