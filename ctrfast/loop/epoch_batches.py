"""The training batches of an epoch, as one worker gets them: whole ones alone, in an order that (seed, epoch) gives.

Each worker reads its own row groups, and a pool of its share of `shuffle_rows` shuffles them.
"""

from __future__ import annotations

from collections.abc import Generator

from ctrfast.config import TrainConfig
from ctrfast.data.batches import Batch, Shuffle, batches
from ctrfast.data.row_groups import WHOLE, Part
from ctrfast.data.shards import Dataset


def epoch_batches(
    dataset: Dataset, config: TrainConfig, epoch: int, part: Part = WHOLE, skip: int = 0
) -> Generator[Batch]:
    """Batches of `batch_size` rows over all workers.

    Args:
        dataset: what to train on.
        config: the run's settings.
        epoch: from 0.
        part: the worker's.
        skip: leave out so many at the start.
    """
    shuffle = Shuffle(seed=(config.seed, epoch), rows=-(-config.shuffle_rows // part.count))
    rows = config.batch_size // part.count
    return batches(dataset, "train", rows, shuffle=shuffle, drop_remainder=True, skip=skip, part=part)
