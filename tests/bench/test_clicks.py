import numpy as np
import pyarrow.parquet as pq

from bench.clicks import make_clicks
from bench.workload import FIELDS, NUMBERS, Rows, field_sizes, offsets
from ctrfast.data.batches import batches
from ctrfast.data.shards import Dataset

IDS = 1000


def test_the_dataset_and_the_arrays_hold_the_same_rows(tmp_path):
    data = make_clicks(tmp_path, rows=500, ids=IDS)
    dataset, rows = Dataset.open(data / "dataset"), Rows.read(data)
    assert dataset.fitted.table_rows == IDS
    assert dataset.fitted.table_sizes == tuple(field_sizes(IDS))
    assert rows.ids.shape == (500, FIELDS)
    assert rows.numbers.shape == (500, NUMBERS)
    (batch,) = batches(dataset, "train", 500)
    np.testing.assert_array_equal(batch.ids, rows.ids + offsets(field_sizes(IDS)))
    np.testing.assert_array_equal(batch.numbers, rows.numbers)
    np.testing.assert_array_equal(batch.labels, rows.labels)


def test_ids_stay_in_their_fields_and_are_skewed(tmp_path):
    rows = Rows.read(make_clicks(tmp_path, rows=2000, ids=IDS))
    sizes = np.array(field_sizes(IDS))
    assert rows.ids.min() == 0
    assert (rows.ids < sizes).all()
    largest = int(np.argmax(sizes))
    share = (rows.ids[:, largest] == 0).mean()
    np.testing.assert_allclose(share, sizes[largest] ** -0.25, atol=0.05)


def test_rows_are_made_once(tmp_path):
    first = make_clicks(tmp_path, rows=500, ids=IDS)
    shard = next(first.glob("dataset/train/*.parquet"))
    before = shard.stat().st_mtime_ns, pq.read_metadata(shard).num_rows
    assert make_clicks(tmp_path, rows=500, ids=IDS) == first
    assert (shard.stat().st_mtime_ns, pq.read_metadata(shard).num_rows) == before


def test_batches_go_round():
    rows = Rows(np.arange(10)[:, None], np.zeros((10, 1)), np.zeros(10))
    assert rows.batch(0, 4).ids[:, 0].tolist() == [0, 1, 2, 3]
    assert rows.batch(2, 4).ids[:, 0].tolist() == [0, 1, 2, 3]
    assert rows.batch(3, 4).ids[:, 0].tolist() == [4, 5, 6, 7]
