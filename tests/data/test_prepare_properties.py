"""Any table goes through preparation and comes back: kept ids decode to what they were, counts are pandas'."""

import csv
from itertools import count

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset

# Few distinct values, of all kinds, shared by both fields.
VALUES = ["", "0", "00", "a", "A", "é", '"', "x,y", "\0", " ", "68fd1e64", "1234567890123456", "日本語", "z" * 300]
TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=3)
VALUE = st.sampled_from(VALUES) | TEXT
NUMBER = st.sampled_from(["", "0", "-0.0", "3.4e38", "-1e-45", "123456789.123456789"]) | st.integers().map(
    lambda value: str(value % 10**30)
)
TABLE = st.lists(st.tuples(st.sampled_from("01"), NUMBER, VALUE, VALUE), min_size=3, max_size=25)
_NAMES = count()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(table=TABLE, min_count=st.integers(1, 3))
def test_kept_ids_decode_and_all_others_are_unseen(tmp_path, tiny_csv, table, min_count):
    folder = tmp_path / str(next(_NAMES))
    folder.mkdir()
    with (folder / "raw.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["label", "n", "a", "b", "at", "unused"])
        writer.writerows([*row, "14102105", ""] for row in table)
    report = prepare(
        [folder / "raw.csv"],
        tiny_csv,
        folder / "out",
        min_count=min_count,
        split="sequential",
        valid_fraction=0.0,
        test_fraction=0.4,
    )
    assert report.rejected == {}
    dataset = Dataset.open(folder / "out")
    rows = pd.concat([pq.read_table(shard).to_pandas() for name in ("train", "test") for shard in dataset.shards(name)])
    raw = pd.DataFrame(table, columns=["label", "n", "a", "b"])
    np.testing.assert_array_equal(rows["label"], raw["label"].astype(int))
    train = raw.head(report.rows["train"])
    encoder = dataset.encoder()
    for name in ("a", "b"):
        vocabulary = encoder.vocabularies[name]
        counts = train[name][train[name] != ""].value_counts()
        expected = counts[counts >= min_count].to_dict()
        assert dict(zip(vocabulary.values.to_pylist(), vocabulary.counts.to_pylist(), strict=True)) == expected
        decode = {0: None, 1: "", **dict(enumerate(vocabulary.values.to_pylist(), start=2))}
        decoded = [decode[local] for local in rows[name]]
        assert decoded == [text if text == "" or text in expected else None for text in raw[name]]
    online = encoder.encode_rows([{"n": n, "a": a, "b": b, "at": "14102105"} for _, n, a, b in table])
    np.testing.assert_array_equal(online.ids, rows[list(tiny_csv.id_names)])
    np.testing.assert_array_equal(online.numbers[:, 0], rows["n"])
