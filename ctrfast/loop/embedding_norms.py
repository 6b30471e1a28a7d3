"""How large the embeddings of each field are: the root mean square of the norms of its table's rows.

    norm_f = sqrt(mean over rows k of f of ||w_k||^2)

The linear weight, a row's last number, is left out, as the clip leaves it out. Rows of a table that no batch has
reached count too: they start small and decay.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import tensorflow as tf

from ctrfast.fitted_schema import FittedSchema

_ROWS_AT_ONCE = 250_000  # a copy of the whole table would take its memory twice


def embedding_norms(table: tf.Variable, fitted: FittedSchema) -> dict[str, float]:
    """By name of the id table; the padding of lists counts in none.

    Args:
        table: (V, D+1) float32, up to date.
        fitted: says where each table begins.
    """
    names = [name for name, _ in fitted.row_ranges]
    starts = [start for _, start in fitted.row_ranges]
    norms: dict[str, float] = {}
    for name, (start, end) in zip(names, pairwise([*starts, fitted.table_rows]), strict=True):
        if name is not None:
            norms[name] = math.sqrt(_sum_of_squares(table, start, end) / (end - start))
    return norms


def _sum_of_squares(table: tf.Variable, start: int, end: int) -> float:
    total = 0.0
    for begin in range(start, end, _ROWS_AT_ONCE):
        rows = table[begin : min(begin + _ROWS_AT_ONCE, end), :-1].numpy().astype(np.float64)  # (R, D)
        total += float(np.vdot(rows, rows))  # in float32 the squares of a run that diverges would overflow
    return total
