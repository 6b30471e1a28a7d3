"""The processes that train one run together, as each of them sees it; one alone where there is no cluster.

    workers = Workers.of_cluster(index=0, size=2)      # before TensorFlow does anything else
    workers.join(logits)                               # (R,) of all workers, in their order
    workers.from_chief(lambda: save(state))            # done by the first one, known to all

All of them call the same methods in the same order. The first one, the chief, alone writes files.

Source: TensorFlow's `MultiWorkerMirroredStrategy`, whose collectives this uses.
Differs from it: variables are each worker's own (`ctrfast.replicas`), and an error of the chief is raised by all.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ctrfast.data.row_groups import Part
from ctrfast.errors import CtrFastError
from ctrfast.gpus import set_up_gpus
from ctrfast.told_errors import told, told_error
from ctrfast.traced import traced

T = TypeVar("T")


class Workers:
    """A group of workers, seen from one of them.

    Args:
        index: of this one, from 0.
        size: of the group.
        strategy: TensorFlow's, in a group of several.
    """

    def __init__(
        self, index: int = 0, size: int = 1, strategy: tf.distribute.MultiWorkerMirroredStrategy | None = None
    ) -> None:
        self.index, self.size, self.strategy = index, size, strategy
        if strategy is not None:
            self._gather = traced(lambda own: strategy.gather(own, axis=0), reduce_retracing=True)

    @classmethod
    def of_cluster(cls, index: int, size: int) -> Workers:
        """The process in the group that `TF_CONFIG` describes."""
        set_up_gpus()
        return cls(index, size, tf.distribute.MultiWorkerMirroredStrategy() if size > 1 else None)

    @property
    def is_chief(self) -> bool:
        """Whether this one writes the run's files."""
        return self.index == 0

    @property
    def part(self) -> Part:
        """The rows of a split that are this one's to read."""
        return Part(self.index, self.size)

    def devices(self) -> list[str] | None:
        """Names of this worker's devices in a group of several; alone it may choose."""
        return None if self.strategy is None else list(self.strategy.extended.worker_devices)

    def join(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Rows (R,) of all workers, int32 or float32, one worker's after the other's; R may differ."""
        if self.strategy is None:
            return rows
        words, devices = rows.view(np.int32), len(self.strategy.extended.worker_devices)
        values = self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(words if context.replica_id_in_sync_group % devices == 0 else words[:0])
        )
        return np.asarray(self._gather(values)).view(rows.dtype)

    def from_chief(self, work: Callable[[], T]) -> T:
        """Have the chief do something, and all workers know its answer, which JSON can hold, once it is done.

        Raises:
            CtrFastError: the chief's, in all workers.
        """
        if self.size == 1:
            return work()
        text = ""
        if self.is_chief:
            try:
                text = json.dumps({"value": work()})
            except CtrFastError as error:
                text = json.dumps({"error": told(error)})
        letters = self.join(np.frombuffer(text.encode(), np.uint8).astype(np.int32))
        answer = json.loads(bytes(letters.astype(np.uint8)))
        if "error" in answer:
            raise told_error(answer["error"])
        value: T = answer["value"]
        return value


ALONE = Workers()
