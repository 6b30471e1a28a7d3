"""Parquet as raw input: the same rows, rules and rejects as text."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctrfast.data.prepare import prepare
from ctrfast.data.raw import read_raw
from ctrfast.data.rejects import RejectWriter
from ctrfast.data.shards import Dataset
from ctrfast.errors import DamagedFileError, DataError
from ctrfast.schema import Schema
from tests.data.test_raw import read


def write(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.fixture
def rows():
    return {"label": [1, 0, 1], "n": [1.5, None, -3.0], "a": ["x", None, "é"], "b": ["", "y", "z" * 4096]}


EXPECTED = ([1, 0, 1], {"n": [1.5, None, -3.0], "a": ["x", None, "é"], "b": [None, "y", "z" * 4096]}, [])


@pytest.mark.parametrize("label", [pa.int8(), pa.uint64(), pa.bool_(), pa.float32(), pa.float64(), pa.string()])
@pytest.mark.parametrize(
    "text", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_columns_are_found_by_name_whatever_their_type(tmp_path, tiny, rows, label, text):
    labels = [str(value) for value in rows["label"]] if label == pa.string() else rows["label"]
    kinds = {"label": pa.array(labels).cast(label), "n": pa.array(rows["n"], pa.float32())}
    kinds |= {name: pa.array(rows[name], pa.string()).cast(text) for name in ("a", "b")}
    path = write(tmp_path / "raw.parquet", {"b": kinds["b"], "unused": [b"\xff"] * 3, **kinds})
    assert read(path, tiny) == EXPECTED
    without_suffix = path.rename(tmp_path / "raw")
    assert read(without_suffix, tiny, rows_per_block=2) == EXPECTED


def test_whole_numbers_are_their_decimal_text(tmp_path, tiny):
    values = Schema.model_validate({**tiny.model_dump(), "id_fields": [{"name": "a"}, {"name": "n_id", "column": "n"}]})
    n = pa.array([2**63 - 1, None, -7], pa.int64())
    a = pa.array([2**64 - 1, 5, None], pa.uint64()).dictionary_encode()
    path = write(tmp_path / "raw.parquet", {"label": [1, 0, 1], "n": n, "a": a, "b": pa.nulls(3)})
    _, columns, rejected = read(path, values)
    assert rejected == []
    assert columns["a"] == ["18446744073709551615", "5", None]
    assert columns["n"] == [float(2**63 - 1), None, -7.0, "9223372036854775807", None, "-7"]  # as number, as id


@pytest.mark.parametrize("bucket", [{"bucket": "quantile", "buckets": 3}, {"bucket": "log_squared"}])
@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_buckets_are_made_of_floats_too(tmp_path, tiny, bucket, kind):
    fields = [{"name": "a"}, {"name": "part", "column": "n", **bucket}]
    schema = Schema.model_validate({**tiny.model_dump(), "id_fields": fields})
    n = pa.array([0.1, 2.5, None, 1e20, -7.25, float("nan"), 1e5] * 3, kind)
    values = [None if value is None else repr(value) for value in n.to_pylist()]
    columns = {"label": [1, 0, 1, 0, 1, 0, 1] * 3, "n": n, "a": ["x"] * 21, "b": ["y"] * 21}
    write(tmp_path / "float.parquet", columns)
    write(tmp_path / "text.parquet", {**columns, "n": pa.array(values)})
    datasets = []
    for name in ("float", "text"):
        options = {"valid_fraction": 0.0, "test_fraction": 0.0}
        report = prepare([tmp_path / f"{name}.parquet"], schema, tmp_path / name, **options)
        assert report.rejected == {"number": 3}
        datasets.append(Dataset.open(tmp_path / name))
    shards = [pq.read_table(dataset.shards("train")[0]) for dataset in datasets]
    assert shards[0] == shards[1]
    kept = n.filter(pa.array([value != "nan" for value in values]))
    encoder = datasets[0].encoder()
    np.testing.assert_array_equal(encoder.encode({"n": kept}).ids[:, 1], shards[0]["part"].to_numpy())
    rows = [{"n": value} for value in kept.to_pylist()]
    np.testing.assert_array_equal(encoder.encode_rows(rows).ids[:, 1], shards[0]["part"].to_numpy())


def test_each_bad_row_is_kept_with_row_reason_and_values(tmp_path, tiny):
    columns = {
        "label": pa.array([1.0, 0.5, None, 1, 1, 1, 1, -0.0]),
        "n": pa.array([1.0, 2, 3, float("nan"), float("inf"), 1e39, 4, 5]),
        "a": pa.array(["x", "x", "x", "x", "x", "x", "z" * 4097, "line\r\nend\ttab"]),
        "b": pa.array(["y"] * 8),
    }
    path = write(tmp_path / "raw.parquet", columns, row_group_size=3)
    for per_block in (1, 2, 1000):
        labels, values, rejected = read(path, tiny, rows_per_block=per_block)
        assert labels == [1, 0]
        assert values == {"n": [1.0, 5.0], "a": ["x", "line\r\nend\ttab"], "b": ["y", "y"]}
        assert [(row["file"], row["line"], row["reason"]) for row in rejected] == [
            ("raw.parquet", line, reason)
            for line, reason in (
                (2, "label"),
                (3, "label"),
                (4, "number"),
                (5, "number"),
                (6, "number"),
                (7, "too_long"),
            )
        ]
        assert [row["text"] for row in rejected[:3]] == ["0.5\t2.0\tx\ty", "\t3.0\tx\ty", "1.0\tnan\tx\ty"]
        assert rejected[-1]["text"] == ("1.0\t4.0\t" + "z" * 4097)[:1000]


def test_text_that_is_not_utf8_is_rejected(tmp_path, tiny):
    offsets = pa.py_buffer(np.array([0, 1, 3], np.int32))
    broken = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xff\xfe")])
    path = write(tmp_path / "raw.parquet", {"label": [1, 1], "n": [1, 1], "a": broken, "b": ["é", "é"]})
    labels, _, rejected = read(path, tiny)
    assert labels == [1]
    assert [(row["line"], row["reason"]) for row in rejected] == [(2, "encoding")]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("a", pa.array([b"x"]), "must hold text or whole numbers, since an id field .* Got the type binary"),
        ("a", pa.array([1.0]), "must hold text or whole numbers.* Got the type double"),
        ("a", pa.array([b"x"]).dictionary_encode(), "Got the type binary"),
        ("n", pa.array([True]), "must hold text or numbers, since a numeric field .* Got the type bool"),
        ("label", pa.array([[1]]), "since it is a label. Got the type list"),
    ],
)
def test_types_that_a_field_cannot_take_are_refused(tmp_path, tiny, column, values, message):
    columns = {"label": [1], "n": [1], "a": ["x"], "b": ["y"]} | {column: values}
    with pytest.raises(DataError, match=message) as caught:
        read(write(tmp_path / "raw.parquet", columns), tiny)
    assert caught.value.path == column


def test_missing_columns_and_damaged_files_are_refused(tmp_path, tiny, rows):
    with pytest.raises(DataError, match=r"raw\.parquet must have each column .* It lacks label, b\."):
        read(write(tmp_path / "raw.parquet", {"n": [1], "a": ["x"]}), tiny)
    path = write(tmp_path / "raw.parquet", rows)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedFileError, match=r"raw\.parquet cannot be read to its end"):
        read(path, tiny)
    (tmp_path / "text.parquet").write_bytes(b"1\t1\tx\ty\n")
    with pytest.raises(DamagedFileError, match=r"text\.parquet cannot be read to its end"):
        read(tmp_path / "text.parquet", tiny)
    with pytest.raises(DataError, match="at least one usable row"):
        read(
            write(tmp_path / "none.parquet", {"label": pa.array([], pa.int8()), **dict.fromkeys("nab", pa.nulls(0))}),
            tiny,
        )


def test_scoring_needs_no_label(tmp_path, tiny, rows):
    del rows["label"]
    labels, columns, _ = read(write(tmp_path / "raw.parquet", rows), tiny, require_label=False)
    assert labels is None
    assert columns == EXPECTED[1]


def test_a_large_row_group_is_cut(tmp_path, tiny):
    R = 300_000
    columns = {"label": np.arange(R) % 2, "n": np.arange(R), "a": np.arange(R) % 7, "b": np.arange(R)}
    path = write(tmp_path / "raw.parquet", columns, row_group_size=R)
    with RejectWriter(tmp_path / "rejected") as rejects:
        blocks = list(read_raw([path], tiny, rejects=rejects))
    assert max(block.rows for block in blocks) <= 262_144
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate([block.numbers["n"] for block in blocks]), np.arange(R))


TEXT = st.none() | st.text(st.characters(exclude_characters="\r\n\t", exclude_categories=["Cs"]), max_size=9)
NUMBER = st.none() | st.floats(-1e30, 1e30) | st.integers(-(2**53), 2**53).map(float)
TABLE = st.lists(st.tuples(st.sampled_from([0, 1, 2]), NUMBER, TEXT, TEXT), min_size=4, max_size=30)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(table=TABLE)
def test_parquet_text_and_rows_give_the_same_inputs(tmp_path_factory, tiny, table):
    folder = tmp_path_factory.mktemp("both")
    table = [(0, 0.0, "a", "b"), *table]
    lines = ["\t".join("" if value is None else str(value) for value in row) for row in table]
    (folder / "raw").write_text("".join(f"{line}\n" for line in lines), newline="")
    columns = dict(zip(("label", "n", "a", "b"), map(list, zip(*table, strict=True)), strict=True))
    kinds = {"label": pa.int64(), "n": pa.float64(), "a": pa.string(), "b": pa.string()}
    arrays = {name: pa.array(values, kinds[name]) for name, values in columns.items()}
    (folder / "parquet").mkdir()
    write(folder / "parquet" / "raw", arrays)
    options = {"valid_fraction": 0.0, "test_fraction": 0.0}
    reports = [prepare([folder / "raw"], tiny, folder / "one", **options)]
    reports.append(prepare([folder / "parquet"], tiny, folder / "two", **options))
    assert reports[0] == reports[1]
    rejected = [pq.read_table(folder / name / "rejected.parquet").drop("text") for name in ("one", "two")]
    assert rejected[0] == rejected[1]
    dataset = Dataset.open(folder / "two")
    good = [row for row in table if row[0] < 2]
    online = dataset.encoder().encode_rows([{"n": n, "a": a, "b": b} for _, n, a, b in good])
    shard = pa.concat_tables(pq.read_table(path) for path in dataset.shards("train"))
    np.testing.assert_array_equal(online.numbers[:, 0], shard["n"].to_numpy())
    np.testing.assert_array_equal(online.ids, np.stack([shard[name].to_numpy() for name in ("a", "b")], axis=1))
