"""Loops over rows of the table, compiled for the CPU: Adam in place, for rows in the batch and for absent ones.

V rows of W = D+1 numbers, flat: weight, first and second moment (V*W,) float32. The last number of a row is the linear
weight, which no clip reaches. `taken` (V,) int32 has the steps that each row has taken.

An absent row's step needs nothing but the row, so it may wait: `step_absent` takes all that a row has missed, each with
its own rate, and ends at the same bits whenever it does so. `rates[t % len(rates)]` is the rate of step t, with Adam's
bias correction: lr_t sqrt(1 - b2^t) / (1 - b1^t).

Threads share the loops: each loop has ranges, or blocks of rows, of its own, and no result depends on how. Rows are cut
out as slices, since an index that may be negative keeps a loop from being vectorised; rows that are listed are fetched
some rows ahead, since each would else be waited for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctrfast.data.compiled import compiled
from ctrfast.data.prefetch import fetch
from ctrfast.optim.adam import BETA_2, EPSILON

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_AHEAD = 12  # rows that are fetched before they are used
BLOCK = 16  # rows side by side that one thread has of all
_RUN = 256  # rows taken through their steps together: with moments 34 KB at D = 10, which the cache holds
_B2, _C2, _EPSILON = np.float32(BETA_2), np.float32(1 - BETA_2), np.float32(EPSILON)
_ZERO, _ONE = np.float32(0), np.float32(1)
_SMALLEST_NORMAL = np.finfo(np.float32).smallest_normal


@compiled
def step_absent(
    weight: Floats, first: Floats, second: Floats, start: int, end: int, rates: Floats, penalty: np.float32,
    beta_1: float,
) -> None:  # fmt: skip
    """Steps start+1..end of numbers that are in no batch: their gradient is penalty * weight, of L2 alone."""
    b1, c1 = np.float32(beta_1), np.float32(1 - beta_1)
    for step in range(start + 1, end + 1):
        rate = rates[step % rates.size]
        if penalty > _ZERO:
            for i in range(weight.size):
                gradient = penalty * weight[i]
                mean = b1 * first[i] + c1 * gradient
                square = _B2 * second[i] + _C2 * (gradient * gradient)
                first[i], second[i] = mean, square
                weight[i] -= rate * mean / (np.sqrt(square) + _EPSILON)
        else:  # moments fade to denormal numbers, which a processor handles slowly; TensorFlow, too, takes these as 0
            for i in range(weight.size):
                mean, square = b1 * first[i], _B2 * second[i]
                first[i] = _ZERO if abs(mean) < _SMALLEST_NORMAL else mean
                second[i] = _ZERO if square < _SMALLEST_NORMAL else square
                weight[i] -= rate * first[i] / (np.sqrt(second[i]) + _EPSILON)


@compiled
def settle_range(
    weight: Floats, first: Floats, second: Floats, taken: Ints, W: int, low: int, high: int, step: int, rates: Floats,
    penalty: np.float32, beta_1: float,
) -> None:  # fmt: skip
    """Bring rows low..high-1 to a step."""
    start = low
    while start < high:
        end = start + 1
        while end < high and end - start < _RUN and taken[end] == taken[start]:
            end += 1
        if taken[start] < step:
            a, b = start * W, end * W
            step_absent(weight[a:b], first[a:b], second[a:b], taken[start], step, rates, penalty, beta_1)
            taken[start:end] = step
        start = end


@compiled
def settle_listed(
    weight: Floats, first: Floats, second: Floats, taken: Ints, W: int, ids: Ints, part: int, parts: int, step: int,
    rates: Floats, penalty: np.float32, beta_1: float,
) -> None:  # fmt: skip
    """Bring the listed rows, of those in a part's blocks, to a step."""
    for index in range(ids.size):
        row = ids[index]
        if index + _AHEAD < ids.size and (ids[index + _AHEAD] // BLOCK) & (parts - 1) == part:
            _fetch_row(weight, first, second, W, ids[index + _AHEAD])
        if (row // BLOCK) & (parts - 1) == part and taken[row] < step:
            a, b = row * W, row * W + W
            step_absent(weight[a:b], first[a:b], second[a:b], taken[row], step, rates, penalty, beta_1)
            taken[row] = step


@compiled
def gather(weight: Floats, W: int, ids: Ints, out: Floats) -> None:
    """Copy the listed rows, (R,) ids, into (R*W,)."""
    for index in range(ids.size):
        if index + _AHEAD < ids.size:
            fetch(weight, ids[index + _AHEAD] * W)
            fetch(weight, ids[index + _AHEAD] * W + W - 1)
        source = weight[ids[index] * W : ids[index] * W + W]
        target = out[index * W : index * W + W]
        for i in range(W):
            target[i] = source[i]


@compiled
def add_gradients(
    ids: Ints, gradients: Floats, W: int, part: int, parts: int, place: Ints, present: Ints, sums: Floats, count: int
) -> int:
    """Sum the gradients of each row in a part's blocks over its occurrences, and count these.

    Args:
        ids: (R,).
        gradients: (R*W,).
        W: numbers of a row.
        part: 0 to parts - 1.
        parts: a power of 2.
        place: (V,), each row's index in `present`, or -1.
        present: the rows found.
        sums: their W sums and the count, W+1 numbers each.
        count: rows found before.

    Returns:
        Rows found so far.
    """
    for index in range(ids.size):
        row = ids[index]
        if index + 2 * _AHEAD < ids.size:
            fetch(place, ids[index + 2 * _AHEAD])
            after = ids[index + _AHEAD]
            if (after // BLOCK) & (parts - 1) == part and place[after] >= 0:
                fetch(sums, place[after] * (W + 1))
        if (row // BLOCK) & (parts - 1) == part:
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
def step_row(
    weight: Floats, first: Floats, second: Floats, gradient: Floats, rate: np.float32, penalty: np.float32,
    beta_1: float, ratio: np.float32, floor: np.float32,
) -> bool:  # fmt: skip
    """Take a step with a row, (W,), that is in the batch; whether it was clipped.

    Args:
        weight: (W,).
        first: (W,).
        second: (W,).
        gradient: sums and count, (W+1,); overwritten.
        rate: of the step, as in `rates`.
        penalty: 2 lambda.
        beta_1: of Adam.
        ratio: c of CowClip, 0 for no clip.
        floor: what a row's norm counts at least as.
    """
    W = weight.size
    b1, c1 = np.float32(beta_1), np.float32(1 - beta_1)
    was_clipped = False
    for i in range(W):
        gradient[i] += penalty * weight[i]
    if ratio > _ZERO:
        norm = length = _ZERO
        for i in range(W - 1):
            norm += gradient[i] * gradient[i]
            length += weight[i] * weight[i]
        norm = np.sqrt(norm)
        limit = max(gradient[W], _ONE) * ratio * max(np.sqrt(length), floor)
        was_clipped = norm > limit
        if was_clipped:
            for i in range(W - 1):
                gradient[i] *= limit / norm
    for i in range(W):
        mean = b1 * first[i] + c1 * gradient[i]
        square = _B2 * second[i] + _C2 * (gradient[i] * gradient[i])
        first[i], second[i] = mean, square
        weight[i] -= rate * mean / (np.sqrt(square) + _EPSILON)
    return was_clipped


@compiled
def step_listed(
    weight: Floats, first: Floats, second: Floats, taken: Ints, W: int, place: Ints, present: Ints, sums: Floats,
    step: int, rate: np.float32, penalty: np.float32, beta_1: float, ratio: np.float32, floor: np.float32,
    starts: Ints, counts: Ints,
) -> None:  # fmt: skip
    """Take a step with the listed rows.

    Args:
        weight: (V*W,).
        first: (V*W,).
        second: (V*W,).
        taken: (V,).
        W: numbers of a row.
        place: (V,), set back to -1.
        present: (U,).
        sums: (U*(W+1),), of `add_gradients`; overwritten.
        step: the step's number.
        rate: as for `step_row`.
        penalty: as for `step_row`.
        beta_1: as for `step_row`.
        ratio: as for `step_row`.
        floor: as for `step_row`.
        starts: (T,), first row of each table.
        counts: (T, 2), to which rows present and rows clipped are added.
    """
    for index in range(present.size):
        row = present[index]
        if index + _AHEAD < present.size:
            fetch(place, present[index + _AHEAD])
            fetch(taken, present[index + _AHEAD])
            _fetch_row(weight, first, second, W, present[index + _AHEAD])
        place[row], taken[row] = -1, step
        a, b = row * W, row * W + W
        gradient = sums[index * (W + 1) : (index + 1) * (W + 1)]
        was_clipped = step_row(weight[a:b], first[a:b], second[a:b], gradient, rate, penalty, beta_1, ratio, floor)
        table = _table_of(starts, row)
        counts[table, 0] += 1
        counts[table, 1] += was_clipped


@compiled
def step_range(
    weight: Floats, first: Floats, second: Floats, taken: Ints, W: int, place: Ints, sums: Floats, low: int, high: int,
    step: int, rates: Floats, penalty: np.float32, beta_1: float, ratio: np.float32, floor: np.float32, starts: Ints,
    counts: Ints,
) -> None:  # fmt: skip
    """Take a step with rows low..high-1, which all stand at the step before: in the batch or not, in their order.

    Args:
        weight: (V*W,).
        first: (V*W,).
        second: (V*W,).
        taken: (V,).
        W: numbers of a row.
        place: (V,), set back to -1.
        sums: (parts, most*(W+1)), of `add_gradients` for each part; overwritten.
        low: first row.
        high: row after the last.
        step: the step's number.
        rates: the ring.
        penalty: as for `step_row`.
        beta_1: as for `step_row`.
        ratio: as for `step_row`.
        floor: as for `step_row`.
        starts: (T,), first row of each table.
        counts: (T, 2), to which rows present and rows clipped are added.
    """
    parts = len(sums)
    rate = rates[step % rates.size]
    row = low
    table = _table_of(starts, row)
    while row < high:
        at = place[row]
        a, b = row * W, row * W + W
        after = row + _AHEAD
        if after < high and place[after] >= 0:
            fetch(sums[(after // BLOCK) & (parts - 1)], place[after] * (W + 1))
        if at < 0:
            end = row + 1
            while end < high and end - row < _RUN and place[end] < 0:
                end += 1
            b = end * W
            step_absent(weight[a:b], first[a:b], second[a:b], step - 1, step, rates, penalty, beta_1)
        else:
            end = row + 1
            place[row] = -1
            gradient = sums[(row // BLOCK) & (parts - 1)][at * (W + 1) : (at + 1) * (W + 1)]
            was_clipped = step_row(weight[a:b], first[a:b], second[a:b], gradient, rate, penalty, beta_1, ratio, floor)
            while table + 1 < starts.size and starts[table + 1] <= row:
                table += 1
            counts[table, 0] += 1
            counts[table, 1] += was_clipped
        row = end
    taken[low:high] = step


@compiled
def _fetch_row(weight: Floats, first: Floats, second: Floats, W: int, row: int) -> None:
    for number in (row * W, row * W + W - 1):  # on one cache line or two
        fetch(weight, number)
        fetch(first, number)
        fetch(second, number)


@compiled
def _table_of(starts: Ints, row: int) -> int:
    """Index of the last start at or before a row."""
    low, high = 0, starts.size
    while high - low > 1:
        middle = (low + high) // 2
        if starts[middle] <= row:
            low = middle
        else:
            high = middle
    return low
