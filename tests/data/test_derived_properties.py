"""One meaning, three paths: preparing, encoding whole columns, and encoding single rows give the same inputs.

The schema makes many fields from three raw columns: every transform and scale, buckets, hashes and parts of times.
"""

import csv
from itertools import count

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctrfast.data.prepare import prepare
from ctrfast.data.raw import read_raw
from ctrfast.data.rejects import RejectWriter
from ctrfast.data.shards import Dataset
from ctrfast.errors import DataError
from ctrfast.schema import IdField, NumericField, Schema

TIME = {"column": "at", "time_format": "%Y-%m-%d %H"}
SCHEMA = Schema(
    name="derived",
    columns=("label", "n", "a", "at"),
    label="label",
    numeric_fields=tuple(
        NumericField(name=f"{transform}_{scale}", column="n", transform=transform, scale=scale)
        for transform in ("identity", "log_squared", "log1p")
        for scale in ("standard", "min_max", "none")
    ),
    id_fields=(
        IdField(name="a"),
        IdField(name="a_kept", column="a", min_count=2, unseen_buckets=3),
        IdField(name="a_hashed", column="a", hash_buckets=5),
        IdField(name="n_text", column="n"),
        IdField(name="n_log", column="n", bucket="log_squared", min_count=1, unseen_buckets=2),
        IdField(name="n_quantile", column="n", bucket="quantile", buckets=4),
        IdField(name="n_quantile_hashed", column="n", bucket="quantile", buckets=3, hash_buckets=2),
        *(
            IdField(name=part, part=part, **TIME)
            for part in ("hour_of_day", "weekday", "day_of_month", "month", "is_weekend")
        ),
    ),
    separator=",",
    header=True,
)
VALUES = ["", "0", "a", "b", "é", "68fd1e64", "1234567890123456", "日本語", "z" * 300]
TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=3)
NUMBERS = ["", "0", "-0.0", "2", "2.5", "3", "3.4e38", "-3.4e38", "-1e-45", "123456789.123456789"]
NUMBER = st.sampled_from(NUMBERS) | st.integers(-100, 10**6).map(str) | st.floats(width=32, allow_nan=False).map(repr)
TIMES = st.datetimes().map(lambda time: f"{time.year:04}-{time.month:02}-{time.day:02} {time.hour:02}") | st.just("")
ROW = st.tuples(st.sampled_from("01"), NUMBER.filter(lambda n: "inf" not in n), st.sampled_from(VALUES) | TEXT, TIMES)
TABLE = st.lists(ROW, min_size=3, max_size=25)
_NAMES = count()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(table=TABLE, min_count=st.integers(1, 3))
def test_preparing_and_scoring_give_the_same_inputs(tmp_path, table, min_count):
    folder = tmp_path / str(next(_NAMES))
    folder.mkdir()
    raw = folder / "raw.csv"
    with raw.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([SCHEMA.columns, *table])
    halves = {"split": "sequential", "valid_fraction": 0.0, "test_fraction": 0.4}
    assert prepare([raw], SCHEMA, folder / "out", min_count=min_count, **halves).rejected == {}
    dataset = Dataset.open(folder / "out")
    encoder, rows = dataset.encoder(), len(table)
    prepared = pd.concat(
        [pq.read_table(shard).to_pandas() for name in ("train", "test") for shard in dataset.shards(name)]
    )
    with RejectWriter(folder / "rejected.parquet") as rejects:
        (block,) = read_raw([raw], SCHEMA, rejects=rejects)
    columns = {name: pa.array([row[place] for row in table]) for place, name in enumerate(SCHEMA.columns)}
    for encoded in (
        encoder.encode_block(block.texts, block.numbers, rows),
        encoder.encode_rows([dict(zip(SCHEMA.columns, row, strict=True)) for row in table]),
        encoder.encode({name: columns[name] for name in SCHEMA.input_columns}),
    ):
        np.testing.assert_array_equal(encoded.ids, prepared[list(SCHEMA.id_names)])
        np.testing.assert_array_equal(encoded.numbers, prepared[list(SCHEMA.numeric_names)])
        sizes = np.array(dataset.fitted.table_sizes)
        assert ((encoded.ids >= 0) & (encoded.ids < sizes)).all()
        _check_meaning(encoded, encoder, table, dataset.rows("train"))


def _check_meaning(encoded, encoder, table, train):
    """Against plain Python: which values are kept, missing and unseen."""
    texts = [row[2] for row in table]
    kept = {text for text in texts if text and texts[:train].count(text) >= 2}
    assert set(encoder.vocabularies["a_kept"].values.to_pylist()) == kept
    place = SCHEMA.id_names.index("a_kept")
    unseen = [text != "" and text not in kept for text in texts]
    assert encoded.unseen["a_kept"] == sum(unseen)
    rows = encoder.fitted.id_rows[place]
    assert rows.is_unseen(encoded.ids[:, place]).tolist() == unseen
    assert (encoded.ids[:, place] == 1).tolist() == [text == "" for text in texts]
    assert encoded.unseen["a_hashed"] == encoded.unseen["n_quantile_hashed"] == 0
    numbers = np.array([float(row[1] or "nan") for row in table])
    logs = encoded.numbers[:, SCHEMA.numeric_names.index("log1p_none")]
    present = ~np.isnan(numbers)
    expected = np.sign(numbers) * np.log1p(np.abs(numbers))
    np.testing.assert_allclose(logs[present], expected[present], rtol=1e-6, atol=1e-40)  # float32 ends there
    in_train = expected[:train][present[:train]]
    mean = in_train.mean() if len(in_train) else 0.0
    np.testing.assert_allclose(logs[~present], np.full((~present).sum(), mean), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("field", ["n_log", "n_quantile"])
def test_text_where_a_bucket_needs_a_number_rejects_the_row(tmp_path, field):
    fields = tuple(found for found in SCHEMA.id_fields if found.name == field)
    schema = SCHEMA.model_copy(update={"numeric_fields": (), "id_fields": fields})
    (tmp_path / "raw.csv").write_text("label,n,a,at\n1,two,x,\n0,3,x,\n")
    report = prepare([tmp_path / "raw.csv"], schema, tmp_path / "out", valid_fraction=0.0, test_fraction=0.0)
    assert report.rejected == {"number": 1}
    encoder = Dataset.open(tmp_path / "out").encoder()
    for refused in (
        lambda: encoder.encode({"n": pa.array(["3", "two"])}),
        lambda: encoder.encode_rows([{"n": 3}, {"n": "two"}]),
    ):
        with pytest.raises(DataError, match=r"`n` must .*Got.* 'two'") as caught:
            refused()
        assert caught.value.path == "1.n"
