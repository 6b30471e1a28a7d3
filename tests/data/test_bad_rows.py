"""Preparation stops where more rows are bad than is allowed, and says which was the first."""

import functools

import pytest

from ctrfast.data import parsed
from ctrfast.data.bad_rows import BadRowLimit
from ctrfast.data.prepare import prepare
from ctrfast.data.raw import chunks_of
from ctrfast.errors import ConfigError, DataError

GOOD, BAD = b"1\t1\ta\tb\n0\t2\ta\tb\n" * 48, b"2\t1\ta\tb\n"


@pytest.fixture
def raw(tmp_path):
    """100 rows, 4 of them bad; the first is line 97 of one.tsv."""
    (tmp_path / "one.tsv").write_bytes(GOOD + BAD)
    (tmp_path / "two.tsv").write_bytes(BAD * 3)
    return [tmp_path / "one.tsv", tmp_path / "two.tsv"]


@pytest.mark.parametrize("limit", [4, "4", "100", "4%", "4.0 %", "100%", None])
def test_as_many_bad_rows_as_allowed(tmp_path, tiny, raw, limit):
    report = prepare(raw, tiny, tmp_path / "out", max_bad_rows=limit)
    assert report.rejected == {"label": 4}


@pytest.mark.parametrize(("limit", "got"), [(0, "1 of 97 so far"), ("3", "4 of 100 so far"), ("3.99%", "4 of 100")])
def test_one_more_is_refused(tmp_path, tiny, raw, limit, got):
    first = r"the first is line 97 of one\.tsv: the label is neither 0 nor 1"
    with pytest.raises(DataError, match=rf"At most {limit} bad rows .* Got {got}; {first}\.") as caught:
        prepare(raw, tiny, tmp_path / "out", max_bad_rows=limit)
    assert (caught.value.code, caught.value.path) == ("bad_data", "max_bad_rows")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tsv", "two.tsv"]


def test_a_number_of_rows_stops_the_reading_where_it_is_passed(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(parsed, "chunks_of", functools.partial(chunks_of, rows_per_block=10))
    (tmp_path / "raw.tsv").write_bytes(BAD + GOOD)
    seen = []
    for limit in (0, "1%"):
        with pytest.raises(DataError, match="max_bad_rows"):
            prepare([tmp_path / "raw.tsv"], tiny, tmp_path / "out", max_bad_rows=limit, on_progress=seen.append)
        assert len(seen) == {0: 0, "1%": 10}[limit]


@pytest.mark.parametrize("limit", ["", "-1", -1, "1.5", "ten", "101%", "%", "1e3", True, "٣"])
def test_what_is_no_limit_is_refused(limit):
    with pytest.raises(ConfigError, match="a number of rows or a share") as caught:
        BadRowLimit.parse(limit)
    assert caught.value.path == "max_bad_rows"
