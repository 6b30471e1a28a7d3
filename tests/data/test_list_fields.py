"""Fields of lists and of shared tables: preparing, encoding columns and encoding rows give the same inputs."""

from itertools import count

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctrfast.data.batches import batches
from ctrfast.data.prepare import prepare
from ctrfast.data.raw import read_raw
from ctrfast.data.rejects import RefuseRejects
from ctrfast.data.report import inspect_dataset
from ctrfast.data.shards import Dataset
from ctrfast.errors import DataError
from ctrfast.schema import IdField, Schema
from tests import list_clicks

SCHEMA = Schema(
    name="lists",
    columns=("label", "history", "item", "bought"),
    label="label",
    id_fields=(
        IdField(name="history", separator="|", max_values=3, share="item"),
        IdField(name="item", min_count=2, unseen_buckets=3),
        IdField(name="bought", share="item"),
        IdField(name="hashed", column="history", separator="|", max_values=5, hash_buckets=4),
        IdField(name="last", column="history"),
        IdField(name="own", column="history", separator="|", max_values=1, unseen_buckets=2),
    ),
)
VALUE = st.sampled_from(["a", "b", "é", "68fd1e64", "a long name of an item", "another long name"]) | st.text("xyz ")
LIST = st.lists(VALUE | st.just(""), max_size=6).map("|".join)
ROW = st.tuples(st.sampled_from("01"), LIST, VALUE, VALUE)
HISTORY, ITEM, BOUGHT, HASHED, LAST, OWN = SCHEMA.field_slots
_NAMES = count()


def shard_rows(dataset, splits=("train", "valid", "test")):
    return pd.concat([pq.read_table(shard).to_pandas() for name in splits for shard in dataset.shards(name)])


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(table=st.lists(ROW, min_size=3, max_size=25), min_count=st.integers(1, 3))
def test_preparing_and_scoring_give_the_same_inputs(tmp_path, table, min_count):
    folder = tmp_path / str(next(_NAMES))
    folder.mkdir()
    raw = list_clicks.write_clicks(folder / "raw.tsv", table)
    halves = {"split": "sequential", "valid_fraction": 0.0, "test_fraction": 0.4, "min_count": min_count}
    prepare([raw], SCHEMA, folder / "out", **halves)
    columns = dict(zip(SCHEMA.columns, zip(*table, strict=True), strict=True))
    lists = {**columns, "history": [text.split("|") for text in columns["history"]]}
    without_last = SCHEMA.model_copy(update={"id_fields": tuple(f for f in SCHEMA.id_fields if f.name != "last")})
    pq.write_table(pa.table(lists), folder / "raw.parquet")
    prepare([folder / "raw.parquet"], without_last, folder / "of_lists", **halves)
    dataset, of_lists = Dataset.open(folder / "out"), Dataset.open(folder / "of_lists")
    prepared = shard_rows(dataset)
    pd.testing.assert_frame_equal(prepared.drop(columns="last"), shard_rows(of_lists))

    encoder = dataset.encoder()
    (block,) = read_raw([raw], SCHEMA, rejects=RefuseRejects())
    as_rows = [dict(zip(SCHEMA.columns, row, strict=True)) for row in table]
    encoded = encoder.encode_rows(as_rows)
    by_columns = {name: pa.array(columns[name]) for name in SCHEMA.input_columns}
    for other in (encoder.encode_block(block.texts, block.numbers, len(table)), encoder.encode(by_columns)):
        np.testing.assert_array_equal(encoded.ids, other.ids)
        assert encoded.unseen == other.unseen
    (batch,) = (batch for batch in batches(of_lists, "train", 100))
    for name, slots, rows in zip(SCHEMA.id_names, SCHEMA.field_slots, encoder.fitted.id_rows, strict=True):
        values = [row[row != rows.padding].tolist() for row in encoded.ids[:, slots]]
        assert values == [np.atleast_1d(of_row).tolist() for of_row in prepared[name]]
        assert all(sorted(row == rows.padding) == list(row == rows.padding) for row in encoded.ids[:, slots])
    online = of_lists.encoder().encode_rows([{**row, "history": row["history"].split("|")} for row in as_rows])
    fused = online.ids + np.array(of_lists.fitted.slot_offsets)
    np.testing.assert_array_equal(batch.ids, fused[: len(batch)])
    _check_meaning(encoder, encoded, pd.DataFrame(as_rows), dataset.rows("train"))


def _check_meaning(encoder, encoded, rows, train):
    """Against pandas: values of all sharing fields are counted together."""
    lists = {name: rows[name].str.split("|").map(lambda values: [v for v in values if v]) for name in ("history",)}
    values = pd.concat([lists["history"][:train].str[:3].explode(), rows["item"][:train], rows["bought"][:train]])
    counts = values[values.notna() & (values != "")].value_counts()
    vocabulary = encoder.vocabularies["item"]
    kept = counts[counts >= 2].to_dict()
    assert dict(zip(vocabulary.values.to_pylist(), vocabulary.counts.to_pylist(), strict=True)) == kept
    assert set(encoder.vocabularies) == {"item", "hashed", "last", "own"}
    table = encoder.fitted.id_rows[0]
    assert (table.size, table.padding) == (len(kept) + 5, len(kept) + 4)
    first = lists["history"].str[:3].explode()
    assert encoded.unseen["history"] == (first.notna() & ~first.isin(kept)).sum()
    assert encoded.unseen["bought"] == ((rows["bought"] != "") & ~rows["bought"].isin(kept)).sum()
    assert encoded.unseen["hashed"] == 0
    is_missing = lists["history"].map(len) == 0
    for slots, width in ((HISTORY, 3), (HASHED, 5), (OWN, 1)):
        assert slots.stop - slots.start == width
        assert (encoded.ids[:, slots.start] == 1).tolist() == is_missing.tolist()
    kept_items = encoder.vocabularies["item"].values.to_pylist()
    index = {value: place for place, value in enumerate(kept_items, start=2)}
    for row, found in enumerate(lists["history"]):
        for place, value in enumerate(found[:3]):
            if value in index:
                assert encoded.ids[row, HISTORY][place] == index[value]


def test_an_absent_column_is_one_missing_value(tmp_path):
    dataset = list_clicks.make_dataset(tmp_path, list_clicks.learnable(200))
    encoder = dataset.encoder()
    history, _, tags = (rows.padding for rows in encoder.fitted.id_rows)
    expected = [[1, history, history, 1, 1, tags, tags, tags]]
    assert encoder.encode_rows([{}]).ids.tolist() == encoder.encode({}, rows=1).ids.tolist() == expected
    assert encoder.encode_rows([{"tags": None, "history": []}]).ids.tolist() == expected
    assert encoder.encode({"history": pa.array([[None]], pa.list_(pa.string()))}).ids.tolist() == expected


@pytest.mark.parametrize("list_of", [pa.list_, pa.large_list])
def test_columns_of_lists_are_encoded_as_rows_are(tmp_path, list_of):
    encoder = list_clicks.make_dataset(tmp_path, list_clicks.learnable(50)).encoder()
    history = [["item-1", "item-2"], [], None, ["new", None, "item-3", "item-4"]]
    columns = {"history": pa.array(history, list_of(pa.string()))}
    expected = encoder.encode_rows([{"history": values} for values in history])
    np.testing.assert_array_equal(encoder.encode(columns).ids, expected.ids)
    for wrong in ({"item": pa.array([["a"]])}, {"history": pa.array([[1.5]])}):
        with pytest.raises(DataError, match="must hold text or whole numbers"):
            encoder.encode(wrong)


def test_a_vocabulary_that_fields_share_grows(tmp_path):
    rows = list_clicks.learnable(200)
    first = list_clicks.make_dataset(tmp_path, rows, "monday")
    more = [(*row[:2], row[2].replace("item-1", "new-1"), *row[3:]) for row in rows]
    frozen = list_clicks.make_dataset(tmp_path, more, "frozen", vocabulary_from=first.path)
    assert frozen.fitted == first.fitted
    grown = list_clicks.make_dataset(tmp_path, more, "grown", vocabulary_from=first.path, grow=True)
    old, new = (dataset.encoder().vocabularies["item"].values.to_pylist() for dataset in (first, grown))
    assert new[: len(old)] == old
    assert new[len(old) :]
    assert all(value.startswith("new-1") for value in new[len(old) :])


def test_long_lists_are_read_and_longer_ones_refused(tmp_path):
    schema = list_clicks.SCHEMA
    values = "|".join(f"item-{i}" for i in range(5000))  # more than one value may have, less than a list
    rows = [("1", "1", values, "a", "t"), ("0", "1", "a", "z" * 4097, "t"), ("0", "1", "z" * 65_537, "a", "t")]
    raw = list_clicks.write_clicks(tmp_path / "raw.tsv", rows)
    whole = {"valid_fraction": 0.0, "test_fraction": 0.0}
    report = prepare([raw], schema, tmp_path / "out", **whole)
    assert (report.rows["train"], report.rejected) == (1, {"too_long": 2})
    columns = dict(zip(schema.columns, zip(*rows, strict=True), strict=True))
    columns["history"] = [text.split("|") for text in columns["history"]]
    pq.write_table(pa.table(columns), tmp_path / "raw.parquet")
    assert prepare([tmp_path / "raw.parquet"], schema, tmp_path / "of_parquet", **whole).rejected == {"too_long": 2}
    encoder = Dataset.open(tmp_path / "out").encoder()
    assert encoder.encode_rows([{"history": values}]).ids[0, 0] != 1
    for row, length in (({"item": "z" * 4097}, 4096), ({"history": ["z" * 65_537]}, 65_536)):
        with pytest.raises(DataError, match=f"at most {length} bytes long"):
            encoder.encode_rows([row])


@pytest.mark.parametrize("row", [{"history": [1.5]}, {"item": ["a"]}, {"history": {"a": 1}}, {"history": [["a"]]}])
def test_what_is_no_list_of_ids_is_refused(tmp_path, row):
    encoder = list_clicks.make_dataset(tmp_path, list_clicks.learnable(50)).encoder()
    with pytest.raises(DataError, match="must be text or a whole number") as caught:
        encoder.encode_rows([{}, row])
    assert caught.value.path == f"1.{next(iter(row))}"


def test_a_column_of_lists_is_refused_for_a_field_of_one_value(tmp_path):
    rows = {"label": [1], "n": [1.0], "history": ["a"], "item": [["a"]], "tags": ["t"]}
    pq.write_table(pa.table(rows), tmp_path / "raw.parquet")
    with pytest.raises(DataError, match=r"'item' of .* must hold text or whole numbers") as caught:
        prepare([tmp_path / "raw.parquet"], list_clicks.SCHEMA, tmp_path / "out")
    assert caught.value.path == "item"


def test_a_report_counts_values(tmp_path):
    dataset = list_clicks.make_dataset(tmp_path, list_clicks.learnable(400))
    report = inspect_dataset(dataset)
    history, item, tags = report.id_fields
    train = shard_rows(dataset, ("train",))
    ids = np.concatenate(train["history"].to_list())
    values, counts = np.unique(ids[ids >= 2], return_counts=True)
    kept = values < dataset.fitted.id_rows[0].more_unseen
    assert history.values == kept.sum()
    assert history.top_share == counts[kept].max() / len(ids)
    assert history.missing_share["train"] == (ids == 1).sum() / len(ids)
    assert history.unseen_share["train"] == dataset.fitted.id_rows[0].is_unseen(ids).sum() / len(ids)
    assert history.top_value == f"item-{history.top_value.removeprefix('item-')}"
    assert (history.table_rows, item.table_rows) == (0, dataset.fitted.table_sizes[0])
    assert sum(field.table_bytes for field in report.id_fields) == report.table_bytes
    assert (
        tags.top_share == np.bincount(np.concatenate(train["tags"].to_list()))[2:].max() / train["tags"].map(len).sum()
    )
    copies = pd.concat([train.map(str), shard_rows(dataset, ("test",)).map(str)])
    expected = copies.duplicated()[len(train) :].sum()
    assert report.repeated["test"].rows == expected


def test_rows_that_differ_in_the_order_of_a_list_are_not_repeated(tmp_path):
    rows = [("1", "1", "a|b", "a", "t"), ("0", "1", "b", "b", "t")] * 9
    other = [("1", "1", "b|a", "a", "t"), ("0", "1", "b", "b", "t")]
    raw = list_clicks.write_clicks(tmp_path / "raw.tsv", rows + other)
    prepare([raw], list_clicks.SCHEMA, tmp_path / "out", split="sequential", valid_fraction=0.0, test_fraction=0.1)
    assert inspect_dataset(Dataset.open(tmp_path / "out")).repeated["test"].rows == 1
