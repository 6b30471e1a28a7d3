"""Parquet shards -> batches of arrays, shuffled by seed, without touching a row in Python.

A pass visits the row groups of a split in an order drawn from the seed, gathers up to `shuffle_rows` rows in a pool,
permutes the pool and cuts batches from it. A split that fits the pool is shuffled whole; a larger one in parts, with
bounded memory. The same seed gives the same batches, so a stopped run finds its place by counting.

    for batch in batches(dataset, "train", 8192, shuffle=Shuffle(seed=(1, 0), rows=2_000_000), drop_remainder=True):
        step(batch.ids, batch.numbers, batch.labels)
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.data.shards import Dataset
from ctrfast.schema import FittedSchema

_Number = TypeVar("_Number", np.int32, np.float32)


@dataclass(frozen=True)
class Batch:
    """ids (B, F) int32, rows of the fused table; numbers (B, N) float32; labels (B,) float32."""

    ids: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: npt.NDArray[np.intp] | slice) -> Batch:
        """The rows of an index, in its order."""
        return Batch(self.ids[index], self.numbers[index], self.labels[index])


@dataclass(frozen=True)
class Shuffle:
    """seed: any integers, for example (seed, epoch). rows: size of the pool."""

    seed: tuple[int, ...]
    rows: int


def batches(
    dataset: Dataset, split: str, batch_size: int, *, shuffle: Shuffle | None = None, drop_remainder: bool = False
) -> Iterator[Batch]:
    """One pass over a split.

    Args:
        dataset: an opened dataset.
        split: `train`, `valid` or `test`.
        batch_size: rows per batch; the last one is shorter, or left out with `drop_remainder`.
        shuffle: `None` keeps the order of the shards.
        drop_remainder: only whole batches.
    """
    groups = [(shard, group) for shard in dataset.shards(split) for group in range(_row_groups(shard))]
    rng = np.random.default_rng(shuffle.seed) if shuffle else None
    if rng is not None:
        groups = [groups[i] for i in rng.permutation(len(groups))]
    pool: list[Batch] = []
    pooled = 0
    least = max(shuffle.rows, batch_size) if shuffle else batch_size
    for index, (shard, group) in enumerate(groups):
        part = read_row_group(shard, group, dataset.fitted)
        pool.append(part)
        pooled += len(part)
        last = index == len(groups) - 1
        if pooled < least and not last:
            continue
        rows = _concatenate(pool)
        if rng is not None:
            rows = rows.take(rng.permutation(len(rows)))
        whole = len(rows) - len(rows) % batch_size
        for start in range(0, whole, batch_size):
            yield rows.take(slice(start, start + batch_size))
        rest = rows.take(slice(whole, None))
        pool, pooled = [rest], len(rest)
    if pooled and not drop_remainder:
        yield from pool


def read_row_group(shard: Path, group: int, fitted: FittedSchema) -> Batch:
    """One row group of a shard as arrays; local ids become rows of the fused table."""
    table = pq.ParquetFile(shard).read_row_group(group)
    return Batch(
        fused_ids(_columns(table, fitted.schema_.id_names, np.int32), fitted),
        _columns(table, fitted.schema_.numeric_names, np.float32),
        table.column("label").to_numpy().astype(np.float32),
    )


def fused_ids(local: npt.NDArray[np.int32], fitted: FittedSchema) -> npt.NDArray[np.int32]:
    """Local ids (R, F) -> rows of the fused table (R, F), both int32."""
    return local + np.asarray(fitted.table_offsets, np.int32)


def prefetch(source: Iterable[Batch], depth: int = 2) -> Generator[Batch]:
    """Read ahead in a thread, so that reading and training overlap. Errors of the source come out here."""
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def offer(item: Batch | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def fill() -> None:
        try:
            for batch in source:
                if not offer(batch):
                    return
        except BaseException as error:
            offer(error)
        else:
            offer(None)

    thread = threading.Thread(target=fill, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


def _row_groups(shard: Path) -> int:
    return int(pq.read_metadata(shard).num_row_groups)


def _columns(table: pa.Table, names: Sequence[str], dtype: type[_Number]) -> npt.NDArray[_Number]:
    out = np.empty((table.num_rows, len(names)), dtype)
    for index, name in enumerate(names):
        out[:, index] = table.column(name).to_numpy()
    return out


def _concatenate(parts: Sequence[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    return Batch(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
