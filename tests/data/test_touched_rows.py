"""The rows that a batch touches, foreseen: against batches that were drawn, by hand, and its bounds."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.data.touched_rows import most_touched, touched_rows
from ctrfast.errors import ArtifactError
from ctrfast.schema import IdField, NumericField, Schema


def drawn(dataset, rows, batches=20):
    """Mean number of different (field, id) pairs in batches of shuffled training rows."""
    names = list(dataset.fitted.schema_.id_names)
    shards = [pq.read_table(shard, columns=names) for shard in dataset.shards("train")]
    table = np.concatenate([np.stack([shard[name].to_numpy() for name in names], axis=1) for shard in shards])
    rng = np.random.default_rng(5)
    picked = (table[rng.permutation(len(table))[:rows]] for _ in range(batches))
    return np.mean([sum(len(np.unique(column)) for column in batch.T) for batch in picked])


@pytest.mark.parametrize("rows", [32, 256, 2048])
def test_it_is_what_drawn_batches_touch(dataset, rows):
    foreseen, found = touched_rows(dataset, rows), drawn(dataset, rows)
    spare = 2 * len(dataset.fitted.tables)  # rows of unseen and missing values, which count as touched
    assert 0.95 * found < foreseen < 1.05 * found + spare


def test_all_rows_touch_all_values_and_no_more(dataset):
    assert touched_rows(dataset, dataset.rows("train")) == dataset.fitted.table_rows
    assert touched_rows(dataset, 10**9) == dataset.fitted.table_rows


def test_a_row_touches_one_row_of_each_table(dataset):
    fields = len(dataset.fitted.tables)
    assert sum(most_touched(dataset.fitted, 1).values()) == fields
    assert touched_rows(dataset, 1) == pytest.approx(fields)


@pytest.fixture(scope="module")
def other_tables(tmp_path_factory):
    """Four rows of hash buckets, a list of at most three values, and a field that shares the list's table."""
    folder = tmp_path_factory.mktemp("touched")
    raw = folder / "raw.tsv"
    raw.write_text("".join(f"{n % 2}\t{n}\tu{n}\t{tags}\tx\n" for n, tags in enumerate(["x|y", "x", "z", "x|z"])))
    schema = Schema(
        name="other",
        columns=("label", "n", "url", "tags", "tag"),
        label="label",
        numeric_fields=(NumericField(name="n"),),
        id_fields=(
            IdField(name="url", hash_buckets=100),
            IdField(name="tags", separator="|", max_values=3),
            IdField(name="tag", share="tags"),
        ),
    )
    prepare([raw], schema, folder / "dataset", split="sequential", valid_fraction=0, test_fraction=0)
    return Dataset.open(folder / "dataset")


def test_hash_buckets_are_bounded_by_the_rows_and_lists_by_their_slots(other_tables):
    tags = other_tables.fitted.tables["tags"].size
    assert most_touched(other_tables.fitted, 1) == {"url": 1, "tags": min(tags, 4)}
    assert most_touched(other_tables.fitted, 1000) == {"url": other_tables.fitted.tables["url"].size, "tags": tags}


def test_values_of_a_shared_table_by_hand(other_tables):
    counts = pq.read_table(other_tables.path / "vocabulary" / "tags.parquet")["count"].to_pylist()
    kept = sum(1 - 0.5**count for count in counts)  # half of the rows: each occurrence is there or not
    others = other_tables.fitted.tables["tags"].size - len(counts)
    assert touched_rows(other_tables, 2) == pytest.approx(2 + others + kept)


def test_a_vocabulary_that_is_gone_is_named(other_tables, tmp_path):
    gone = Dataset(tmp_path, other_tables.manifest, other_tables.fitted)
    with pytest.raises(ArtifactError, match=r"vocabulary/tags\.parquet cannot be read"):
        touched_rows(gone, 2)
