"""The training step with the table in the machine's memory: TensorFlow has the network, `RowTable` all else.

A micro-batch after the other: forward and backward, while the row gradients of the one before are added up and the rows
of the next one are taken. Only the sums of the distinct rows' gradients grow with the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ctrfast.gradients import Gradients, weights_of
from ctrfast.models import CtrModel
from ctrfast.models.pooling import Pooling
from ctrfast.optim.row_optimizer import RowOptimizer
from ctrfast.traced import traced

Floats = npt.NDArray[np.float32]


class RowStep:
    """Callable: one optimizer step on a batch; returns its mean loss and the clip counts per table.

    Args:
        model: the network.
        optimizer: holds the table and all weights.
        batch_size: B.
        micro_batch_size: rows of one forward and backward pass.
        precision: of the MLP's products.
        pooling: of the fields of lists, where there are any.

    Attributes:
        experts: how they are used, where the network has mixtures.
    """

    def __init__(
        self,
        model: CtrModel,
        optimizer: RowOptimizer,
        batch_size: int,
        *,
        micro_batch_size: int,
        precision: str,
        pooling: Pooling | None,
    ) -> None:
        self.optimizer = optimizer
        self._batch_size = batch_size
        self._micro_batch_size = micro_batch_size
        gradients = Gradients(
            model, optimizer.dense, batch_size, jit_arrange=True, precision=precision, pooling=pooling
        )
        self._gradients, self.experts = traced(gradients), gradients.experts
        self._add = traced(_add)
        self._ahead = ThreadPoolExecutor(1, "taking")

    def __call__(self, ids: npt.NDArray[np.int32], numbers: Floats, labels: Floats) -> tuple[float, Floats, Floats]:
        """Ids (B, S) int32 fused rows, numbers (B, N), labels (B,) or (B, T) -> loss (), present (T,), clipped (T,)."""
        try:
            return self._step(ids, numbers, labels)
        except BaseException:  # Ctrl-C in a notebook, above all
            self._ahead.submit(self.optimizer.rows.forget).result()  # after a `take` that still runs
            raise

    def close(self) -> None:
        """End the threads and free the table; no step may follow."""
        self._ahead.shutdown()
        self.optimizer.rows.close()

    def _step(self, ids: npt.NDArray[np.int32], numbers: Floats, labels: Floats) -> tuple[float, Floats, Floats]:
        rows, loss = self.optimizer.rows, 0.0
        dense: list[tf.Tensor] = []
        size = self._micro_batch_size
        parts = [slice(start, start + size) for start in range(0, self._batch_size, size)]
        weights = weights_of(labels)
        taking = self._ahead.submit(rows.take, ids[parts[0]])
        for index, part in enumerate(parts):
            looked_up = taking.result()  # (R, S, D+1)
            if index + 1 < len(parts):
                taking = self._ahead.submit(rows.take, ids[parts[index + 1]])
            else:
                rows.settle_some()
            share, row_gradients, gradients = self._gradients(
                looked_up, ids[part], numbers[part], labels[part], weights
            )
            rows.add(ids[part], np.asarray(row_gradients))
            loss += float(share)
            dense = self._add(dense, gradients) if dense else gradients
        present, clipped = self.optimizer.update(dense)
        return loss, present, clipped


def _add(totals: Sequence[tf.Tensor], more: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    return [total + each for total, each in zip(totals, more, strict=True)]
