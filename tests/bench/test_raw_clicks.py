import pyarrow as pa
import pyarrow.csv
import pytest

from bench.prepare_work import COLUMNS, IDS, LABEL, NUMBERS, spans
from bench.raw_clicks import make_raw
from ctrfast.data.profiles import PROFILES
from ctrfast.schema import preset

ROWS = 70_000  # more than one block


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_raw(tmp_path_factory.mktemp("raw"), ROWS)


@pytest.fixture(scope="module")
def clicks(raw) -> pa.Table:
    return pyarrow.csv.read_csv(
        raw,
        read_options=pyarrow.csv.ReadOptions(column_names=list(COLUMNS)),
        parse_options=pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(COLUMNS, pa.string()), null_values=[""], strings_can_be_null=True
        ),
    )


def test_the_columns_are_those_of_the_preset():
    criteo = preset("criteo")
    assert criteo.columns == COLUMNS
    assert (criteo.label, criteo.numeric_names, criteo.id_names) == (LABEL, NUMBERS, IDS)


def test_the_same_rows_are_the_same_bytes(raw, tmp_path):
    assert make_raw(tmp_path, ROWS).read_bytes() == raw.read_bytes()


def test_a_file_is_made_once(raw):
    before = raw.stat().st_mtime_ns
    assert make_raw(raw.parent, ROWS) == raw
    assert raw.stat().st_mtime_ns == before


def test_cells_are_labels_counts_and_hexadecimal_ids(clicks):
    assert clicks.num_rows == ROWS
    assert set(clicks[LABEL].unique().to_pylist()) == {"0", "1"}
    for name in NUMBERS:
        assert pa.compute.all(pa.compute.match_substring_regex(clicks[name], "^-?[0-9]+$")).as_py(), name
    for name in IDS:
        assert pa.compute.all(pa.compute.match_substring_regex(clicks[name], "^[0-7][0-9a-f]{7}$")).as_py(), name


def test_cells_are_missing_as_often_as_in_the_published_sample(clicks):
    profile = PROFILES["criteo"]
    for name, field in {**profile.counts, **profile.ids}.items():
        assert clicks[name].null_count / ROWS == pytest.approx(field.missing, abs=0.01), name


def test_there_is_about_one_distinct_id_per_row(clicks):
    distinct = sum(pa.compute.count_distinct(clicks[name], mode="only_valid").as_py() for name in IDS)
    assert distinct / ROWS == pytest.approx(1.0, abs=0.05)


def test_splits_follow_each_other():
    assert list(spans(19)) == [("train", 0, 15), ("valid", 15, 17), ("test", 17, 19)]
