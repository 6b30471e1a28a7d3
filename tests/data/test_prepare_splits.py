"""Splits by time and by column, the timeline, and training rows without a click that are left out."""

import functools
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctrfast.data import parsed
from ctrfast.data.prepare import prepare
from ctrfast.data.raw import chunks_of
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.errors import ConfigError, DataError
from ctrfast.schema import SPLITS, IdField, NumericField, Schema, preset

SCHEMA = Schema(
    name="timed",
    columns=("y", "day", "part", "row"),
    label="y",
    numeric_fields=(NumericField(name="row"),),
    id_fields=(IdField(name="row_id", column="row"),),
    timestamp={"column": "day", "format": "number"},
)


def prepared(folder, rows, schema=SCHEMA, **given_):
    """rows: (label, day, part) each; the row's number becomes an id that decodes to it."""
    folder.mkdir(exist_ok=True)
    lines = [f"{label}\t{day}\t{part}\t{row}\n" for row, (label, day, part) in enumerate(rows)]
    if not (folder / "raw.tsv").exists():  # unfinished work is gone on with while the file is the same
        (folder / "raw.tsv").write_text("".join(lines))
    report = prepare([folder / "raw.tsv"], schema, folder / "out", **given_)
    return report, Dataset.open(folder / "out")


def load(dataset, split):
    shards = [pq.read_table(shard).to_pandas() for shard in dataset.shards(split)]
    return pd.concat(shards, ignore_index=True) if shards else pd.DataFrame({"label": [], "row": []})


def raw_rows(dataset, split):
    """Numbers of the raw rows in a split, in order, from the standardised number."""
    of = dataset.fitted.statistics["row"]
    return np.rint(load(dataset, split)["row"].to_numpy(float) * of.std + of.mean).astype(int).tolist()


@pytest.fixture
def _small_chunks(monkeypatch):
    monkeypatch.setattr(parsed, "chunks_of", functools.partial(chunks_of, rows_per_block=7))


def test_the_latest_days_are_the_test_and_no_day_is_cut(tmp_path, _small_chunks):
    days = [5, 1, 4, 2, 3, 3, 2, 1, 4, 5] * 4  # 8 rows of each
    _, dataset = prepared(
        tmp_path, [(row % 2, day, "") for row, day in enumerate(days)], split="time", valid_fraction=0.2,
        test_fraction=0.25,
    )  # fmt: skip
    found = {split: Counter(days[row] for row in raw_rows(dataset, split)) for split in SPLITS}
    # 22 rows train and 8 validate by the fractions: the third and the fourth day are within the edges.
    assert found == {"train": {1: 8, 2: 8, 3: 8}, "valid": {4: 8}, "test": {5: 8}}
    assert raw_rows(dataset, "test") == [row for row, day in enumerate(days) if day == 5]


ROW = st.tuples(
    st.sampled_from("01"), st.sampled_from(["", "0", "1", "2", "77", "-3", "9007199254740992"]), st.just("")
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(ROW, min_size=5, max_size=40), st.integers(0, 4), st.integers(0, 4))
def test_a_split_by_time_is_that_of_the_sorted_rows(tmp_path_factory, rows, valid, test):
    report, dataset = prepared(
        tmp_path_factory.mktemp("t"), rows, split="time", valid_fraction=valid / 10, test_fraction=test / 10
    )
    times = np.array([int(day) if day else -(2**62) for _, day, _ in rows])
    ordered = np.sort(times)
    edges = [len(rows) * (10 - valid - test) // 10, len(rows) * (10 - test) // 10]
    last = [ordered[edge - 1] if edge else -(2**62) for edge in edges]
    expected = [int(time > last[0]) + int(time > last[1]) for time in times]
    assert {split: raw_rows(dataset, split) for split in SPLITS} == {
        split: [row for row, of in enumerate(expected) if of == place] for place, split in enumerate(SPLITS)
    }
    assert sum(report.rows.values()) == len(rows)
    assert sum(point.rows for point in dataset.manifest.timeline) == sum(day != "" for _, day, _ in rows)


def test_a_column_tells_the_split_and_other_texts_are_rejected(tmp_path, _small_chunks):
    parts = [*["train", "test", "valid", "train"] * 5, "Test", "", "train "]
    report, dataset = prepared(
        tmp_path, [(row % 2, 1, part) for row, part in enumerate(parts)], split="column", split_column="part"
    )
    assert report.rejected == {"split": 3}
    for split in SPLITS:
        assert raw_rows(dataset, split) == [row for row, part in enumerate(parts) if part == split]
    rejected = pq.read_table(dataset.path / "rejected.parquet").to_pylist()
    assert [row["line"] for row in rejected] == [21, 22, 23]
    assert dataset.manifest.preparation["split_column"] == "part"


def test_times_that_do_not_fit_are_rejected_whatever_the_split(tmp_path):
    report, dataset = prepared(tmp_path, [(1, 1, "")] * 20 + [(0, "soon", ""), (0, "1.5", ""), (0, "", "")])
    assert report.rejected == {"time": 2}
    assert [point.model_dump() for point in dataset.manifest.timeline] == [{"start": "1", "rows": 20, "positives": 20}]


def test_a_header_must_name_the_columns_of_time_and_split(tmp_path):
    schema = SCHEMA.model_copy(update={"header": True, "separator": ","})
    (tmp_path / "raw.csv").write_text("y,row\n1,1\n")
    with pytest.raises(DataError, match="It lacks day, part"):
        prepare([tmp_path / "raw.csv"], schema, tmp_path / "out", split="column", split_column="part")
    (tmp_path / "raw.csv").write_text("row,part,day,y\n1,train,3,1\n2,test,4,0\n")
    report = prepare([tmp_path / "raw.csv"], schema, tmp_path / "out", split="column", split_column="part")
    assert report.rows == {"train": 1, "valid": 0, "test": 1}


def test_a_schema_without_a_time_has_no_timeline(tmp_path, tiny):
    (tmp_path / "raw.tsv").write_bytes(b"1\t1\ta\tb\n" * 9)
    prepare([tmp_path / "raw.tsv"], tiny, tmp_path / "out")
    assert Dataset.open(tmp_path / "out").manifest.timeline == ()


def test_avazu_is_split_and_counted_by_the_hour(tmp_path):
    avazu_sample = tmp_path / "clicks.csv.gz"
    synth(avazu_sample, "avazu", 20_000, 5)  # the real sample lies within one hour
    prepare([avazu_sample], preset("avazu"), tmp_path / "out", split="time", test_fraction=0.2)
    dataset = Dataset.open(tmp_path / "out")
    raw = pd.read_csv(avazu_sample, dtype=str)
    by_hour = raw["click"].astype(int).groupby(pd.to_datetime(raw["hour"], format="%y%m%d%H"))
    expected = [(hour.strftime("%Y-%m-%dT%H:%M"), len(clicks), clicks.sum()) for hour, clicks in by_hour]
    points = [(point.start, point.rows, point.positives) for point in dataset.manifest.timeline if point.rows]
    assert points == expected
    hours, rows = raw["hour"].sort_values(), dataset.rows("test")
    assert 0 < rows <= 0.2 * len(raw)
    assert hours.iloc[-rows] > hours.iloc[-rows - 1]


NEGATIVES = [(int(row % 4 == 0), row % 9, "") for row in range(2_000)]


def test_kept_negatives_follow_from_seed_and_place_alone(tmp_path, monkeypatch):
    halves = {"split": "sequential", "valid_fraction": 0.1, "test_fraction": 0.3}
    whole, every = prepared(tmp_path / "whole", NEGATIVES, **halves)
    report, dataset = prepared(tmp_path / "some", NEGATIVES, **halves, negative_rate=0.2, seed=7)
    assert whole.dropped == 0
    assert sum(report.rows.values()) + report.dropped == 2_000
    assert report.rows["valid"] == 200
    assert report.rows["test"] == 600
    train = load(dataset, "train")
    assert (train["label"] == 1).sum() == 300
    assert (train["label"] == 0).sum() == pytest.approx(900 * 0.2, abs=50)
    assert dataset.manifest.dropped == report.dropped == 1200 - len(train)
    assert dataset.negative_rate == dataset.manifest.preparation["negative_rate"] == 0.2
    assert every.negative_rate == 1.0
    assert sum(point.rows for point in dataset.manifest.timeline) == 2_000
    monkeypatch.setattr(parsed, "chunks_of", functools.partial(chunks_of, rows_per_block=7))
    assert prepared(tmp_path / "cut", NEGATIVES, **halves, negative_rate=0.2, seed=7)[0] == report
    other = prepared(tmp_path / "other", NEGATIVES, **halves, negative_rate=0.2, seed=8)[1]
    assert raw_rows(other, "train") != raw_rows(dataset, "train")


def test_only_kept_rows_teach_vocabulary_and_statistics(tmp_path):
    report, dataset = prepared(tmp_path, NEGATIVES, negative_rate=0.3, valid_fraction=0.0, test_fraction=0.0)
    vocabulary = dataset.encoder().vocabularies["row_id"]
    kept = sorted(int(value) for value in vocabulary.values.to_pylist())
    assert kept == raw_rows(dataset, "train")
    assert len(kept) == report.rows["train"] < 2_000
    assert dataset.fitted.statistics["row"].mean == pytest.approx(np.mean(kept))
    assert dataset.fitted.statistics["row"].std == pytest.approx(np.std(kept))


def test_work_goes_on_only_under_the_same_settings(tmp_path):
    rows = [(row % 2, row % 5, ["train", "train", "test"][row % 3]) for row in range(60)]
    changes = [
        {},
        {"split": "time"},
        {"split": "column", "split_column": "part"},
        {"split": "column", "split_column": "part", "negative_rate": 0.5},
    ]
    for before, after in zip(changes, changes[1:] + changes[:1], strict=True):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))

        def stop(progress):
            if progress.stage == "write":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            prepared(folder, rows, **before, on_progress=stop)
        resumed = prepared(folder, rows, **after)[1]
        assert resumed.manifest.splits == prepared(tmp_path / "fresh", rows, **after)[1].manifest.splits
        (tmp_path / "fresh" / "out").rename(folder / "fresh")


@pytest.mark.parametrize(
    ("given_", "path"),
    [
        ({"split": "time"}, "split"),
        ({"split": "column"}, "split_column"),
        ({"split_column": "a"}, "split_column"),
        ({"split": "column", "split_column": "zzz"}, "split_column"),
        ({"negative_rate": 0.0}, "negative_rate"),
        ({"negative_rate": 1.01}, "negative_rate"),
        ({"negative_rate": float("nan")}, "negative_rate"),
    ],
)
def test_settings_that_break_a_rule_are_refused(tmp_path, tiny, given_, path):
    (tmp_path / "raw.tsv").write_bytes(b"1\t1\ta\tb\n")
    with pytest.raises(ConfigError) as caught:
        prepare([tmp_path / "raw.tsv"], tiny, tmp_path / "out", **given_)
    assert caught.value.path == path
