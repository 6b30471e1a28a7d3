"""Batches hold every row once, in an order that the seed fixes."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from ctrfast.data.batches import Batch, Shuffle, batches, prefetch
from ctrfast.schema import SPLITS


def everything(dataset, split, **options):
    parts = list(batches(dataset, split, 100, **options))
    return Batch(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "numbers", "labels")))


@pytest.mark.parametrize("split", SPLITS)
def test_unshuffled_batches_are_the_shards(dataset, split):
    table = pq.read_table(dataset.shards(split)).to_pandas()
    got = everything(dataset, split)
    fitted = dataset.fitted
    np.testing.assert_array_equal(got.labels, table["label"])
    np.testing.assert_array_equal(got.ids - np.array(fitted.table_offsets), table[list(fitted.schema_.id_names)])
    np.testing.assert_array_equal(got.numbers, table[list(fitted.schema_.numeric_names)])
    assert (got.ids.dtype, got.numbers.dtype, got.labels.dtype) == (np.int32, np.float32, np.float32)
    assert got.ids.max() < fitted.table_rows


@pytest.mark.parametrize("pool", [10, 250, 10**6])
def test_shuffled_batches_hold_every_row_once(dataset, pool):
    plain, mixed = everything(dataset, "train"), everything(dataset, "train", shuffle=Shuffle((1, 0), pool))

    def rows(batch):
        return sorted(map(bytes, np.c_[batch.ids, batch.numbers.view(np.int32), batch.labels.astype(np.int32)]))

    assert rows(plain) == rows(mixed)
    assert np.any(plain.ids != mixed.ids)


def test_the_seed_fixes_the_order(dataset):
    first, again, other = (
        everything(dataset, "train", shuffle=Shuffle(seed, 10**6)).ids for seed in ((1, 0), (1, 0), (1, 1))
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_the_last_short_batch_is_kept_or_dropped(dataset):
    rows = dataset.rows("train")
    assert [len(b) for b in batches(dataset, "train", 1000)] == [1000] * (rows // 1000) + [rows % 1000]
    assert [len(b) for b in batches(dataset, "train", 1000, drop_remainder=True)] == [1000] * (rows // 1000)


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


def test_prefetch_ends_its_thread_when_the_reader_stops(dataset):
    import threading

    source = prefetch(batches(dataset, "train", 10))
    next(source)
    source.close()
    assert not [t for t in threading.enumerate() if t.name == "prefetch"]
