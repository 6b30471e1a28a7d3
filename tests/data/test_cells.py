import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.cells import Cells, parse_number, time_part
from ctrfast.schema import IdField

HOUR = IdField(name="h", column="at", part="hour_of_day", time_format="%y%m%d%H")
WEEKDAY = IdField(name="w", column="at", part="weekday", time_format="%y%m%d%H")

TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=8)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0.0), ("-12", -12.0), ("+3", 3.0), ("5.", 5.0), (".5", 0.5), ("1e-3", 0.001), ("007", 7.0), ("1E2", 100.0)],
)
def test_decimal_text_is_a_number(text, value):
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-Infinity", "x", " 5", "5 ", "1_0", "0x1", "1e", "-", "1e400", "1e39", "٣", "5\0", "1,5"]
)
def test_other_text_is_not(text):
    assert parse_number(text) is None


def test_time_parts():
    assert (time_part("14102105", HOUR), time_part("14102105", WEEKDAY)) == ("5", "1")  # 21 October 2014, a Tuesday
    assert time_part("14102625", HOUR) is None


@given(TEXTS)
def test_columns_come_back_from_cells(texts):
    column = pa.array(texts, pa.string())
    expected = [text or None for text in texts]
    assert Cells.of(column).to_arrow().to_pylist() == expected
    assert Cells.of(column.dictionary_encode()).to_arrow().to_pylist() == expected
    assert Cells.of(column.cast(pa.large_string())).to_arrow().to_pylist() == expected
    assert Cells.of(column.slice(1)).to_arrow().to_pylist() == expected[1:]


def test_cells_of_some_rows():
    cells = Cells.of(pa.chunked_array([["a", None], ["ccc", "dd"]]))
    assert len(cells) == 4
    assert cells[np.array([3, 1, 3])].to_arrow().to_pylist() == ["dd", None, "dd"]
    assert cells[1:3].to_arrow().to_pylist() == [None, "ccc"]
    assert Cells.of(pa.array([7, None, -12])).to_arrow().to_pylist() == ["7", None, "-12"]


def test_columns_of_more_than_a_part_are_whole(monkeypatch):
    monkeypatch.setattr("ctrfast.data.cells._COPIED_BYTES", 10)
    texts = ["x" * 25, None, "", "ab", "é" * 7, "c", None, "y" * 40, "z"]
    cells = Cells.of(pa.array(texts))
    expected = [text or None for text in texts]
    assert cells.to_arrow().to_pylist() == expected
    assert cells[np.array([8, 4, 1, 0])].to_arrow().to_pylist() == [expected[row] for row in (8, 4, 1, 0)]
    assert Cells.of(pa.array([], pa.string())).to_arrow().to_pylist() == []
