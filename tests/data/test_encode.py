import numpy as np
import pyarrow as pa
import pytest

from ctrfast.data.encode import Encoder
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, DataError

COLUMNS = {
    "n": pa.array(["1", "3", None, "5"]),
    "a": pa.array(["x", "x", "z", None]),
    "b": pa.array(["p", "q", "q", "q"]),
}


ROWS = b"1\t1\tx\tp\n0\t3\tx\tq\n1\t\tz\tq\n0\t5\t\tq\n"


def fitted_on_three(raw, schema, folder):
    """An encoder that learned from the first three of four rows."""
    (folder / "raw.tsv").write_bytes(raw)
    prepare([folder / "raw.tsv"], schema, folder / "data", split="sequential", valid_fraction=0.0, test_fraction=0.25)
    return Dataset.open(folder / "data").encoder()


@pytest.fixture
def encoder(tiny, tmp_path):
    """Fitted on the first three rows: n has mean 2 and deviation 1."""
    return fitted_on_three(ROWS, tiny, tmp_path)


def test_columns_become_local_ids_and_standardised_numbers(encoder):
    encoded = encoder.encode({**COLUMNS, "b": pa.array(["q", "p", None, "new"])})
    assert encoded.ids.tolist() == [[2, 2], [2, 3], [3, 1], [1, 0]]
    assert encoded.numbers.tolist() == [[-1.0], [1.0], [0.0], [3.0]]
    assert encoded.unseen == {"a": 0, "b": 1}
    assert (encoded.rows, encoded.ids.dtype, encoded.numbers.dtype) == (4, np.int32, np.float32)


@pytest.mark.parametrize(
    "column", [pa.array([1.0]), pa.array([True]), pa.array([b"x"]), pa.array([1.5]).dictionary_encode()]
)
def test_an_id_is_text_or_a_whole_number(encoder, column):
    with pytest.raises(DataError, match="`a` must hold text or whole numbers, since the id field a is made") as caught:
        encoder.encode({"a": column})
    assert caught.value.path == "a"


def test_whole_numbers_are_exact_ids(tiny, tmp_path):
    first, second = 2**53, 2**53 + 1  # one float64
    raw = b"".join(b"1\t1\t%d\tp\n" % value for value in (first, first, second, second + 1))
    encoder = fitted_on_three(raw, tiny, tmp_path)
    expected = [2, 3, 0, 1]
    for kind in (pa.int64(), pa.uint64()):
        assert encoder.encode({"a": pa.array([first, second, 2**62, None], kind)}).ids[:, 0].tolist() == expected
    rows = [{"a": first}, {"a": str(second)}, {"a": 2**62}, {}]
    assert encoder.encode_rows(rows).ids[:, 0].tolist() == expected


def test_a_large_whole_number_is_rounded_as_its_text_is(encoder):
    value = 2**62 + 1
    expected = encoder.encode({"n": pa.array([str(value)])}).numbers
    np.testing.assert_array_equal(encoder.encode({"n": pa.array([value])}).numbers, expected)
    np.testing.assert_array_equal(encoder.encode_rows([{"n": value}]).numbers, expected)


def test_absent_columns_are_missing(encoder):
    assert encoder.encode({"a": pa.array(["x"])}).ids.tolist() == [[2, 1]]
    encoded = encoder.encode({}, rows=2)
    assert (encoded.ids.tolist(), encoded.numbers.tolist()) == ([[1, 1], [1, 1]], [[0.0], [0.0]])


def test_plain_dictionary_and_number_columns_are_taken_alike(encoder):
    plain = encoder.encode(COLUMNS)
    packed = encoder.encode({name: column.dictionary_encode() for name, column in COLUMNS.items()})
    numbers = encoder.encode({**COLUMNS, "n": pa.array([1, 3, None, 5])})
    sliced = encoder.encode({name: pa.concat_arrays([column, column]).slice(4) for name, column in COLUMNS.items()})
    for other in (packed, numbers, sliced):
        np.testing.assert_array_equal(other.ids, plain.ids)
        np.testing.assert_array_equal(other.numbers, plain.numbers)


def test_rows_and_columns_are_encoded_alike(encoder):
    rows = [
        {"n": 1, "a": "x", "b": "p"},
        {"n": "3", "a": "x", "b": "q"},
        {"a": "z", "b": "q"},
        {"n": 5.0, "a": None, "b": "q"},
    ]
    by_row, by_column = encoder.encode_rows(rows), encoder.encode(COLUMNS)
    np.testing.assert_array_equal(by_row.ids, by_column.ids)
    np.testing.assert_array_equal(by_row.numbers, by_column.numbers)
    assert by_row.unseen == by_column.unseen
    assert encoder.encode_rows([]).ids.shape == (0, 2)
    assert encoder.encode_rows([]).numbers.shape == (0, 1)


def test_log_squared_is_ln_squared_above_two(tiny, tmp_path):
    schema = tiny.model_validate(
        {**tiny.model_dump(), "numeric_fields": [{"name": "n", "transform": "log_squared"}], "name": "logs"}
    )
    texts = ["-3", "0", "2", "2.5", "1000000"]
    no_numbers = b"1\t\tx\tp\n" * 4  # mean 0, deviation 1
    numbers = fitted_on_three(no_numbers, schema, tmp_path).encode({"n": pa.array(texts)}).numbers[:, 0]
    np.testing.assert_allclose(numbers, [-3, 0, 2, np.log(2.5) ** 2, np.log(1e6) ** 2], rtol=1e-6)


def test_huge_numbers_stay_finite(encoder):
    assert np.isfinite(encoder.encode_rows([{"n": 3.4e38}, {"n": -3.4e38}]).numbers).all()


def test_an_encoder_round_trips(encoder, tmp_path):
    (tmp_path / "saved").mkdir()
    encoder.save(tmp_path / "saved")
    again = Encoder.load(tmp_path / "saved")
    assert again.fitted == encoder.fitted
    np.testing.assert_array_equal(again.encode(COLUMNS).ids, encoder.encode(COLUMNS).ids)


def test_another_vocabulary_is_refused(encoder, tmp_path):
    folder = tmp_path / "data"
    (folder / "vocabulary" / "b.parquet").replace(folder / "vocabulary" / "a.parquet")
    encoder.vocabularies["b"].save(folder / "vocabulary" / "b.parquet")
    with pytest.raises(ArtifactError, match="is not its schema's"):
        Encoder.load(folder)


def test_text_in_a_numeric_column_is_refused(encoder):
    with pytest.raises(DataError, match=r"`n` must hold finite decimal numbers\. Got 'two' in row 1") as caught:
        encoder.encode({"n": pa.array(["1", "two"])})
    assert caught.value.path == "1.n"
