"""A network's labels and logits on a split of a dataset.

evaluate_split(network, dataset, "valid").metrics()["auc"]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctrfast.data.batches import Batch, batches, prefetch
from ctrfast.data.row_groups import WHOLE, Part
from ctrfast.data.shards import Dataset
from ctrfast.metrics import Predictions
from ctrfast.network import Network
from ctrfast.workers import ALONE, Workers

_BATCH = 65_536


@dataclass(frozen=True)
class ScoredSplit:
    """What the weights of a step gave for a split."""

    split: str
    step: int
    predictions: Predictions


def scored_batches(
    network: Network, dataset: Dataset, split: str, part: Part = WHOLE
) -> Iterator[tuple[Batch, npt.NDArray[np.float32]]]:
    """Batches of a split, or of a part of it, with their logits (B,) or (B, T), in the order of its shards."""
    for batch in prefetch(batches(dataset, split, _BATCH, part=part)):
        yield batch, network.logits(batch.ids, batch.numbers)


def evaluate_split(network: Network, dataset: Dataset, split: str, workers: Workers = ALONE) -> Predictions:
    """Labels and logits of a split's rows, in the order of its shards; each worker scores a part of them."""
    tasks = dataset.fitted.schema_.tasks
    own = Predictions(tasks=tasks)
    for batch, logits in scored_batches(network, dataset, split, workers.part):
        own.add(batch.labels, logits)
    if workers.size == 1:
        return own
    predictions = Predictions(tasks=tasks)
    predictions.add(*map(workers.join, own.stacked()))
    return predictions
