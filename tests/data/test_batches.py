"""Batches hold every row once, in an order that the seed fixes, in the memory of one pool."""

import threading
import tracemalloc
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest

from ctrfast.data import shard_writer
from ctrfast.data.batches import Batch, Shuffle, batches, prefetch, read_words, row_numbers
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.schema import SPLITS, preset

GROUP = 150  # rows of a row group; the split has 28 of them in 7 shards


@pytest.fixture(scope="module")
def grouped(raw_clicks, tmp_path_factory) -> Dataset:
    """The 4,200 training rows of `dataset` in many small row groups."""
    out = tmp_path_factory.mktemp("grouped") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_writer, "ROWS_PER_GROUP", GROUP)
        patch.setattr(shard_writer, "ROWS_PER_SHARD", 4 * GROUP)
        prepare(
            [raw_clicks], preset("criteo"), out, min_count=2, split="sequential", valid_fraction=0.1, test_fraction=0.2
        )
    return Dataset.open(out)


def joined(parts):
    parts = list(parts)
    return Batch(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "numbers", "labels")))


def everything(dataset, split, size=100, **options):
    return joined(batches(dataset, split, size, **options))


def rows(batch):
    """Each row as bytes, in order."""
    return list(map(bytes, np.c_[batch.ids, batch.numbers.view(np.int32), batch.labels.astype(np.int32)]))


@pytest.mark.parametrize("size", [100, 64, 10**6])
@pytest.mark.parametrize("split", SPLITS)
def test_unshuffled_batches_are_the_shards(grouped, split, size):
    table = pq.read_table(grouped.shards(split)).to_pandas()
    got = everything(grouped, split, size)
    fitted = grouped.fitted
    np.testing.assert_array_equal(got.labels, table["label"])
    np.testing.assert_array_equal(got.ids - np.array(fitted.slot_offsets), table[list(fitted.schema_.id_names)])
    np.testing.assert_array_equal(got.numbers, table[list(fitted.schema_.numeric_names)])
    assert (got.ids.dtype, got.numbers.dtype, got.labels.dtype) == (np.int32, np.float32, np.float32)
    assert got.ids.max() < fitted.table_rows


@pytest.mark.parametrize("pool", [10, 250, 4200, 10**6])
@pytest.mark.parametrize("size", [64, 100, 10**4])
def test_shuffled_batches_hold_every_row_once(grouped, pool, size):
    plain = everything(grouped, "train")
    mixed = everything(grouped, "train", size, shuffle=Shuffle((1, 0), pool))
    assert sorted(rows(plain)) == sorted(rows(mixed))
    assert rows(plain) != rows(mixed)


def test_a_pool_takes_whole_row_groups_in_their_drawn_order_and_permutes_them(grouped):
    plain = rows(everything(grouped, "train"))
    groups = [set(plain[start : start + GROUP]) for start in range(0, len(plain), GROUP)]
    shuffle = Shuffle((1, 0), 4 * GROUP)
    seen = []
    for part in batches(grouped, "train", 4 * GROUP, shuffle=shuffle):
        part = rows(part)
        inside = [index for index, group in enumerate(groups) if group & set(part)]
        assert len(inside) == 4
        assert set(part) == set().union(*(groups[index] for index in inside))
        is_first = [row in groups[inside[0]] for row in part]
        changes = sum(a != b for a, b in pairwise(is_first))
        assert changes > GROUP / 2  # one group's rows lie among the others'
        seen += inside
    assert sorted(seen) == list(range(len(groups)))
    assert seen != sorted(seen)


def test_each_pool_of_a_pass_is_permuted_otherwise(grouped):
    """Positions that the rows of one row group take within their pool, one group to a pool."""
    place = {row: index % GROUP for index, row in enumerate(rows(everything(grouped, "train")))}
    orders = [
        tuple(place[row] for row in rows(part))
        for part in batches(grouped, "train", GROUP, shuffle=Shuffle((1, 0), GROUP))
    ]
    assert len(set(orders)) == len(orders)


def test_the_seed_fixes_the_order(grouped):
    first, again, other, longer = (
        rows(everything(grouped, "train", shuffle=Shuffle(seed, 1000)))
        for seed in ((1, 0), (1, 0), (1, 1), (1, 0, 0, 0, 1))
    )
    assert first == again
    assert first != other
    assert first != longer


@pytest.mark.parametrize("shuffle", [None, Shuffle((2, 3), 300), Shuffle((2, 3), 10**6)], ids=["plain", "pools", "one"])
@pytest.mark.parametrize("drop", [False, True])
def test_to_skip_is_to_drop(grouped, shuffle, drop):
    options = {"shuffle": shuffle, "drop_remainder": drop}
    whole = [rows(part) for part in batches(grouped, "train", 101, **options)]
    assert len(whole) == 42 - drop
    for skip in (0, 1, 3, 4, 9, 41, 42, 100):
        assert [rows(part) for part in batches(grouped, "train", 101, skip=skip, **options)] == whole[skip:]


def test_skipped_row_groups_are_not_read(grouped, monkeypatch):
    read = []

    class Spy(pq.ParquetFile):
        def read_row_group(self, *args, **kwargs):
            read.append(args)
            return super().read_row_group(*args, **kwargs)

    monkeypatch.setattr("ctrfast.data.batches.pq.ParquetFile", Spy)
    list(batches(grouped, "train", 100, shuffle=Shuffle((1, 0), 400), skip=39))
    assert len(read) == 4  # the last pool starts at row 3,600, where a row group does


@pytest.mark.parametrize("pool, skip", [(300, 0), (300, 17), (10_000, 3)])
def test_row_numbers_stand_for_the_same_batches(grouped, pool, skip):
    options = {"shuffle": Shuffle((1, 0), pool), "skip": skip}
    whole = list(batches(grouped, "train", 100, drop_remainder=True, **options))
    numbers = list(row_numbers(grouped, "train", 100, **options))
    assert len(numbers) == len(whole) == 42 - skip
    words = np.concatenate(list(read_words(grouped, "train")))
    slots = whole[0].ids.shape[1]
    for batch, places in zip(whole, numbers, strict=True):
        np.testing.assert_array_equal(words[places, :slots].view(np.int32), batch.ids)
        np.testing.assert_array_equal(words[places, slots:-1], batch.numbers)
        np.testing.assert_array_equal(words[places, -1], batch.labels)


def test_the_last_short_batch_is_kept_or_dropped(grouped):
    count = grouped.rows("train")
    for shuffle in (None, Shuffle((1,), 2000)):
        sizes = [len(b) for b in batches(grouped, "train", 1000, shuffle=shuffle)]
        assert sizes == [1000] * (count // 1000) + [count % 1000]
        sizes = [len(b) for b in batches(grouped, "train", 1000, shuffle=shuffle, drop_remainder=True)]
        assert sizes == [1000] * (count // 1000)


def test_memory_is_that_of_one_pool(grouped):
    pool_rows = 3000
    row_bytes = 4 * (26 + 13 + 1)
    list(batches(grouped, "train", 100, shuffle=Shuffle((1, 0), pool_rows)))  # imports and caches
    peaks = []
    for _ in range(3):
        tracemalloc.start()
        try:
            for _ in batches(grouped, "train", 100, shuffle=Shuffle((1, 0), pool_rows)):
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    peak = min(peaks)  # threads of other tests' services add to it, now and then
    assert pool_rows * row_bytes < peak < 2 * pool_rows * row_bytes


def test_prefetch_hands_on_batches_and_errors(dataset):
    direct = [b.labels.sum() for b in batches(dataset, "train", 500)]
    assert [b.labels.sum() for b in prefetch(batches(dataset, "train", 500))] == direct

    def broken():
        yield next(batches(dataset, "train", 10))
        raise OSError("disk")

    source = prefetch(broken())
    next(source)
    with pytest.raises(OSError, match="disk"):
        next(source)


def test_an_unreadable_row_group_comes_out_of_prefetch(grouped, monkeypatch):
    class Broken(pq.ParquetFile):
        def read_row_group(self, *args, **kwargs):
            raise OSError("disk")

    monkeypatch.setattr("ctrfast.data.batches.pq.ParquetFile", Broken)
    with pytest.raises(OSError, match="disk"):
        next(prefetch(batches(grouped, "train", 10)))


def test_prefetch_ends_all_threads_when_the_reader_stops(grouped):
    others = set(threading.enumerate())  # of other tests' services, too
    source = prefetch(batches(grouped, "train", 10, shuffle=Shuffle((1, 0), 100)))
    next(source)
    new = set(threading.enumerate()) - others
    ours = {thread for thread in new if thread.name.split("_")[0] in ("prefetch", "ctrfast-data")}
    assert {thread.name.split("_")[0] for thread in ours} == {"prefetch", "ctrfast-data"}
    source.close()
    assert not ours & set(threading.enumerate())
