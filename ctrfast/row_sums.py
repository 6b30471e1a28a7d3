"""What replicas send each other of the table's row gradients at a step: sums of all rows, or of those touched alone.

    dense     2 (N-1)/N V (D+2)     a ring adds up sums and counts of all V rows of the table
    sparse    (N-1) U (D+3)         a ring hands on number, sums and count of the U rows that a replica has touched

numbers of 4 bytes, sent by each of N replicas, and received as many. The form that sends less is taken. U is foreseen
from how often each id occurs in the training split (`ctrfast.data.touched_rows`); where the vocabularies are not at
hand, by its bound.

Both forms give the same sums, but for rounding. Replicas on GPUs take the dense one: a GPU adds equal rows in no fixed
order, so that the sums, and with them the tables, of three and more replicas could part.

    choose_row_sums(dataset, config, replicas=2).form          # "sparse"

Source: the bytes of ring all-reduce and all-gather, Patarasuk & Yuan 2009, doi 10.1016/j.jpdc.2008.09.002.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ctrfast.config import TrainConfig
from ctrfast.data.shards import Dataset
from ctrfast.data.touched_rows import most_touched, touched_rows

RowSumsForm = Literal["dense", "sparse"]

_BYTES = 4


@dataclass(frozen=True)
class RowSums:
    """The costs of both forms for N replicas.

    table_rows: V. width: D. touched: U, of one replica's share of a batch. is_most: U is the bound. on_gpu: of replicas
    on GPUs.
    """

    replicas: int
    table_rows: int
    width: int
    touched: float
    is_most: bool = False
    on_gpu: bool = False

    @property
    def dense_bytes(self) -> float:
        """Sent by each replica at a step in the dense form."""
        return _BYTES * 2 * (self.replicas - 1) / self.replicas * self.table_rows * (self.width + 2)

    @property
    def sparse_bytes(self) -> float:
        """Sent by each replica at a step in the sparse form."""
        return _BYTES * (self.replicas - 1) * self.touched * (self.width + 3)

    @property
    def form(self) -> RowSumsForm:
        """The one that is taken."""
        return "sparse" if self.sparse_bytes < self.dense_bytes and not self.on_gpu else "dense"

    @property
    def reason(self) -> str:
        """What is sent and why, in a sentence without its subject."""
        touched = f"{'at most' if self.is_most else 'about'} {self.touched:,.0f}"
        dense, sparse = (f"{size / 2**20:,.1f} MiB" for size in (self.dense_bytes, self.sparse_bytes))
        if self.form == "sparse":
            return (
                f"number, sums and count of the {touched} table rows that its share of a batch touches, {sparse} each "
                f"way in a ring (sparse row sums); the sums of all {self.table_rows:,} rows would be {dense}"
            )
        all_rows = f"the sums of all {self.table_rows:,} table rows, {dense} each way in a ring (dense row sums)"
        if self.on_gpu:
            return f"{all_rows}, as replicas on GPUs do"
        return f"{all_rows}; those of the {touched} rows that its share of a batch touches would be {sparse}"


def choose_row_sums(dataset: Dataset, config: TrainConfig, replicas: int, *, with_vocabularies: bool = True) -> RowSums:
    """Both costs of a run on so many replicas that share each batch.

    Args:
        dataset: says V, and how often each id occurs.
        config: says B and D, and whether workers have GPUs.
        replicas: N, of all workers together.
        with_vocabularies: False where manifest and schema alone are at hand. The counts of earlier vocabularies are not
            of the dataset's own rows: there, too, the bound is taken.

    Raises:
        ArtifactError: a vocabulary cannot be read.
    """
    rows = config.batch_size // replicas
    has_counts = with_vocabularies and "vocabulary_from" not in dataset.manifest.preparation
    most = float(sum(most_touched(dataset.fitted, rows).values()))
    return RowSums(
        replicas=replicas,
        table_rows=dataset.fitted.table_rows,
        width=config.model.embedding_dim,
        touched=touched_rows(dataset, rows) if has_counts else most,
        is_most=not has_counts,
        on_gpu=config.cluster.gpus_per_worker is not None,
    )


def row_sums_form(dataset: Dataset, config: TrainConfig, replicas: int) -> RowSumsForm:
    """The form of a run: `choose_row_sums` of several workers; dense of one process, whose devices share a machine.

    Raises:
        ArtifactError: a vocabulary cannot be read.
    """
    if (config.cluster.workers or 1) == 1:
        return "dense"
    return choose_row_sums(dataset, config, replicas).form
