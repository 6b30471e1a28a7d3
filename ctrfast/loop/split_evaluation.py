"""A network's labels and logits on a split of a dataset.

evaluate_split(network, dataset, "valid").metrics()["auc"]
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ctrfast.data.batches import Batch, batches, prefetch
from ctrfast.data.shards import Dataset
from ctrfast.metrics import Predictions
from ctrfast.network import Network

_BATCH = 65_536


def scored_batches(network: Network, dataset: Dataset, split: str) -> Iterator[tuple[Batch, npt.NDArray[np.float32]]]:
    """Batches of a split with their logits (B,), in the order of its shards."""
    for batch in prefetch(batches(dataset, split, _BATCH)):
        yield batch, network.logits(batch.ids, batch.numbers)


def evaluate_split(network: Network, dataset: Dataset, split: str) -> Predictions:
    """Labels and logits of a split's rows, in the order of its shards."""
    predictions = Predictions()
    for batch, logits in scored_batches(network, dataset, split):
        predictions.add(batch.labels, logits)
    return predictions
