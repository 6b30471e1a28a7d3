import gzip

import pyarrow as pa
import pytest

from ctrfast.data.lines import whole_lines
from ctrfast.data.sources import Source
from ctrfast.errors import DataError

TEXT = b"one\ntwo\n\nfour\nfive"


def lines_of(path, **options):
    """(number, line) pairs, whatever the chunks were."""
    found = []
    before = 0
    for first, text, consumed in whole_lines(Source.of(path), **{"longest": 1000, **options}):
        assert before <= consumed <= path.stat().st_size
        before = consumed
        assert text.endswith(b"\n")
        found += list(enumerate(text[:-1].split(b"\n"), start=first))
    assert before == path.stat().st_size
    return found


EXPECTED = list(enumerate([b"one", b"two", b"", b"four", b"five"], start=1))


@pytest.mark.parametrize("read_bytes", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("ending", [b"", b"\n"])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_lines_keep_their_numbers_whatever_the_chunks(tmp_path, read_bytes, ending, line_end):
    path = tmp_path / "raw.tsv"
    path.write_bytes((TEXT + ending).replace(b"\n", line_end))
    assert lines_of(path, read_bytes=read_bytes) == EXPECTED


@pytest.mark.parametrize("name", ["raw.gz", "raw.zst", "raw_without_suffix"])
def test_compressed_files_of_several_members_are_read_to_their_end(tmp_path, name):
    path = tmp_path / name
    compress = (lambda part: pa.compress(part, "zstd", asbytes=True)) if "zst" in name else gzip.compress
    path.write_bytes(compress(TEXT[:6]) + compress(TEXT[6:]))
    assert lines_of(path) == EXPECTED


@pytest.mark.parametrize(("name", "codec"), [("raw.gz", "gzip"), ("raw.zst", "zstd")])
def test_a_truncated_file_is_refused(tmp_path, name, codec):
    path = tmp_path / name
    packed = gzip.compress(TEXT * 99) if codec == "gzip" else pa.compress(TEXT * 99, "zstd", asbytes=True)
    path.write_bytes(packed[:-5])
    with pytest.raises(DataError, match=f"{name} cannot be read to its end: Truncated"):
        lines_of(path)


def test_a_file_that_only_claims_to_be_gzip_is_refused(tmp_path):
    (tmp_path / "raw.gz").write_bytes(TEXT)
    with pytest.raises(DataError, match=r"raw\.gz cannot be read"):
        lines_of(tmp_path / "raw.gz")


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    (tmp_path / "raw.csv").write_bytes(b"\xef\xbb\xbf" + TEXT)
    assert lines_of(tmp_path / "raw.csv") == EXPECTED


def test_a_line_without_end_does_not_fill_the_memory(tmp_path):
    (tmp_path / "raw.tsv").write_bytes(b"a\n" + b"x" * 100_000 + b"\nb\n")
    found = lines_of(tmp_path / "raw.tsv", longest=100, read_bytes=50)
    assert [number for number, _ in found] == [1, 2, 3]
    assert 100 < len(found[1][1]) <= 200
