"""Texts of several vocabularies -> local ids, many at once: what online scoring looks values up with.

One table of 64-bit hashes in buckets of eight, which is a cache line: looking up any number of texts is a few numpy
calls, whose cache misses overlap. A dict takes several times the memory, one miss after the other, and the lock of the
interpreter for as long as it is built or freed, while requests wait.

Hashes are those of Python's `hash`, whose key each process draws. Two texts of one hash would share an id, which for 34
million texts is to be expected twice in a million million look-ups of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.id_rows import FIRST_ID

Ids = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

ABSENT = -1  # no vocabulary's id

_WAYS = 8
_CHUNK = 4096  # texts that are hashed before another thread may have the interpreter
_SALT = np.uint64(0x9E3779B97F4A7C15)  # of splitmix64; tells one text in two vocabularies apart
_EMPTY = 0  # no hash: those are odd


class TextTable:
    """Finds texts.

    Args:
        vocabularies: (K,) texts of each, none empty; text k has local id k + 2.
    """

    def __init__(self, vocabularies: Sequence[pa.Array]) -> None:
        self._salts = (np.arange(1, len(vocabularies) + 1, dtype=np.uint64) * _SALT).astype(np.int64)
        hashes = [_keyed(_hashes(values), salt) for values, salt in zip(vocabularies, self._salts, strict=True)]
        total = sum(map(len, hashes))
        self._buckets = 1 << (2 * total // _WAYS).bit_length()  # half full at most
        self._hashes = np.full((self._buckets, _WAYS), _EMPTY, np.int64)
        self._ids = np.full((self._buckets, _WAYS), ABSENT, np.int32)
        self._flat_hashes, self._flat_ids = self._hashes.reshape(-1), self._ids.reshape(-1)
        if total:
            ids = [np.arange(FIRST_ID, FIRST_ID + len(found), dtype=np.int32) for found in hashes]
            self._fill(np.concatenate(hashes), np.concatenate(ids))

    def find(self, values: Sequence[object], numbers: Longs) -> Ids:
        """Local ids (M,) of M values; `ABSENT` where a vocabulary lacks one.

        Args:
            values: texts, or anything else that has a hash.
            numbers: (M,) which vocabulary.

        Raises:
            TypeError: a value has no hash.
        """
        hashes = _keyed(np.fromiter(map(hash, values), np.int64, len(values)), self._salts.take(numbers))
        bucket = self._home(hashes)
        ids = self._look(hashes, bucket)
        left = np.flatnonzero(ids == ABSENT)
        while len(left := left[self._hashes[bucket[left], -1] != _EMPTY]):
            # The bucket is full: more of it lies in the next one.
            bucket[left] = (bucket[left] + 1) & (self._buckets - 1)
            ids[left] = self._look(hashes[left], bucket[left])
            left = left[ids[left] == ABSENT]
        return ids

    def _home(self, hashes: Longs) -> Longs:
        return (hashes >> 1) & (self._buckets - 1)

    def _look(self, hashes: Longs, bucket: Longs) -> Ids:
        """Local ids (M,) of hashes (M,) in their buckets (M,)."""
        # `take` is twice as fast as indexing.
        place = bucket * _WAYS + (self._hashes.take(bucket, axis=0) == hashes[:, None]).argmax(axis=1)
        return np.where(self._flat_hashes.take(place) == hashes, self._flat_ids.take(place), np.int32(ABSENT))

    def _fill(self, hashes: Longs, ids: Ids) -> None:
        """Put each into its bucket, or into the first one behind it that has room."""
        held = np.zeros(self._buckets, np.int64)
        bucket = self._home(hashes)
        while len(hashes):
            order = np.argsort(bucket, kind="stable")
            hashes, ids, bucket = hashes[order], ids[order], bucket[order]
            begins = np.flatnonzero(np.diff(bucket, prepend=-1))
            rank = np.arange(len(bucket)) - np.repeat(begins, np.diff(begins, append=len(bucket)))
            way = held[bucket] + rank
            fits = way < _WAYS
            self._hashes[bucket[fits], way[fits]] = hashes[fits]
            self._ids[bucket[fits], way[fits]] = ids[fits]
            held = np.minimum(held + np.bincount(bucket, minlength=self._buckets), _WAYS)
            hashes, ids, bucket = hashes[~fits], ids[~fits], (bucket[~fits] + 1) & (self._buckets - 1)


def _keyed(hashes: Longs, salts: Longs) -> Longs:
    return (hashes ^ salts) | 1


def _hashes(values: pa.Array) -> Longs:
    """Of texts (K,)."""
    parts = [np.fromiter(map(hash, texts), np.int64, len(texts)) for texts in _chunks(values)]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _chunks(values: pa.Array) -> Iterator[list[str]]:
    for start in range(0, len(values), _CHUNK):
        yield values.slice(start, _CHUNK).to_pylist()
