import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError, DataError
from ctrfast.schema import PRESETS, preset


def load(dataset, split):
    """All rows of a split as one pandas table."""
    return pd.concat([pq.read_table(shard).to_pandas() for shard in dataset.shards(split)], ignore_index=True)


def raw_table(path, schema):
    """The raw file by pandas: texts, "" where missing."""
    names = None if schema.header else list(schema.columns)
    table = pd.read_csv(
        path,
        sep=schema.separator,
        names=names,
        header=0 if schema.header else None,
        dtype=str,
        keep_default_na=False,
        quoting=3,
    )
    return table.astype(object)


def oracle_ids(texts, train, min_count):
    """Local ids by pandas alone: counts of the training rows, falling, ties by text."""
    counts = texts[:train][texts[:train] != ""].value_counts()
    kept = sorted(counts[counts >= min_count].items(), key=lambda item: (-item[1], item[0].encode()))
    ids = {value: place for place, (value, _) in enumerate(kept, start=2)}
    return np.array([1 if text == "" else ids.get(text, 0) for text in texts]), kept


def test_criteo_equals_an_independent_computation(criteo_sample, tmp_path):
    schema = preset("criteo")
    report = prepare(
        [criteo_sample],
        schema,
        tmp_path / "out",
        min_count=2,
        split="sequential",
        valid_fraction=0.0,
        test_fraction=0.2,
    )
    raw = raw_table(criteo_sample, schema)
    train = len(raw) * 8 // 10
    assert report.rows == {"train": train, "valid": 0, "test": len(raw) - train}
    dataset = Dataset.open(tmp_path / "out")
    rows = pd.concat([load(dataset, "train"), load(dataset, "test")], ignore_index=True)
    np.testing.assert_array_equal(rows["label"], raw["label"].astype(int))
    for name in schema.id_names:
        expected, kept = oracle_ids(raw[name], train, 2)
        np.testing.assert_array_equal(rows[name], expected, err_msg=name)
        vocabulary = pq.read_table(dataset.path / "vocabulary" / f"{name}.parquet").to_pydict()
        assert list(zip(vocabulary["value"], vocabulary["count"], strict=True)) == kept
    for name in schema.numeric_names:
        values = pd.to_numeric(raw[name].replace("", np.nan)).to_numpy(dtype=float)
        values = np.where(values > 2, np.log(np.where(values > 2, values, 1)) ** 2, values)
        scaled = (values - np.nanmean(values[:train])) / np.nanstd(values[:train])
        np.testing.assert_allclose(rows[name], np.nan_to_num(scaled), rtol=1e-5, atol=1e-6, err_msg=name)


def test_avazu_equals_an_independent_computation(avazu_sample, tmp_path):
    schema = preset("avazu")
    prepare([avazu_sample], schema, tmp_path / "out", split="sequential", valid_fraction=0.0, test_fraction=0.1)
    raw = raw_table(avazu_sample, schema)
    times = pd.to_datetime(raw["hour"], format="%y%m%d%H")
    raw["hour_of_day"], raw["weekday"] = times.dt.hour.astype(str), times.dt.day_of_week.astype(str)
    dataset = Dataset.open(tmp_path / "out")
    rows = pd.concat([load(dataset, "train"), load(dataset, "test")], ignore_index=True)
    for name in schema.id_names:
        np.testing.assert_array_equal(rows[name], oracle_ids(raw[name], dataset.rows("train"), 1)[0], err_msg=name)


@pytest.mark.parametrize("name", ["criteo", "avazu"])
def test_scoring_a_raw_row_gives_the_training_row(name, criteo_sample, avazu_sample, tmp_path):
    schema, path = preset(name), {"criteo": criteo_sample, "avazu": avazu_sample}[name]
    prepare([path], schema, tmp_path / "out", split="sequential", valid_fraction=0.1, test_fraction=0.1, min_count=3)
    dataset = Dataset.open(tmp_path / "out")
    raw = raw_table(path, schema).tail(dataset.rows("test")).head(2000)
    encoded = dataset.encoder().encode_rows(raw.to_dict("records"))
    shard = load(dataset, "test").head(2000)
    np.testing.assert_array_equal(encoded.ids, shard[list(schema.id_names)].to_numpy())
    np.testing.assert_array_equal(encoded.numbers, shard[list(schema.numeric_names)].to_numpy(dtype=np.float32))


def rows_of(count, start=0):
    return b"".join(b"%d\t%d\ta%d\tb%d\n" % (row % 2, row, row % 11, row) for row in range(start, start + count))


def test_test_rows_never_change_what_was_learned(tmp_path, tiny):
    (tmp_path / "train.tsv").write_bytes(rows_of(80))
    (tmp_path / "other.tsv").write_bytes(rows_of(20, start=1000))
    (tmp_path / "twin.tsv").write_bytes(rows_of(20, start=5000))
    fitted = []
    for last in ("other", "twin"):
        files = [tmp_path / "train.tsv", tmp_path / f"{last}.tsv"]
        prepare(files, tiny, tmp_path / last, split="sequential", valid_fraction=0.1, test_fraction=0.1)
        dataset = Dataset.open(tmp_path / last)
        fitted.append(dataset.fitted.hash)
        assert (load(dataset, "test")["b"] == 0).all()  # values that training never saw
        assert (load(dataset, "valid")["b"] == 0).all()
    assert fitted[0] == fitted[1]


def test_the_same_files_and_settings_give_the_same_bytes(tmp_path, tiny):
    (tmp_path / "raw.tsv").write_bytes(rows_of(500) + b"broken\n")
    reports = [prepare([tmp_path / "raw.tsv"], tiny, tmp_path / name, seed=4) for name in ("one", "two")]
    assert reports[0] == reports[1]
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) > 7
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    other = prepare([tmp_path / "raw.tsv"], tiny, tmp_path / "three", seed=5)
    assert other.dataset_hash != reports[0].dataset_hash


def test_rows_in_are_rows_out_plus_rejected(tmp_path, tiny):
    (tmp_path / "raw.tsv").write_bytes(rows_of(90) + b"1\tx\ta\tb\n" * 3 + b"2\t1\ta\tb\n" + b"short\n")
    report = prepare([tmp_path / "raw.tsv"], tiny, tmp_path / "out")
    assert report.rejected == {"columns": 1, "label": 1, "number": 3}
    assert sum(report.rows.values()) == 90
    rejected = pq.read_table(tmp_path / "out" / "rejected.parquet").to_pylist()
    assert [row["line"] for row in rejected] == [91, 92, 93, 94, 95]
    assert rejected[-1] == {"file": "raw.tsv", "line": 95, "reason": "columns", "text": "short"}
    assert Dataset.open(tmp_path / "out").manifest.rejected.model_dump() == {"rows": 5, "reasons": report.rejected}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "manifest.json", "schema.json", "rejected.parquet", "vocabulary", "train", "valid", "test"
    }  # fmt: skip


def test_a_column_can_be_number_and_id_at_once(tmp_path, tiny):
    values = tiny.model_dump()
    values["id_fields"] = [*values["id_fields"], {"name": "n_id", "column": "n"}]
    (tmp_path / "raw.tsv").write_bytes(b"1\t5\ta\tb\n0\t7\ta\tb\n1\t5\ta\tb\n0\t\ta\tb\n")
    prepare(
        [tmp_path / "raw.tsv"], tiny.model_validate(values), tmp_path / "out", valid_fraction=0.0, test_fraction=0.0
    )
    rows = load(Dataset.open(tmp_path / "out"), "train")
    assert rows["n_id"].tolist() == [2, 3, 2, 1]
    np.testing.assert_allclose(rows["n"], np.array([-1, 2, -1, 0]) / 2**0.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"min_count": 0}, "min_count"),
        ({"split": "radnom"}, "split"),
        ({"valid_fraction": -0.1}, "valid_fraction"),
        ({"test_fraction": 1.0}, "test_fraction"),
        ({"test_fraction": float("nan")}, "test_fraction"),
        ({"valid_fraction": 0.5, "test_fraction": 0.5}, "valid_fraction"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_that_break_a_rule_are_refused(tmp_path, tiny, settings, path):
    (tmp_path / "raw.tsv").write_bytes(rows_of(10))
    with pytest.raises(ConfigError) as caught:
        prepare([tmp_path / "raw.tsv"], tiny, tmp_path / "out", **settings)
    assert caught.value.path == path


def test_refusals_leave_nothing_behind(tmp_path, tiny):
    raw, out = tmp_path / "raw.tsv", tmp_path / "out"
    with pytest.raises(DataError, match="There is no file at"):
        prepare([tmp_path / "absent.tsv"], tiny, out)
    raw.write_bytes(b"7\t1\ta\tb\n" * 3)
    with pytest.raises(DataError, match=r"The first of 3 rejected rows: line 1 of raw\.tsv: the label is neither"):
        prepare([raw], tiny, out)
    raw.write_bytes(b"1\t1\ta\tb\n")
    with pytest.raises(DataError, match=r"training split must have rows\. Got none of 1"):
        prepare([raw], tiny, out, split="sequential", valid_fraction=0.5, test_fraction=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["raw.tsv"]
    out.mkdir()
    (out / "mine.txt").touch()
    with pytest.raises(ConfigError, match="exists already"):
        prepare([raw], tiny, out)


def test_progress_reaches_the_end(tmp_path, tiny):
    (tmp_path / "raw.tsv").write_bytes(rows_of(100))
    seen = []
    prepare([tmp_path / "raw.tsv"], tiny, tmp_path / "out", on_progress=seen.append)
    last = {step.stage: (step.rows, step.total_rows) for step in seen}
    assert list(last.items()) == [("read", (100, None)), ("fit", (100, 100)), ("write", (100, 100))]
    assert [step.rows for step in seen if step.stage == "fit"] == [33, 66, 100]
    shares = [step.share for step in seen]
    assert shares == sorted(shares)
    assert {step.stage: step.share for step in seen} == pytest.approx({"read": 0.5, "fit": 0.7, "write": 1.0})


@pytest.mark.parametrize("limit", [1, 2**20, 700 * 2**20])
def test_a_memory_limit_below_what_the_program_needs_is_refused(tmp_path, tiny, limit):
    (tmp_path / "raw.tsv").write_bytes(rows_of(10))
    with pytest.raises(ConfigError, match="`memory_limit` must be at least 768 MiB"):
        prepare([tmp_path / "raw.tsv"], tiny, tmp_path / "out", memory_limit=limit)


def test_counts_on_the_disk_change_nothing(tmp_path, tiny, monkeypatch):
    (tmp_path / "raw.tsv").write_bytes(rows_of(5_000))
    one = prepare([tmp_path / "raw.tsv"], tiny, tmp_path / "one")
    monkeypatch.setattr("ctrfast.data.fit.BYTES_PER_KEY", 2**40)  # no key fits the memory
    assert prepare([tmp_path / "raw.tsv"], tiny, tmp_path / "two") == one


def test_presets_are_complete():
    assert set(PRESETS) == {"criteo", "criteo_1tb", "avazu"}
