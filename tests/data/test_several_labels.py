"""Logs with several labels: read from text and parquet, prepared, and given in batches."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from ctrfast.config import TrainConfig
from ctrfast.data.batches import Shuffle, batches, read_words
from ctrfast.data.prepare import prepare
from ctrfast.data.raw import read_raw
from ctrfast.data.rejects import RejectWriter
from ctrfast.data.report import inspect_dataset
from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError, DataError
from ctrfast.memory import estimate
from ctrfast.preflight.stored_files import check_shards
from ctrfast.schema import IdField, Schema, load_schema
from tests import two_labels

THREE = Schema(
    name="three",
    columns=("time", "a", "like", "click", "buy"),
    label=("click", "buy", "like"),
    id_fields=(IdField(name="a"),),
    timestamp={"column": "time", "format": "number"},
)
ROWS = [(1, "x", "1", "1", "0"), (2, "y", "", "0", ""), (3, "x", "0", "1", "1"), (4, "z", "1", "0", "")]
LABELS = [[1, 0, 1], [0, -1, -1], [1, 1, 0], [0, -1, 1]]


def text_of(rows):
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def read(path, schema, rejected):
    with RejectWriter(rejected) as rejects:
        blocks = list(read_raw([path], schema, rejects=rejects, rows_per_block=3))
    return np.concatenate([block.label for block in blocks]), rejects.counts


def test_labels_are_read_in_the_schemas_order_and_empty_ones_are_unknown(tmp_path):
    (tmp_path / "log").write_text(text_of(ROWS))
    found, rejected = read(tmp_path / "log", THREE, tmp_path / "bad.parquet")
    assert found.tolist() == LABELS
    assert found.dtype == np.int8
    assert rejected == {}


@pytest.mark.parametrize("labels", [("", "1", "1"), ("1", "2", ""), ("1", "", "yes"), ("-1", "", ""), ("1", "-1", "")])
def test_a_row_without_the_first_label_or_with_a_bad_one_is_rejected(tmp_path, labels):
    click, buy, like = labels
    (tmp_path / "log").write_text(text_of([*ROWS, (5, "x", like, click, buy)]))
    found, rejected = read(tmp_path / "log", THREE, tmp_path / "bad.parquet")
    assert found.tolist() == LABELS
    assert rejected == {"label": 1}


@pytest.mark.parametrize("kind", [pa.int8(), pa.float32(), pa.float64(), pa.bool_(), pa.string()])
def test_parquet_has_null_where_a_label_is_unknown(tmp_path, kind):
    columns = {name: [row[place] or None for row in ROWS] for place, name in enumerate(THREE.columns)}
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    for name in THREE.labels:
        of_label = pa.array([None if value is None else int(value) for value in columns[name]], pa.int8())
        table = table.set_column(table.column_names.index(name), name, of_label.cast(kind))
    pq.write_table(table, tmp_path / "log.parquet")
    found, rejected = read(tmp_path / "log.parquet", THREE, tmp_path / "bad.parquet")
    assert found.tolist() == LABELS
    assert rejected == {}


def test_a_number_that_is_no_label_is_rejected(tmp_path):
    buys = pa.array([0.5, None, float("inf"), 1.0])
    columns = {"time": [1, 2, 3, 4], "a": ["x"] * 4, "like": [1] * 4, "click": [1.0, 1.0, 1.0, None], "buy": buys}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    found, rejected = read(tmp_path / "log.parquet", THREE, tmp_path / "bad.parquet")
    assert found.tolist() == [[1, -1, 1]]
    assert rejected == {"label": 3}


def test_rows_without_labels_are_read_for_scoring(tmp_path):
    (tmp_path / "log").write_text("".join(f"{time}\t{a}\n" for time, a, *_ in ROWS))
    with RejectWriter(tmp_path / "bad.parquet") as rejects:
        (block,) = read_raw([tmp_path / "log"], THREE, rejects=rejects, require_label=False)
    assert block.label is None
    assert block.rows == len(ROWS)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return two_labels.make_dataset(tmp_path_factory.mktemp("data"), rows=3000)


def test_a_dataset_keeps_every_label_in_its_row(dataset):
    clicks, bought, _ = two_labels.learnable(3000)
    expected = np.stack([clicks, [-1 if buy == "" else int(buy) for buy in bought]], axis=1)
    shards = [pq.read_table(shard) for split in ("train", "valid", "test") for shard in dataset.shards(split)]
    stored = pa.concat_tables(shards)
    assert stored.schema.names == ["label", "label/buy", "n", "a", "b"]
    assert stored.schema.types[:2] == [pa.int8(), pa.int8()]
    found = np.stack([stored["label"].to_numpy(), stored["label/buy"].to_numpy()], axis=1)
    np.testing.assert_array_equal(found, expected)
    train = expected[: dataset.rows("train")]
    known = train[:, 1] >= 0
    assert dataset.split("train").labels["buy"].model_dump() == {
        "rows": int(known.sum()),
        "positives": int((train[:, 1] == 1).sum()),
    }
    assert dataset.label_rates("train") == pytest.approx({"click": train[:, 0].mean(), "buy": train[known, 1].mean()})
    assert dataset.label_rate("train") == pytest.approx(train[:, 0].mean())
    check_shards(dataset)


def test_batches_have_a_column_for_each_label(dataset):
    clicks, bought, _ = two_labels.learnable(3000)
    expected = np.stack([clicks, [-1 if buy == "" else int(buy) for buy in bought]], axis=1)[: dataset.rows("train")]
    given = list(batches(dataset, "train", 700))
    assert given[0].labels.dtype == np.float32
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in given]), expected)
    shuffled = list(batches(dataset, "train", 700, shuffle=Shuffle(seed=(1, 0), rows=10_000)))
    rows = np.concatenate([np.column_stack((b.labels, b.numbers, b.ids)) for b in shuffled])
    plain = np.concatenate([np.column_stack((b.labels, b.numbers, b.ids)) for b in given])
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], plain[np.lexsort(plain.T)])
    words = np.concatenate(list(read_words(dataset, "train")))
    np.testing.assert_array_equal(words[:, -2:], expected)
    assert words.shape[1] == 2 + 1 + 2


def test_a_further_label_takes_memory(dataset):
    one = dataset.fitted.model_copy(update={"schema_": dataset.fitted.schema_.model_copy(update={"label": "click"})})
    sizes = [estimate(fitted, TrainConfig(batch_size=64), train_rows=1000) for fitted in (one, dataset.fitted)]
    assert sizes[1].by_part["input"] - sizes[0].by_part["input"] == 4 * (1000 + 1000 + 5 * 64)


def test_the_report_has_a_rate_for_each_label(dataset):
    report = inspect_dataset(dataset)
    assert report.label_rates["valid"] == dataset.label_rates("valid")
    assert report.label_rate["valid"] == dataset.label_rate("valid")


def test_one_label_in_a_list_is_the_same_dataset(tmp_path):
    plain = two_labels.SCHEMA.model_copy(update={"label": "click"})
    listed = Schema.model_validate({**plain.model_dump(), "label": ["click"]})
    assert listed == plain
    assert listed.hash == plain.hash
    assert json.loads(plain.model_dump_json())["label"] == "click"
    (tmp_path / "data").mkdir()
    dataset = two_labels.make_dataset(tmp_path / "data", rows=500, schema=listed)
    assert "labels" not in json.loads((dataset.path / "manifest.json").read_text())["splits"]["train"]
    assert next(batches(dataset, "train", 8)).labels.shape == (8,)
    assert dataset.label_rates("train") == {"click": dataset.label_rate("train")}


def test_a_schema_file_names_several(tmp_path):
    file = tmp_path / "schema.yaml"
    file.write_text("name: s\ncolumns: [click, buy, a]\nlabel: [click, buy]\nid_fields: [{name: a}]\n")
    schema = load_schema(file)
    assert (schema.labels, schema.tasks, schema.label_columns) == (
        ("click", "buy"),
        ("click", "buy"),
        ("label", "label/buy"),
    )
    assert schema.input_columns == ("a",)
    assert Schema.model_validate_json(schema.model_dump_json()) == schema


@pytest.mark.parametrize(
    "label, says",
    [
        ([], "must name 1 to 8 columns. Got 0"),
        ([f"l{n}" for n in range(9)], "must name 1 to 8 columns. Got 9"),
        (["click", "click"], "must be unique. Got click"),
        (["click", "no such"], "letters, digits, - and _. Got 'no such'"),
        (["click", "gone"], "no column for gone"),
        (["click", "a"], "must be unique. Got a"),
    ],
)
def test_labels_that_cannot_be_are_refused(label, says):
    with pytest.raises(ValidationError, match=says):
        Schema(name="s", columns=("click", "buy", "a"), label=label, id_fields=(IdField(name="a"),))


def test_negative_down_sampling_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"must be 1 for several labels.*Got negative_rate=0\.5") as error:
        two_labels.make_dataset(tmp_path, rows=100, negative_rate=0.5)
    assert error.value.path == "negative_rate"


def test_a_raw_file_without_a_label_is_refused(tmp_path):
    schema = two_labels.SCHEMA.model_copy(update={"header": True})
    (tmp_path / "log").write_text("click\tn\ta\tb\n1\t1\tx\ty\n")
    with pytest.raises(DataError, match="lacks buy"):
        prepare([tmp_path / "log"], schema, tmp_path / "out")


def test_a_prepared_dataset_is_the_same_after_a_broken_off_preparation(tmp_path, dataset):
    (tmp_path / "again").mkdir()
    stop = iter(range(100))

    def on_progress(_):
        if next(stop) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        two_labels.make_dataset(tmp_path / "again", rows=3000, on_progress=on_progress)
    again = two_labels.make_dataset(tmp_path / "again", rows=3000)
    assert [shard.sha256 for shard in again.split("train").shards] == [
        shard.sha256 for shard in dataset.split("train").shards
    ]
    assert Dataset.open(again.path).fitted.hash == dataset.fitted.hash
