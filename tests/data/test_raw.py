import csv
import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctrfast.data.raw import read_raw
from ctrfast.data.rejects import RefuseRejects, RejectWriter
from ctrfast.errors import ConfigError, DataError
from ctrfast.schema import Schema

HEADER = b"label,n,a,b,at,unused\n"


def read(path, schema, **options):
    """Label, column and reject lists of one file."""
    paths = path if isinstance(path, list) else [path]
    rejected = paths[0].parent / "rejected.parquet"
    with RejectWriter(rejected) as rejects:
        blocks = list(read_raw(paths, schema, rejects=rejects, **options))
    columns = {name: [] for name in (*blocks[0].numbers, *blocks[0].texts)}
    for block in blocks:
        for name, values in block.numbers.items():
            columns[name] += [None if np.isnan(value) else value for value in values.tolist()]
        for name, cells in block.texts.items():
            columns[name] += cells.to_arrow().to_pylist()
    labels = None if blocks[0].label is None else np.concatenate([block.label for block in blocks]).tolist()
    return labels, columns, pq.read_table(rejected).to_pylist()


def write(tmp_path, content, name="raw.tsv"):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def test_rows_and_missing_cells(tmp_path, tiny):
    path = write(tmp_path, b"1\t3\tx\ty\n0\t\t\t\n")
    assert read(path, tiny) == ([1, 0], {"n": [3.0, None], "a": ["x", None], "b": ["y", None]}, [])


def test_each_bad_row_is_kept_with_line_reason_and_text(tmp_path, tiny):
    lines = [
        b"1\t1\tx\ty",
        b"1\t1\tx",
        b"2\t1\tx\ty",
        b"\t1\tx\ty",
        b"0\tnan\tx\ty",
        b"0\tfive\tx\ty",
        b"",
        b"0\t1\t\xff\xfe\ty",
        b"0\t1\t" + b"z" * 4097 + b"\ty",
        b"0\t1\tx\ty\textra",
        b"0\t1\tx\ry\tz",
        b"0\t2\tg\0od\t\xc3\xa9",
        b"0\t3\t" + b"z" * 4096 + b'\t"y',
    ]
    labels, columns, rejected = read(write(tmp_path, b"\n".join(lines)), tiny, rows_per_block=3)
    assert labels == [1, 0, 0]
    assert columns == {"n": [1.0, 2.0, 3.0], "a": ["x", "g\0od", "z" * 4096], "b": ["y", "é", '"y']}
    reasons = {2: "columns", 3: "label", 4: "label", 5: "number", 6: "number", 7: "columns", 8: "encoding"}
    reasons |= {9: "too_long", 10: "columns", 11: "carriage_return"}
    assert {row["line"]: row["reason"] for row in rejected} == reasons
    assert [row["line"] for row in rejected] == sorted(reasons)
    for row in rejected:
        assert row["file"] == "raw.tsv"
        assert row["text"] == lines[row["line"] - 1].decode("utf-8", errors="replace")[:1000]
    assert len(labels) + len(rejected) == len(lines)


@pytest.mark.parametrize("rows_per_block", [1, 2, 7, 1000])
def test_blocks_change_nothing(tmp_path, tiny, rows_per_block):
    lines = [b"%d\t%d\ta%d\tb" % (row % 2, row, row) if row % 5 else b"broken" for row in range(1, 40)]
    path = write(tmp_path, b"\n".join(lines))
    whole = read(path, tiny)
    assert read(path, tiny, rows_per_block=rows_per_block) == whole
    with RejectWriter(tmp_path / "r.parquet") as rejects:
        blocks = list(read_raw([path, path], tiny, rejects=rejects, rows_per_block=rows_per_block))
    starts = np.cumsum([0, *(block.rows for block in blocks)])
    assert [block.first_row for block in blocks] == starts[:-1].tolist()
    assert starts[-1] == 2 * len(whole[0])


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("final", [True, False])
def test_line_ends_are_no_part_of_the_last_id(tmp_path, tiny, end, final):
    path = write(tmp_path, b"1\t1\tx\ty" + end + b"0\t2\tx\ty" + (end if final else b"\r" if end == b"\r\n" else b""))
    labels, columns, rejected = read(path, tiny)
    assert (labels, columns["b"], rejected) == ([1, 0], ["y", "y"], [])


def test_header_columns_are_found_by_name_and_others_ignored(tmp_path, tiny_csv):
    path = write(tmp_path, b"b,zzz,at,a,label,n\r\ny,1,14102105,x,1,2\r\ny,1,noon,x,1,2\r\n")
    labels, columns, rejected = read(path, tiny_csv)
    assert labels == [1]
    assert columns == {"n": [2.0], "a": ["x"], "b": ["y"], "at": ["14102105"]}
    assert [(row["line"], row["reason"]) for row in rejected] == [(3, "time")]


def test_a_header_that_lacks_columns_is_refused_with_all_their_names(tmp_path, tiny_csv):
    with pytest.raises(DataError, match=r"lacks label, n, at\."):
        read(write(tmp_path, b"a,b\nx,y\n"), tiny_csv)
    with pytest.raises(DataError, match="names a more than once"):
        read(write(tmp_path, b"label,n,a,b,at,a\n1,1,x,y,14102105,z\n"), tiny_csv)


@pytest.mark.parametrize("value", [b"," * 5000, b"x" * 3_000_000, b"a," * 2_000_000], ids=["commas", "long", "both"])
def test_a_quoted_value_has_the_same_limit(tmp_path, tiny_csv, value):
    rows = [b"label,n,a,b,at", b"1,1,x,y,14102105", b'1,1,"' + value + b'",y,14102105']
    labels, _, rejected = read(write(tmp_path, b"\n".join(rows)), tiny_csv)
    assert labels == [1]
    assert [(row["line"], row["reason"]) for row in rejected] == [(3, "too_long")]


def test_quoted_values(tmp_path, tiny_csv):
    rows = [
        b'1,1,"x,1",y,14102105,',
        b'1,1,"say ""hi""",y,14102105,',
        b'1,1,"",y,14102105,',
        b'1,1,mid"dle,y,14102105,',
    ]
    rows += [b'1,1,"open,y,14102105,', b'"1","2","x","y","14102105",""']
    labels, columns, rejected = read(write(tmp_path, HEADER + b"\n".join(rows)), tiny_csv)
    assert columns["a"] == ["x,1", 'say "hi"', None, "x"]
    assert labels == [1] * 4
    assert [(row["line"], row["reason"]) for row in rejected] == [(5, "quote"), (6, "quote")]


CELL = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1, max_size=6)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8))
def test_any_text_survives_a_csv_round_trip(tmp_path, tiny_csv, rows):
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("1", "1", a, b, "14102105", "") for a, b in rows])
    labels, columns, rejected = read(write(tmp_path, HEADER + buffer.getvalue().encode()), tiny_csv)
    assert rejected == []
    assert list(zip(columns["a"], columns["b"], strict=True)) == rows
    assert len(labels) == len(rows)


def test_a_file_with_another_number_of_columns_is_refused(tmp_path, tiny):
    path = write(tmp_path, b"1\t2\tx\n0\t2\tx\n")
    with pytest.raises(DataError, match=r"raw\.tsv must have 4 columns separated by '\\t'. Got 3 on line 1"):
        read(path, tiny)


def test_a_file_without_its_label_is_told_from_one_of_another_schema(tmp_path, tiny):
    remedy = "preparing and evaluating need them, scoring does not. Give the file with its labels"
    with pytest.raises(DataError, match=f"Got 3 on line 1 and .*{remedy}"):
        read(write(tmp_path, b"2\tx\ty\n3\tx\ty\n"), tiny)
    for content, label in ((b"2\tx\n", True), (b"2\tx\n", False), (b"1\t2\tx\ty\tz\n", True)):
        with pytest.raises(DataError, match=r"no line that fits\. Check the file and the schema") as caught:
            read(write(tmp_path, content), tiny, require_label=label)
        assert "scoring" not in caught.value.message


def test_files_without_a_usable_row_are_refused(tmp_path, tiny, tiny_csv):
    for content, schema in ((b"", tiny), (b"7\t1\tx\ty\n", tiny), (HEADER, tiny_csv), (b"", tiny_csv)):
        with pytest.raises(DataError, match=r"at least one usable row. Got none in raw\.tsv"):
            read(write(tmp_path, content), schema)


def test_scoring_takes_rows_with_and_without_label(tmp_path, tiny, tiny_csv):
    expected = (None, {"n": [1.0], "a": ["x"], "b": ["y"]}, [])
    assert read(write(tmp_path, b"1\tx\ty\n"), tiny, require_label=False) == expected
    assert read(write(tmp_path, b"?\t1\tx\ty\n"), tiny, require_label=False) == expected
    labels, columns, _ = read(write(tmp_path, b"n,a,b,at\n1,x,y,14102105\n"), tiny_csv, require_label=False)
    assert labels is None
    assert columns["a"] == ["x"]


def test_scoring_refuses_the_first_bad_row(tmp_path, tiny):
    path = write(tmp_path, b"1\t1\tx\ty\n1\tone\tx\ty\n")
    with pytest.raises(DataError, match=r"Line 2 of .*raw\.tsv is not: a numeric field holds no finite decimal number"):
        list(read_raw([path], tiny, rejects=RefuseRejects(), require_label=False))


def test_a_separator_that_cannot_separate_is_refused(tmp_path, tiny):
    schema = Schema.model_validate({**tiny.model_dump(), "separator": '"'})
    with pytest.raises(ConfigError, match="separator"):
        read(write(tmp_path, b"1\n"), schema)


def test_presets_read_their_samples_without_a_reject(criteo_sample, avazu_sample, tmp_path):
    from ctrfast.schema import preset

    for name, path in (("criteo", criteo_sample), ("avazu", avazu_sample)):
        with RejectWriter(tmp_path / name) as rejects:
            rows = sum(block.rows for block in read_raw([path], preset(name), rejects=rejects))
        assert rejects.counts.total() == 0
        assert rows > 9_000
