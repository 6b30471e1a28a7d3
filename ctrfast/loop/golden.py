"""Golden rows: encoded rows with the training graph's scores, so that an exported scorer can be held against it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.data.batches import batches
from ctrfast.data.shards import Dataset
from ctrfast.folders import new_file
from ctrfast.metrics import sigmoid
from ctrfast.network import Network

_ROWS = 256


def write_golden(path: Path, network: Network, dataset: Dataset) -> None:
    """Write the first rows of the test split, or else of another: `ids`, `numbers`, `score` (parquet)."""
    split = next(name for name in ("test", "valid", "train") if dataset.rows(name))
    batch = next(iter(batches(dataset, split, _ROWS)))
    write_golden_rows(path, network, batch.ids, batch.numbers)


def write_golden_rows(
    path: Path, network: Network, ids: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32]
) -> None:
    """Write rows of the fused table (G, S) and numbers (G, N) with the network's scores (G,), or lists of T."""
    scores = sigmoid(network.logits(ids, numbers)).astype(np.float32)
    columns = {
        "ids": pa.array(list(ids), pa.list_(pa.int32())),
        "numbers": pa.array(list(numbers), pa.list_(pa.float32())),
        "score": pa.array(scores if scores.ndim == 1 else list(scores)),
    }
    with new_file(path) as partial:
        pq.write_table(pa.table(columns), partial)
