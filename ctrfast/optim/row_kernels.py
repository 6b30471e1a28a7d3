"""Loops over rows of the table, compiled for the CPU: Adam in place, for rows in the batch and for absent ones.

V rows of W = D+1 numbers, flat: weight, first and second moment (V*W,) float32. The last number of a row is the linear
weight, which no clip reaches. `taken` (V,) int32 has the steps that each row has taken.

An absent row's step needs nothing but the row, so it may wait: `step_absent` takes all that a row has missed, each with
its own rate, and ends at the same bits whenever it does so. `rates[t % len(rates)]` is the rate of step t, with Adam's
bias correction: lr_t sqrt(1 - b2^t) / (1 - b1^t).

Loops that take a range, low <= k < high, touch these rows alone: threads share the table by ranges, and the results do
not depend on how. Rows are cut out as slices, since an index that may be negative keeps a loop from being vectorised.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctrfast.data.compiled import compiled
from ctrfast.optim.adam import BETA_1, BETA_2, EPSILON

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_RUN = 256  # rows taken through their steps together: with moments 34 KB at D = 10, which the cache holds
_B1, _B2, _EPSILON = np.float32(BETA_1), np.float32(BETA_2), np.float32(EPSILON)
_C1, _C2 = np.float32(1 - BETA_1), np.float32(1 - BETA_2)
_ZERO, _ONE = np.float32(0), np.float32(1)
_SMALLEST_NORMAL = np.finfo(np.float32).smallest_normal


@compiled
def step_absent(
    weight: Floats, first: Floats, second: Floats, start: int, end: int, rates: Floats, penalty: np.float32
) -> None:
    """Steps start+1..end of numbers that are in no batch: their gradient is penalty * weight, of L2 alone."""
    for step in range(start + 1, end + 1):
        rate = rates[step % rates.size]
        if penalty > _ZERO:
            for i in range(weight.size):
                gradient = penalty * weight[i]
                mean = _B1 * first[i] + _C1 * gradient
                square = _B2 * second[i] + _C2 * (gradient * gradient)
                first[i], second[i] = mean, square
                weight[i] -= rate * mean / (np.sqrt(square) + _EPSILON)
        else:  # moments fade to denormal numbers, which a processor handles slowly; TensorFlow, too, takes these as 0
            for i in range(weight.size):
                mean, square = _B1 * first[i], _B2 * second[i]
                first[i] = _ZERO if abs(mean) < _SMALLEST_NORMAL else mean
                second[i] = _ZERO if square < _SMALLEST_NORMAL else square
                weight[i] -= rate * first[i] / (np.sqrt(second[i]) + _EPSILON)


@compiled
def settle_range(
    weight: Floats, first: Floats, second: Floats, taken: Ints, W: int, low: int, high: int, step: int, rates: Floats,
    penalty: np.float32,
) -> None:  # fmt: skip
    """Bring rows low..high-1 to a step."""
    start = low
    while start < high:
        end = start + 1
        while end < high and end - start < _RUN and taken[end] == taken[start]:
            end += 1
        if taken[start] < step:
            a, b = start * W, end * W
            step_absent(weight[a:b], first[a:b], second[a:b], taken[start], step, rates, penalty)
            taken[start:end] = step
        start = end


@compiled
def settle_listed(
    weight: Floats, first: Floats, second: Floats, taken: Ints, W: int, ids: Ints, low: int, high: int, step: int,
    rates: Floats, penalty: np.float32,
) -> None:  # fmt: skip
    """Bring the listed rows, of those in the range, to a step."""
    for row in ids:
        if low <= row < high and taken[row] < step:
            a, b = row * W, row * W + W
            step_absent(weight[a:b], first[a:b], second[a:b], taken[row], step, rates, penalty)
            taken[row] = step


@compiled
def gather(weight: Floats, W: int, ids: Ints, out: Floats) -> None:
    """Copy the listed rows, (R,) ids, into (R*W,)."""
    for index in range(ids.size):
        source = weight[ids[index] * W : ids[index] * W + W]
        target = out[index * W : index * W + W]
        for i in range(W):
            target[i] = source[i]


@compiled
def add_gradients(
    ids: Ints, gradients: Floats, W: int, low: int, high: int, place: Ints, present: Ints, sums: Floats, count: int
) -> int:
    """Sum the gradients of each row in the range over its occurrences, and count these.

    Args:
        ids: (R,).
        gradients: (R*W,).
        W: numbers of a row.
        low: first row of the range.
        high: row after its last.
        place: (V,), each row's index in `present`, or -1.
        present: the rows found.
        sums: their W sums and the count, W+1 numbers each.
        count: rows found before.

    Returns:
        Rows found so far.
    """
    for index in range(ids.size):
        row = ids[index]
        if low <= row < high:
            at = place[row]
            if at < 0:
                at = count
                place[row], present[at] = at, row
                sums[at * (W + 1) : (at + 1) * (W + 1)] = _ZERO
                count += 1
            total = sums[at * (W + 1) : (at + 1) * (W + 1)]
            gradient = gradients[index * W : index * W + W]
            for i in range(W):
                total[i] += gradient[i]
            total[W] += _ONE
    return count


@compiled
def step_present(
    weight: Floats, first: Floats, second: Floats, taken: Ints, W: int, place: Ints, present: Ints, sums: Floats,
    step: int, rate: np.float32, penalty: np.float32, ratio: np.float32, floor: np.float32, starts: Ints,
    counts: Ints,
) -> None:  # fmt: skip
    """Take a step with the rows that are in the batch.

    Args:
        weight: (V*W,).
        first: (V*W,).
        second: (V*W,).
        taken: (V,).
        W: numbers of a row.
        place: of these rows is set back to -1.
        present: (U,).
        sums: (U*(W+1),), of `add_gradients`; overwritten.
        step: the step's number.
        rate: of the step, as in `rates`.
        penalty: 2 lambda.
        ratio: c of CowClip, 0 for no clip.
        floor: what a row's norm counts at least as.
        starts: (T,), first row of each table.
        counts: (T, 2), to which rows present and rows clipped are added.
    """
    for index in range(present.size):
        row = present[index]
        place[row], taken[row] = -1, step
        table = np.searchsorted(starts, row, side="right") - 1
        counts[table, 0] += 1
        gradient = sums[index * (W + 1) : (index + 1) * (W + 1)]
        a, b = row * W, row * W + W
        w, m, v = weight[a:b], first[a:b], second[a:b]
        for i in range(W):
            gradient[i] += penalty * w[i]
        if ratio > _ZERO:
            norm = length = _ZERO
            for i in range(W - 1):
                norm += gradient[i] * gradient[i]
                length += w[i] * w[i]
            norm = np.sqrt(norm)
            limit = max(gradient[W], _ONE) * ratio * max(np.sqrt(length), floor)
            if norm > limit:
                counts[table, 1] += 1
                for i in range(W - 1):
                    gradient[i] *= limit / norm
        for i in range(W):
            m[i] = _B1 * m[i] + _C1 * gradient[i]
            v[i] = _B2 * v[i] + _C2 * (gradient[i] * gradient[i])
            w[i] -= rate * m[i] / (np.sqrt(v[i]) + _EPSILON)
