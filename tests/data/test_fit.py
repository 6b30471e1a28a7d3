import shutil

import numpy as np
import pyarrow as pa
import pytest

from ctrfast.data.columns import ColumnFiles
from ctrfast.data.encode import Encoder
from ctrfast.data.fit import Moments, ParsedRows
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.errors import DataError


def test_moments_of_pieces_are_those_of_the_whole():
    values = np.random.default_rng(1).normal(1e6, 2.0, 1000)
    values[::7] = np.nan
    moments = Moments()
    for piece in np.array_split(values, 13):
        moments.add(piece)
    statistics = moments.statistics()
    np.testing.assert_allclose([statistics.mean, statistics.std], [np.nanmean(values), np.nanstd(values)], rtol=1e-10)


def test_constant_and_empty_fields_get_deviation_one():
    constant, empty = Moments(), Moments()
    constant.add(np.array([4.0, 4.0]))
    empty.add(np.array([np.nan]))
    assert (constant.statistics().mean, constant.statistics().std) == (4.0, 1.0)
    assert (empty.statistics().mean, empty.statistics().std) == (0.0, 1.0)


def test_columns_that_share_a_table_share_the_memory_that_keeps_them(tmp_path):
    class Block:
        rows = 10

        def column(self, index):
            return np.arange(10, dtype=np.uint64) + index

    columns = ColumnFiles(tmp_path, {"split": np.int8})
    columns.write("split", [np.zeros(20, np.int8)])
    rows = ParsedRows([Block(), Block()], columns, "split", kept_bytes=8 * 20 * 2)
    kept, read_again = rows.column(1, beside=2), rows.column(1, beside=3)
    assert (isinstance(kept, list), isinstance(read_again, list)) == (True, False)
    for (one, _), (two, _) in zip(kept, read_again, strict=True):
        np.testing.assert_array_equal(one, two)


def learned(raw, schema, folder, **settings):
    """What two of four rows taught: the split is sequential."""
    (folder / "raw").write_bytes(raw)
    half = {"split": "sequential", "valid_fraction": 0.0, "test_fraction": 0.5, **settings}
    prepare([folder / "raw"], schema, folder / "out", **half)
    return Dataset.open(folder / "out").encoder()


def test_only_training_rows_teach(tiny, tmp_path):
    rows = b"1\t1\tx\t\n0\t3\ty\t\n1\t100\theld out\tp\n0\t100\tx\tp\n"
    encoder = learned(rows, tiny, tmp_path)
    assert encoder.fitted.statistics["n"].mean == 2.0
    assert encoder.vocabularies["a"].values.to_pylist() == ["x", "y"]
    assert encoder.vocabularies["a"].counts.to_pylist() == [1, 1]
    assert len(encoder.vocabularies["b"]) == 0
    assert encoder.fitted.table_sizes == (4, 2)


def test_times_teach_their_parts(tiny_csv, tmp_path):
    rows = b"label,n,a,b,at\n1,,,,14102105\n1,,,,14102205\n1,,,,14102206\n"
    vocabularies = learned(rows, tiny_csv, tmp_path, test_fraction=0.0).vocabularies
    assert vocabularies["hour_of_day"].values.to_pylist() == ["5", "6"]
    assert vocabularies["weekday"].values.to_pylist() == ["2", "1"]


def test_long_and_short_texts_are_kept_alike(tiny, tmp_path):
    texts = ["https://ads.example/1", "https://ads.example/2", "a", "68fd1e64", "é" * 30]
    rows = [text for place, text in enumerate(texts) for _ in range(place + 1)]
    raw = "".join(f"1\t1\t{text}\tb\n" for text in rows).encode()
    encoder = learned(raw, tiny, tmp_path, test_fraction=0.0, min_count=2)
    assert encoder.vocabularies["a"].values.to_pylist() == texts[:0:-1]
    assert encoder.vocabularies["a"].counts.to_pylist() == [5, 4, 3, 2]
    encoded = encoder.encode({"a": pa.array(texts)})
    assert encoded.ids[:, 0].tolist() == [0, 5, 4, 3, 2]


def test_a_vocabulary_beyond_the_memory_limit_names_its_field(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("ctrfast.data.fit._BYTES_PER_KEPT", 2**40)
    with pytest.raises(DataError, match=r"vocabulary of 'a' does not fit the memory limit: 2 values occur 1 times"):
        learned(b"1\t1\tx\t\n0\t3\ty\t\n" * 2, tiny, tmp_path)


def test_long_texts_count_against_the_memory_limit(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("ctrfast.data.fit._COPIES_OF_TEXT", 2**40)
    learned(b"1\t1\tx\t\n0\t3\ty\t\n" * 2, tiny, tmp_path)  # texts that are in their keys
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(DataError, match=r"vocabulary of 'a' does not fit the memory limit: 2 values occur"):
        learned(b"1\t1\ta long text\t\n0\t3\ty\t\n" * 2, tiny, tmp_path)


def test_a_constant_number_is_not_blown_up_by_rounding():
    moments = Moments()
    for _ in range(50):
        moments.add(np.full(61, 0.1))
    assert moments.statistics().std == 1.0
    assert moments.statistics().mean == pytest.approx(0.1)
    assert Moments().statistics().std == 1.0


def of_number(tiny, **settings):
    """The schema with an id field made from its number."""
    field = {"name": "part", "column": "n", "bucket": "quantile", "buckets": 4, **settings}
    return tiny.model_validate({**tiny.model_dump(), "id_fields": [field]})


def test_edges_are_the_quantiles_of_the_training_rows(tiny, tmp_path):
    numbers = np.random.default_rng(3).normal(size=200).round(3)
    raw = "".join(f"1\t{number}\t\t\n" for number in [*numbers, *["", "1e9"] * 100]).encode()
    encoder = learned(raw, of_number(tiny), tmp_path)
    np.testing.assert_allclose(encoder.fitted.edges["part"], np.quantile(numbers, [0.25, 0.5, 0.75]))
    assert sorted(encoder.vocabularies["part"].values.to_pylist()) == ["0", "1", "2", "3"]
    assert encoder.vocabularies["part"].counts.to_pylist() == [50] * 4
    again = Encoder.load(tmp_path / "out")
    assert again.fitted.edges == encoder.fitted.edges


def test_edges_of_many_rows_come_from_a_sample_that_does_not_depend_on_blocks(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("ctrfast.data.fit.EXACT_ROWS", 2000)
    numbers = np.random.default_rng(4).permutation(20_000)
    raw = "".join(f"1\t{number}\t\t\n" for number in numbers).encode()
    found = []
    for blocks in (1, 7):
        lines = raw.splitlines(keepends=True)
        folder = tmp_path / str(blocks)
        folder.mkdir()
        files = [folder / f"{place}.tsv" for place in range(blocks)]
        for place, file in enumerate(files):
            file.write_bytes(b"".join(lines[place * len(lines) // blocks : (place + 1) * len(lines) // blocks]))
        prepare(files, of_number(tiny), folder / "out", split="sequential", valid_fraction=0.0, test_fraction=0.0)
        found.append(Dataset.open(folder / "out").fitted.edges["part"])
    assert found[0] == found[1]
    exact = np.quantile(numbers, [0.25, 0.5, 0.75])
    assert found[0] != tuple(exact)
    np.testing.assert_allclose(found[0], exact, atol=5 * 20_000 * 0.5 / 2000**0.5)  # five deviations


def test_a_fields_own_min_count_comes_first(tiny, tmp_path):
    schema = tiny.model_validate(
        {**tiny.model_dump(), "id_fields": [{"name": "a"}, {"name": "a1", "column": "a", "min_count": 1}]}
    )
    raw = b"1\t1\tx\t\n0\t3\tx\t\n0\t3\ty\t\n"
    vocabularies = learned(raw, schema, tmp_path, test_fraction=0.0, min_count=2).vocabularies
    assert vocabularies["a"].values.to_pylist() == ["x"]
    assert vocabularies["a1"].values.to_pylist() == ["x", "y"]
