"""How many different rows of the fused table some training rows touch, foreseen from how often each id occurs.

Of a table whose kept values occur c_1, c_2, ... times in the R training rows, b rows drawn from them touch

    sum over values of 1 - (1 - b/R)^c

on average: each occurrence is among the drawn rows with probability b/R. Its other rows, of unseen, missing and padded
values, count as touched. It is never more than the table has rows, or the b rows have ids in it; that bound is all that
is known of hash buckets, which keep no counts.

    touched_rows(dataset, 4096)                 # 31,210.4
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.data.encode import VOCABULARY_FOLDER
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError
from ctrfast.fitted_schema import FittedSchema

_COUNTS_AT_ONCE = 1_048_576


def touched_rows(dataset: Dataset, rows: int) -> float:
    """The expected number U of different table rows among the ids of so many training rows.

    Raises:
        ArtifactError: a vocabulary cannot be read.
    """
    fields = {field.name: field for field in dataset.fitted.schema_.id_fields}
    share = min(rows / max(dataset.rows("train"), 1), 1.0)
    touched = 0.0
    for name, most in most_touched(dataset.fitted, rows).items():
        if fields[name].hash_buckets is not None:
            touched += most
            continue
        others = dataset.fitted.tables[name].size - dataset.fitted.vocabulary_sizes[name]
        touched += min(most, others + _values_touched(dataset, name, share))
    return touched


def most_touched(fitted: FittedSchema, rows: int) -> dict[str, int]:
    """By table, the most different rows of it that so many rows can have ids of; needs no vocabulary."""
    schema = fitted.schema_
    slots = {name: sum(field.slots for field in schema.users_of(name)) for name in schema.table_names}
    return {name: min(table.size, rows * slots[name]) for name, table in fitted.tables.items()}


def _values_touched(dataset: Dataset, table: str, share: float) -> float:
    """Expected number of kept values that occur, where each occurrence is taken with probability `share`."""
    file = dataset.path / VOCABULARY_FOLDER / f"{table}.parquet"
    expected = 0.0
    with np.errstate(divide="ignore"):  # a share of 1: every value occurs
        log_left_out = np.log1p(-share)
    try:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(_COUNTS_AT_ONCE, columns=["count"]):
                expected -= float(np.expm1(batch.column("count").to_numpy() * log_left_out).sum())
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(f"vocabulary/{file.name} cannot be read. Prepare the dataset again.") from error
    return expected
