"""The split of each row, over all parsed blocks: by its place, by its time, or as a raw column says.

    column.write(SPLIT_COLUMN, row_splits(blocks, splitter, negative_rate=0.1))     # index into SPLITS, or DROPPED

`negative_rate`: of the training rows without a click, each is kept with this probability; the others get an index of
their own that no shard takes. What a row gets follows from the settings and its place among all usable rows, or its
time: never from the cut into blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from ctrfast.data.parsed import Block
from ctrfast.data.side_columns import MISSING_TIME, Splits
from ctrfast.data.splitter import Splitter
from ctrfast.data.time_order import time_at
from ctrfast.schema import SPLITS

DROPPED = len(SPLITS)  # a training row that negative down-sampling leaves out
_TRAIN = SPLITS.index("train")
_STREAM = 1  # of the draws that drop rows, apart from those that split


def row_splits(blocks: Sequence[Block], splitter: Splitter, negative_rate: float) -> Iterator[Splits]:
    """Splits (R,) of each block's rows in turn: an index into `SPLITS`, or `DROPPED`."""
    total = sum(block.rows for block in blocks)
    last_times = _last_times(blocks, splitter, total) if splitter.how == "time" else []
    first = 0
    for block in blocks:
        if splitter.how == "time":
            splits = np.searchsorted(last_times, block.times(), side="left").astype(np.int8)
        elif splitter.how == "column":
            splits = block.splits()
        else:
            splits = splitter.splits(first, block.rows, total)
        if negative_rate < 1:
            bits = np.random.PCG64([splitter.seed, _STREAM]).advance(first)  # one step per draw
            is_left_out = np.random.Generator(bits).random(block.rows) >= negative_rate
            splits[is_left_out & (splits == _TRAIN) & (block.column(0) == 0)] = DROPPED
        yield splits
        first += block.rows


def _last_times(blocks: Sequence[Block], splitter: Splitter, total: int) -> list[int]:
    """The last time that trains, and the last before the test: all rows of one time go to the earlier split."""
    test, valid = Fraction(str(splitter.test_fraction)), Fraction(str(splitter.valid_fraction))
    edges = [math.floor(total * (1 - valid - test)), math.floor(total * (1 - test))]
    return [time_at(lambda: (block.times() for block in blocks), edge - 1) if edge else MISSING_TIME for edge in edges]
