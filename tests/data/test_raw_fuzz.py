"""Mutated raw files: no traceback, no hang, no lost row. `make fuzz` runs 10,000 of them; the tests a few hundred."""

import gzip

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctrfast.data.raw import read_raw
from ctrfast.data.rejects import REASONS, RejectWriter
from ctrfast.errors import DataError

TAB_ROWS = [b"1\t3\tx\ty", b"0\t\t\t", b"1\t-2.5e3\t68fd1e64\tlonger-than-seven", b'0\t7\t\xc3\xa9\t"q"']
CSV_ROWS = [b'1,3,"x,1",y,14102105,', b"0,,,,14102205,z", b'1,1,"say ""hi""","",14102105,', b"0,-1,a,b,,\xe2\x82\xac"]
HEADER = b"label,n,a,b,at,unused"

PLACE = st.floats(0, 1, exclude_max=True)
BYTES = st.one_of(
    st.sampled_from([b"", b"\n", b"\r\n", b"\r", b"\t", b",", b'"', b'""', b"\0", b"\xff", b"\xed\xa0\x80", b"nan"]),
    st.sampled_from([b"9" * 400, b"1e999", b"-", b"z" * 4097, b"\t" * 50, b"\n\n\n", b"\xef\xbb\xbf"]),
    st.binary(max_size=4),
)
MUTATION = st.tuples(PLACE, st.integers(0, 12), BYTES)  # where, bytes taken out, bytes put in
CASE = {
    "rows": st.lists(st.integers(0, 3), max_size=12),
    "mutations": st.lists(MUTATION, max_size=6),
    "is_csv": st.booleans(),
    "cut": st.none() | PLACE,
    "per_block": st.sampled_from([1, 3, 1000]),
}


def mutated(rows, mutations, is_csv):
    lines = [HEADER] * is_csv + [(CSV_ROWS if is_csv else TAB_ROWS)[row] for row in rows]
    text = b"\n".join(lines) + b"\n"
    for place, out, into in mutations:
        at = int(place * len(text))
        text = text[:at] + into + text[at + out :]
    return text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(**CASE)
def test_each_line_comes_out_or_is_rejected(tmp_path, tiny, tiny_csv, rows, mutations, is_csv, cut, per_block):
    text = mutated(rows, mutations, is_csv)
    path, schema = tmp_path / "raw", tiny_csv if is_csv else tiny
    packed = text if cut is None else gzip.compress(text)
    path.write_bytes(packed if cut is None else packed[: int(cut * len(packed)) + 2])
    with RejectWriter(tmp_path / "rejected") as rejects:
        try:
            blocks = list(read_raw([path], schema, rejects=rejects, rows_per_block=per_block))
        except DataError as error:
            assert error.message.endswith(".")
            assert "Traceback" not in error.message
            return
    assert set(rejects.counts) <= set(REASONS)
    kept = sum(block.rows for block in blocks)
    body = text.removeprefix(b"\xef\xbb\xbf")
    lines = body.count(b"\n") + (not body.endswith(b"\n") and body != b"")
    assert kept + rejects.counts.total() == lines - is_csv
    for block in blocks:
        assert set(np.unique(block.label)) <= {0, 1}
        assert all(len(cells) == block.rows for cells in block.texts.values())
        assert all(len(cells.to_arrow()) == block.rows for cells in block.texts.values())
        assert all(np.abs(values[~np.isnan(values)]).max(initial=0) < 3.5e38 for values in block.numbers.values())
