import csv
import io

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from ctrfast.data.layout import Layout
from ctrfast.data.tokens import CODES, is_utf8, tokenize

PLAIN = Layout(("a", "b"), False, b"\t", quoted=False)
QUOTED = Layout(("a", "b"), False, b",", quoted=True)


def read(text, layout=PLAIN, wanted=("b", "a")):
    """(reason, values of the wanted columns) of each line; only good lines have values."""
    tokens = tokenize(text, layout, wanted)
    places = [(cells.text, cells.starts, cells.ends) for cells in (tokens.cells[name] for name in wanted)]
    values = [tuple(text[a[row] : b[row]].tobytes() for text, a, b in places) for row in range(len(tokens.codes))]
    return [(CODES[code], None if code else value) for code, value in zip(tokens.codes, values, strict=True)]


def test_values_by_name_in_any_order():
    assert read(b"1\t2\n\t\nx\ty\n") == [("", (b"2", b"1")), ("", (b"", b"")), ("", (b"y", b"x"))]
    assert read(b"1\t2\n", wanted=()) == [("", ())]


def test_the_first_reason_that_fits_counts():
    long = b"z" * 4097
    lines = [long + b"\xff", b"\xff\r", b"a\rb", b"a", b"a\tb\tc", b"", b"z" * 4096 + b"\tb"]
    reasons = [reason for reason, _ in read(b"\n".join(lines) + b"\n")]
    assert reasons == ["too_long", "encoding", "carriage_return", "columns", "columns", "columns", ""]


def test_quotes():
    lines = [b'"a,1","say ""hi"""', b'"",""""', b'a"b,c', b'"a"b,c', b'"a,b', b'"a","b"', b'"a",""""""']
    found = read(b"\n".join(lines) + b"\n", QUOTED, ("a", "b"))
    assert found == [
        ("", (b"a,1", b'say "hi"')),
        ("", (b"", b'"')),
        ("quote", None),
        ("quote", None),
        ("quote", None),
        ("", (b"a", b"b")),
        ("", (b"a", b'""')),
    ]  # fmt: skip


CELL = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=6)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_what_a_csv_writer_writes_is_read_back(rows, quoting):
    buffer = io.StringIO()
    csv.writer(buffer, quoting=quoting, lineterminator="\n").writerows(rows)
    expected = [("", tuple(value.encode() for value in row)) for row in rows]
    assert read(buffer.getvalue().encode(), QUOTED, ("a", "b")) == expected


@given(st.one_of(st.binary(max_size=6), st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass"))))
@example(b"\xf4\x90\x80\x80")
@example(b"\xed\xa0\x80")
@example(b"\xe0\x9f\xbf")
@example(b"\xc3")
def test_utf8_is_what_python_takes_for_it(data):
    try:
        data.decode()
        expected = True
    except UnicodeDecodeError:
        expected = False
    assert is_utf8(np.frombuffer(data, np.uint8).copy(), 0, len(data)) is expected
