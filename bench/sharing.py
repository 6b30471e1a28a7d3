"""What N GPUs that share each batch send each other and hold, by V, B, D and N. A model, not a measurement.

    V rows of D + 1 numbers (embedding and linear weight), two moments each; B impressions of F ids, B/N on each GPU;
    U ids that differ among the B F/N of one GPU; P dense weights. Numbers have 4 bytes.

    form                sent by each GPU at a step               held by each GPU
    dense all-reduce    2 (N-1)/N (V (D+2) + P)                  3 V (D+1) + 2 V (D+2)
    sparse all-reduce   (N-1) U (D+3) + 2 (N-1)/N P              3 V (D+1) + 2 V (D+2) + N U (D+3)
    rows sharded        (N-1)/N (U (2D+4) + 2 P)                 (3 V (D+1) + 2 V (D+2)) / N + 2 U (2D+4)

Dense: a ring adds up the sums and counts of all rows (what `ctrfast.replicas` does on GPUs). Sparse: a ring gathers
number, sums and count of the rows that each GPU has touched (what it can do on CPUs). Sharded: each GPU owns V/N rows
and their moments; numbers of rows go to the owners (1), rows come back (D+1), sums and counts of gradients return
(D+2); the owner, who then knows a row's norm and its count in the whole batch, clips and takes Adam's step. All three
take the same step: L2 and Adam pass over all rows. Sums are held twice, as they were measured to be on one GPU
(`ctrfast.memory`); dense weights, activations and batches are not counted.

    work = Work(field_sizes(1_067_398), width=10)
    rows_sharded(work, batch_size=131_072, gpus=8).sent_bytes
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.workload import HIDDEN, NUMBERS
from ctrfast.model_config import ModelConfig
from ctrfast.network_sizes import Size, network_size

_BYTES = 4
_SLOTS = 3  # a weight and Adam's two moments
_MOST_BINS = 4_000  # ranks of a field's ids that are counted together


@dataclass(frozen=True)
class Work:
    """A DeepFM of the benchmarks on id fields of these sizes. skew: ids of a field of n are n u^skew for uniform u."""

    sizes: Sequence[int]
    width: int
    skew: float = 4.0

    @property
    def rows(self) -> int:
        """V, of the fused table."""
        return sum(self.sizes)

    @property
    def dense(self) -> int:
        """P, weights outside the table."""
        return self._network.parameters

    @property
    def multiply_adds(self) -> int:
        """Of one impression, forward."""
        return self._network.multiply_adds

    @property
    def _network(self) -> Size:
        return network_size(ModelConfig(embedding_dim=self.width, hidden=HIDDEN), len(self.sizes), NUMBERS)

    def distinct(self, impressions: int) -> float:
        """U, expected number of ids that differ among so many impressions."""
        return sum(_distinct(size, impressions, self.skew) for size in self.sizes)


@dataclass(frozen=True)
class Share:
    """Of one GPU.

    sent_bytes: at a step, and received as many. held_bytes: of table, moments, sums and what is exchanged.
    passed_bytes: through its own memory for the update. hops: messages that wait for each other.
    """

    sent_bytes: float
    held_bytes: float
    passed_bytes: float
    hops: float


def dense_all_reduce(work: Work, _batch_size: int, gpus: int) -> Share:
    """Each GPU has the whole table; the sums of all rows are added up."""
    V, D = work.rows, work.width
    sent = 2 * (gpus - 1) / gpus * (V * (D + 2) + work.dense)
    return _share(sent, _table(V, D), _pass(V, D), _ring_hops(gpus))


def sparse_all_reduce(work: Work, batch_size: int, gpus: int) -> Share:
    """Each GPU has the whole table; the sums of touched rows are gathered."""
    V, D, U = work.rows, work.width, work.distinct(batch_size // gpus)
    sent = (gpus - 1) * U * (D + 3) + 2 * (gpus - 1) / gpus * work.dense
    gathered = gpus * U * (D + 3) if gpus > 1 else 0.0
    return _share(sent, _table(V, D) + gathered, _pass(V, D) + 3 * gathered, _ring_hops(gpus))


def rows_sharded(work: Work, batch_size: int, gpus: int) -> Share:
    """Each GPU owns a part of the rows; ids, rows and gradients are exchanged."""
    V, D, U = work.rows / gpus, work.width, work.distinct(batch_size // gpus)
    sent = (gpus - 1) / gpus * (U * (2 * D + 4) + 2 * work.dense)
    exchanged = 2 * U * (2 * D + 4) if gpus > 1 else 0.0
    hops = _ring_hops(gpus) + 3 * math.ceil(math.log2(gpus))
    return _share(sent, _table(V, D) + exchanged, _pass(V, D) + 2 * exchanged, hops)


Form = Callable[[Work, int, int], Share]
FORMS: Mapping[str, Form] = {
    "dense all-reduce": dense_all_reduce,
    "sparse all-reduce": sparse_all_reduce,
    "rows sharded": rows_sharded,
}


def _share(sent: float, held: float, passed: float, hops: float) -> Share:
    return Share(_BYTES * sent, _BYTES * held, _BYTES * passed, hops)


def _table(rows: float, width: int) -> float:
    """Numbers of weights, moments and sums."""
    return rows * (_SLOTS * (width + 1) + 2 * (width + 2))


def _pass(rows: float, width: int) -> float:
    """Numbers that an update reads and writes: weights and moments each, sums set to 0, added to, read."""
    return rows * (2 * _SLOTS * (width + 1) + 3 * (width + 2))


def _ring_hops(gpus: int) -> float:
    """Of small messages, which go along a tree and back."""
    return 2 * math.ceil(math.log2(gpus))


def _distinct(size: int, draws: int, skew: float) -> float:
    """Of `size` ids with those shares; ids of like shares are taken together, but the most frequent ones."""
    ranks = np.arange(size + 1) if size < _MOST_BINS else np.geomspace(1, size + 1, _MOST_BINS).round() - 1
    edges = np.unique(ranks)
    ids = np.diff(edges)
    share = np.diff((edges / size) ** (1 / skew)) / ids
    with np.errstate(divide="ignore"):  # a field of one id: log1p(-1)
        return float((-ids * np.expm1(draws * np.log1p(-share))).sum())
