"""Count keys in bounded memory: a hash table that is written to disk when it is full, and summed bucket by bucket.

    with KeyCounter(folder, most=4_000_000) as counter:
        for keys, is_train in blocks:
            counter.add(keys, is_train)
        keys, counts = counter.kept(min_count=2)

A run on disk holds distinct keys and counts in 256 buckets by the key's mixed bits, so that the buckets of all runs can
be summed one after the other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from ctrfast.data.compiled import compiled
from ctrfast.data.keys import MISSING_KEY, Keys, mix

Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BYTES_PER_KEY = 80  # of memory per distinct key at the worst moment: a table half full while it doubles, and its copies
_SMALLEST = 1024  # slots
_BUCKETS = 256
_BUCKET_SHIFT = np.uint64(56)


class KeyCounter:
    """Counts of one field's keys; missing ones are not counted.

    Args:
        folder: for what does not fit the memory; made when it is needed, removed at the end.
        most: distinct keys in memory.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._runs: list[Path] = []
        self._used = 0
        self._clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runs:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, keys: Keys, wanted: Mask) -> None:
        """Count the keys (R,) for which `wanted` (R,) is true."""
        done = 0
        while done < len(keys):
            done, self._used = _count(keys, wanted, done, self._keys, self._counts, self._used)
            if 2 * self._used >= len(self._keys):
                self._make_room()

    def kept(self, min_count: int) -> tuple[Keys, Counts]:
        """Distinct keys that were counted at least `min_count` times, and their counts, in no order."""
        parts = [(keys[counts >= min_count], counts[counts >= min_count]) for keys, counts in self._summed()]
        return np.concatenate([keys for keys, _ in parts]), np.concatenate([counts for _, counts in parts])

    def _summed(self) -> Iterator[tuple[Keys, Counts]]:
        if not self._runs:
            yield self._entries()
            return
        self._write_run()
        for bucket in range(_BUCKETS):
            runs = [self._read_bucket(run, bucket) for run in self._runs]
            distinct, place = np.unique(np.concatenate([keys for keys, _ in runs]), return_inverse=True)
            counts = np.zeros(len(distinct), np.int64)
            np.add.at(counts, place, np.concatenate([counts for _, counts in runs]))
            yield distinct, counts

    def _entries(self) -> tuple[Keys, Counts]:
        used = self._keys != MISSING_KEY
        return self._keys[used], self._counts[used]

    def _clear(self, slots: int = _SMALLEST) -> None:
        self._keys, self._counts, self._used = np.zeros(slots, np.uint64), np.zeros(slots, np.int64), 0

    def _make_room(self) -> None:
        if 2 * self._used > self._most:
            self._write_run()
            return
        keys, counts = self._entries()
        self._clear(2 * len(self._keys))
        _insert(keys, counts, self._keys, self._counts)
        self._used = len(keys)

    def _write_run(self) -> None:
        self._folder.mkdir(exist_ok=True)
        run = self._folder / f"run-{len(self._runs):05}"
        keys, counts = self._entries()
        bucket = _buckets(keys)
        order = np.argsort(bucket, kind="stable")
        edges = np.searchsorted(bucket[order], np.arange(_BUCKETS + 1))
        for name, values in (("keys", keys[order]), ("counts", counts[order]), ("edges", edges)):
            np.save(run.with_suffix(f".{name}.npy"), values)
        self._runs.append(run)
        self._clear()

    def _read_bucket(self, run: Path, bucket: int) -> tuple[Keys, Counts]:
        edges = np.load(run.with_suffix(".edges.npy"))
        part = slice(edges[bucket], edges[bucket + 1])
        keys, counts = (np.load(run.with_suffix(f".{name}.npy"), mmap_mode="r")[part] for name in ("keys", "counts"))
        return np.array(keys), np.array(counts)


class KeyTable:
    """Place of each of K distinct keys, counted from `first`. missing, absent: what others have instead of a place."""

    def __init__(self, keys: Keys, *, first: int = 0, missing: int = -1, absent: int = -1) -> None:
        slots = _SMALLEST
        while slots < 2 * len(keys):
            slots *= 2
        self._missing, self._absent = missing, absent
        self._keys, self._places = np.zeros(slots, np.uint64), np.zeros(slots, np.int64)
        _insert(keys, np.arange(first, first + len(keys)), self._keys, self._places)

    def places(self, keys: Keys) -> npt.NDArray[np.int32]:
        """Places (R,) int32 of keys (R,)."""
        found = np.empty(len(keys), np.int32)
        _look_up(keys, self._keys, self._places, self._missing, self._absent, found)
        return found


@compiled
def _count(keys: Keys, wanted: Mask, first: int, table: Keys, counts: Counts, used: int) -> tuple[int, int]:
    """Count until the end, or until the table is half full; return (first key that is not counted yet, used slots)."""
    last = np.uint64(len(table) - 1)
    for row in range(first, len(keys)):
        key = keys[row]
        if key == MISSING_KEY or not wanted[row]:
            continue
        slot = mix(key) & last
        while table[slot] != key and table[slot] != MISSING_KEY:
            slot = (slot + np.uint64(1)) & last
        if table[slot] == MISSING_KEY:
            table[slot] = key
            used += 1
            counts[slot] = 1
            if 2 * used >= len(table):
                return row + 1, used
        else:
            counts[slot] += 1
    return len(keys), used


@compiled
def _insert(keys: Keys, values: Counts, table: Keys, table_values: Counts) -> None:
    last = np.uint64(len(table) - 1)
    for row in range(len(keys)):
        slot = mix(keys[row]) & last
        while table[slot] != MISSING_KEY:
            slot = (slot + np.uint64(1)) & last
        table[slot] = keys[row]
        table_values[slot] = values[row]


@compiled
def _look_up(keys: Keys, table: Keys, values: Counts, missing: int, absent: int, found: npt.NDArray[np.int32]) -> None:
    last = np.uint64(len(table) - 1)
    for row in range(len(keys)):
        key = keys[row]
        if key == MISSING_KEY:
            found[row] = missing
            continue
        slot = mix(key) & last
        while table[slot] != key and table[slot] != MISSING_KEY:
            slot = (slot + np.uint64(1)) & last
        found[row] = values[slot] if table[slot] == key else absent


@compiled
def _buckets(keys: Keys) -> npt.NDArray[np.uint8]:
    found = np.empty(len(keys), np.uint8)
    for row in range(len(keys)):
        found[row] = np.uint8(mix(keys[row]) >> _BUCKET_SHIFT)
    return found
