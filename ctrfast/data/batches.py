"""Parquet shards -> batches of arrays, shuffled by seed, without touching a row in Python.

A pass visits the row groups of a split in an order drawn from the seed. A pool holds the next `Shuffle.rows` rows; its
order is permuted and batches are cut from it. Each place that a batch leaves takes a row that comes later, so reading
never pauses and memory stays that of one pool; the later rows wait for the next permutation. A split that fits the
pool is shuffled whole. Without a shuffle the pool is one batch, in the order of the shards.

The same dataset, seed, batch size and pool give the same batches, so a stopped run finds its place by counting:

    shuffle = Shuffle(seed=(1, 0), rows=2_000_000)
    for batch in prefetch(batches(dataset, "train", 8192, shuffle=shuffle, drop_remainder=True, skip=done)):
        step(batch.ids, batch.numbers, batch.labels)

Where a whole split lies in a GPU's memory (`read_words`), `row_numbers` gives the same batches as numbers of its rows.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from ctrfast.data.ahead import in_order
from ctrfast.data.lists import flat_lists, in_slots
from ctrfast.data.row_groups import WHOLE, Part, RowGroup, groups_of_part, row_groups
from ctrfast.data.shards import Dataset
from ctrfast.fitted_schema import FittedSchema
from ctrfast.schema import Schema

_WORD = 4  # bytes of an id, a number or a label in memory
_SPLIT_ROWS = 2048  # gathered rows that stay in the cache until they are taken apart

# (R,) of S ids, N numbers and T labels side by side, 4 bytes each: numpy then moves a row as one piece.
_Records = npt.NDArray[np.void]
Taken = TypeVar("Taken")


@dataclass(frozen=True)
class Batch:
    """ids (B, S) int32, rows of the fused table; numbers (B, N) float32; labels (B,) float32.

    Where the schema has several labels, labels are (B, T), -1 where unknown.
    """

    ids: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Shuffle:
    """seed: any integers, for example (seed, epoch). rows: size of the pool, rounded up to whole batches."""

    seed: tuple[int, ...]
    rows: int


def batches(
    dataset: Dataset,
    split: str,
    batch_size: int,
    *,
    shuffle: Shuffle | None = None,
    drop_remainder: bool = False,
    skip: int = 0,
    part: Part = WHOLE,
) -> Generator[Batch]:
    """One pass over a split.

    Args:
        dataset: an opened dataset.
        split: `train`, `valid` or `test`.
        batch_size: rows per batch; the last one is shorter, or left out with `drop_remainder`.
        shuffle: `None` keeps the order of the shards.
        drop_remainder: only whole batches.
        skip: leave out so many batches at the start; it costs at most the reading of two pools.
        part: of the pass's rows, in the order in which its row groups are read; which these are differs by epoch.
    """
    fitted = dataset.fitted
    schema = fitted.schema_
    read, take = partial(_read, fitted=fitted), partial(_take, slots=schema.slots, labels=len(schema.labels))
    groups = row_groups(dataset.shards(split))
    yield from _pass(groups, read, _record_type(fitted), take, batch_size, shuffle, drop_remainder, skip, part)


def row_numbers(
    dataset: Dataset, split: str, batch_size: int, *, shuffle: Shuffle, skip: int = 0
) -> Generator[npt.NDArray[np.int32]]:
    """The whole batches of one pass over a split, as `batches` gives them, by the place of each row in its shards."""
    groups = row_groups(dataset.shards(split))
    yield from _pass(groups, _numbers, np.dtype(np.int32), _take_numbers, batch_size, shuffle, True, skip)


def read_words(dataset: Dataset, split: str) -> Generator[npt.NDArray[np.float32]]:
    """A split's rows in the order of its shards, part by part, (R, S+N+T): the bits of ids, then numbers, labels."""
    columns = _record_type(dataset.fitted).itemsize // _WORD
    with closing(in_order(partial(_read, fitted=dataset.fitted), row_groups(dataset.shards(split)))) as parts:
        for records in parts:
            yield records.view(np.float32).reshape(-1, columns)


def _pass(
    groups: Sequence[RowGroup],
    read: Callable[[RowGroup], npt.NDArray[Any]],
    dtype: np.dtype[Any],
    take: Callable[[npt.NDArray[Any], npt.NDArray[np.intp]], Taken],
    batch_size: int,
    shuffle: Shuffle | None,
    drop_remainder: bool,
    skip: int,
    part: Part = WHOLE,
) -> Generator[Taken]:
    """Batches as `take` takes them from the pool, which holds what `read` gives of each row."""
    if shuffle:
        groups = [groups[i] for i in np.random.default_rng(shuffle.seed).permutation(len(groups))]
    groups = groups_of_part(groups, part)
    rows = sum(group.rows for group in groups)
    if not rows:
        return
    wanted = max(shuffle.rows, batch_size) if shuffle else batch_size
    pool_rows = min(-(-wanted // batch_size) * batch_size, rows)
    round_, begin = divmod(skip * batch_size, pool_rows)
    with closing(_RowStream(groups, read, dtype, round_ * pool_rows)) as stream:
        pool = np.empty(pool_rows, dtype)
        order = np.arange(pool_rows)  # places in the pool of the rows that this round hands out
        order = order[: stream.fill(pool, order)]
        while len(order):
            if shuffle:
                key = (round_,) if part.count == 1 else (round_, part.index)
                np.random.default_rng(np.random.SeedSequence(shuffle.seed, spawn_key=key)).shuffle(order)
            refilled = 0
            for start in range(0, len(order), batch_size):
                places = order[start : start + batch_size]
                if drop_remainder and len(places) < batch_size:
                    return
                if start >= begin:
                    yield take(pool, places)
                refilled += stream.fill(pool, places)
            order, begin, round_ = order[:refilled], 0, round_ + 1


def row_bytes(schema: Schema) -> int:
    """Of a row in memory: its ids, numbers and labels."""
    return _WORD * (schema.slots + len(schema.numeric_names) + len(schema.labels))


def fused_ids(local: npt.NDArray[np.int32], fitted: FittedSchema) -> npt.NDArray[np.int32]:
    """Local ids (R, S) -> rows of the fused table (R, S), both int32."""
    return local + np.asarray(fitted.slot_offsets, np.int32)


def prefetch(source: Generator[Taken], depth: int = 2) -> Generator[Taken]:
    """Read ahead in a thread, so that reading and training overlap. Errors of the source come out here."""
    ready: queue.Queue[Taken | BaseException | None] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def offer(item: Taken | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def fill() -> None:
        try:
            with closing(source):
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


class _RowStream:
    """What is read of the rows of row groups, one after the other, ahead in threads.

    Args:
        groups: in the order of reading.
        read: gives one entry per row.
        dtype: of the entries.
        skip: leave out so many rows at the start; groups among them are not read.
    """

    def __init__(
        self,
        groups: Sequence[RowGroup],
        read: Callable[[RowGroup], npt.NDArray[Any]],
        dtype: np.dtype[Any],
        skip: int,
    ) -> None:
        first = 0
        while first < len(groups) and groups[first].rows <= skip:
            skip -= groups[first].rows
            first += 1
        self._parts = in_order(read, groups[first:])
        self._part = next(self._parts, np.empty(0, dtype))[skip:]

    def fill(self, pool: npt.NDArray[Any], places: npt.NDArray[np.intp]) -> int:
        """Put the next rows at places (K,) of the pool; return how many there were."""
        done = 0
        while done < len(places):
            if not len(self._part):
                self._part = next(self._parts, self._part)
                if not len(self._part):
                    break
            part = self._part[: len(places) - done]
            pool[places[done : done + len(part)]] = part
            self._part = self._part[len(part) :]
            done += len(part)
        return done

    def close(self) -> None:
        """End the threads."""
        self._parts.close()


def _record_type(fitted: FittedSchema) -> np.dtype[np.void]:
    return np.dtype((np.void, row_bytes(fitted.schema_)))


def _read(group: RowGroup, fitted: FittedSchema) -> _Records:
    """The rows of a row group; local ids become rows of the fused table."""
    schema = fitted.schema_
    with pq.ParquetFile(group.shard, metadata=group.metadata) as file:
        table = file.read_row_group(group.index, use_threads=False).combine_chunks()
    words = np.empty((len(table), row_bytes(schema) // _WORD), np.int32)
    for field, slots, id_rows in zip(schema.id_fields, schema.field_slots, fitted.id_rows, strict=True):
        column = table.column(field.name).chunk(0)  # numpy reads it without a copy, unlike the whole column
        if field.separator is None:
            words[:, slots.start] = column.to_numpy()
        else:
            words[:, slots] = in_slots(*flat_lists(column), field.slots, id_rows.padding)
    for index, name in enumerate(schema.numeric_names, start=schema.slots):
        words[:, index] = table.column(name).chunk(0).to_numpy().view(np.int32)
    for index, name in enumerate(schema.label_columns, start=schema.slots + len(schema.numeric_names)):
        words[:, index] = table.column(name).chunk(0).to_numpy().astype(np.float32).view(np.int32)
    words[:, : schema.slots] += np.asarray(fitted.slot_offsets, np.int32)
    return words.view(_record_type(fitted))[group.skip : group.skip + group.rows, 0]


def _numbers(group: RowGroup) -> npt.NDArray[np.int32]:
    """The places of a row group's rows in the split."""
    first = group.first + group.skip
    return np.arange(first, first + group.rows, dtype=np.int32)


def _take_numbers(pool: npt.NDArray[np.int32], places: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    return pool.take(places)


def _take(pool: _Records, places: npt.NDArray[np.intp], slots: int, labels: int) -> Batch:
    """The rows at places (B,) of the pool, taken apart."""
    B, columns = len(places), pool.itemsize // _WORD
    end = columns - labels  # of the numbers
    ids, numbers = np.empty((B, slots), np.int32), np.empty((B, end - slots), np.float32)
    taken = np.empty((B, labels), np.float32)
    for start in range(0, B, _SPLIT_ROWS):
        block = slice(start, start + _SPLIT_ROWS)
        words = pool.take(places[block]).view(np.int32).reshape(-1, columns)
        ids[block] = words[:, :slots]
        numbers[block] = words[:, slots:end].view(np.float32)
        taken[block] = words[:, end:].view(np.float32)
    return Batch(ids, numbers, taken if labels > 1 else taken[:, 0])
