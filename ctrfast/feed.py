"""What each step of an epoch is taken on: batches from disk, or rows of a split that lies in the GPU's memory.

A GPU takes rows faster than they are read and handed over. Where one GPU trains and the training split fits in its
memory beside the run, the split is read once, before the first step, and a batch is handed over as numbers of its rows:
4 bytes a row. The batches are the same, in the same order.

    feed = Feed(dataset, replicas, config, room_bytes=room)
    for take_step in feed.epoch(0, skip=0):
        loss, present, clipped = take_step()
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ctrfast.config import TrainConfig
from ctrfast.data.batches import Batch, Shuffle, prefetch, read_words, row_bytes, row_numbers
from ctrfast.data.row_groups import WHOLE, Part
from ctrfast.data.shards import Dataset
from ctrfast.loop.epoch_batches import epoch_batches
from ctrfast.replicas import Replicas, Step

_COPIES = 2  # of the split, while its parts are joined


class Feed:
    """The training split, for one step after the other.

    Args:
        dataset: holds the split.
        replicas: take the steps.
        config: says batch size, seed and size of the pool.
        room_bytes: free on the one GPU, beside the run; `None` where there is none or several.
        part: of the rows, one worker's of several; only from disk.
        labels: of a batch, where the rows' own are not the ones to learn; the split then stays on disk.
    """

    def __init__(
        self,
        dataset: Dataset,
        replicas: Replicas,
        config: TrainConfig,
        *,
        room_bytes: int | None,
        part: Part = WHOLE,
        labels: Callable[[Batch], npt.NDArray[np.float32]] | None = None,
    ) -> None:
        self._dataset, self._replicas, self._config, self._part = dataset, replicas, config, part
        split_bytes = dataset.rows("train") * row_bytes(dataset.fitted.schema_)
        self._labels = labels
        self.is_held = labels is None and room_bytes is not None and _COPIES * split_bytes <= room_bytes
        self._words: tf.Tensor | None = None

    def epoch(self, epoch: int, *, skip: int) -> Generator[Callable[[], Step]]:
        """The steps of an epoch but the first `skip`, each ready to be taken."""
        config = self._config
        if self.is_held:
            words, shuffle = self._held(), Shuffle(seed=(config.seed, epoch), rows=config.shuffle_rows)
            numbers = row_numbers(self._dataset, "train", config.batch_size, shuffle=shuffle, skip=skip)
            with closing(prefetch(numbers)) as source:
                for rows in source:
                    yield partial(self._replicas.step_of_rows, words, rows)
            return
        with closing(prefetch(epoch_batches(self._dataset, config, epoch, self._part, skip))) as source:
            for batch in source:
                labels = batch.labels if self._labels is None else self._labels(batch)
                yield partial(self._replicas.step, batch.ids, batch.numbers, labels)

    def _held(self) -> tf.Tensor:
        if self._words is None:
            self._words = hold_rows(self._dataset, "train", self._replicas.devices[0])
        return self._words


def hold_rows(dataset: Dataset, split: str, device: str) -> tf.Tensor:
    """A split in the memory of a device, (R, S+N+T) float32 as `read_words` gives it."""
    with tf.device(device), closing(read_words(dataset, split)) as parts:
        return tf.concat([tf.constant(words) for words in parts], axis=0)
