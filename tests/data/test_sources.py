"""Raw inputs as files, folders, patterns and addresses."""

import gzip

import pytest

from ctrfast.data.prepare import prepare
from ctrfast.data.sources import dataset_folder, find_sources
from ctrfast.errors import DataError


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    (folder / "below").mkdir(parents=True)
    for name in ("b.tsv", "a.tsv", "_SUCCESS", ".hidden", "below/c.tsv", "[x].tsv"):
        (folder / name).write_bytes(b"1\t1\tx\ty\n0\t2\tx\ty\n" * 20)
    return folder


def names(*given):
    return [source.name for source in find_sources(given)]


@pytest.mark.parametrize("prefix", ["", "file://"], ids=["path", "address"])
def test_folders_and_patterns_give_their_files_by_name(logs, prefix):
    assert names(f"{prefix}{logs}") == ["[x].tsv", "a.tsv", "b.tsv"]
    assert names(f"{prefix}{logs}/*") == ["[x].tsv", "a.tsv", "b.tsv"]
    assert names(f"{prefix}{logs}/[ab].t*") == ["a.tsv", "b.tsv"]
    assert names(f"{prefix}{logs}/*/*.tsv") == ["c.tsv"]
    assert names(f"{prefix}{logs}/b.tsv", logs / "a.tsv", f"{prefix}{logs}/_SUCCESS") == ["b.tsv", "a.tsv", "_SUCCESS"]


def test_a_path_and_a_name_that_exists_are_no_pattern(logs):
    assert names(logs / "[x].tsv", str(logs / "[x].tsv")) == ["[x].tsv"] * 2
    with pytest.raises(DataError, match=r"There is no file at .*\*: it does not exist"):
        find_sources([logs / "*"])


@pytest.mark.parametrize("prefix", ["", "file://"], ids=["path", "address"])
def test_what_names_no_file_is_refused(logs, tmp_path, prefix):
    (tmp_path / "empty").mkdir()
    for given, message in (
        ("empty", r"The folder .*empty must hold raw files\. Got none"),
        ("logs/*.csv", r"fit at least one file\. Got none for .*logs/\*\.csv"),
        ("absent.tsv", r"There is no file at .*absent\.tsv: it does not exist"),
    ):
        with pytest.raises(DataError, match=message):
            find_sources([f"{prefix}{tmp_path}/{given}"])
    with pytest.raises(DataError, match="at least one raw file"):
        find_sources([])


@pytest.mark.parametrize(
    "address",
    [
        "s3://key:secret@",
        "s3://key:sec/secret@bucket/a.tsv",
        "nonsense://key:secret@host/a.tsv?token=secret",
        "s3://key:secret@bucket/a.tsv?endpoint_override=127.0.0.1:9&scheme=http&connect_timeout=1&secret=1",
        "s3://key:secret@bucket/a.tsv?scheme=secret",
    ],
)
def test_credentials_never_show(address):
    with pytest.raises(DataError) as caught:
        find_sources([address])
    assert "secret" not in caught.value.message
    assert "key" not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_changed_file_is_another_source(tmp_path):
    for address in (str(tmp_path / "a.tsv"), f"file://{tmp_path}/a.tsv"):
        found = set()
        for content in (b"1\t1\tx\ty\n", b"1\t1\tx\ty\n0\t1\tx\ty\n"):
            (tmp_path / "a.tsv").write_bytes(content)
            found.add(find_sources([address])[0].identity)
        assert len(found) == 2


def test_an_address_and_a_folder_prepare_as_their_files_do(logs, tmp_path, tiny):
    (logs / "b.tsv").unlink()
    (logs / "b.tsv.gz").write_bytes(gzip.compress(b"1\t1\tx\ty\n0\t2\tx\ty\n" * 20))
    plain = prepare([logs / "[x].tsv", logs / "a.tsv", logs / "b.tsv.gz"], tiny, tmp_path / "one")
    assert prepare([str(logs)], tiny, tmp_path / "two") == plain
    assert prepare([f"file://{logs}"], tiny, tmp_path / "three") == plain
    assert prepare([f"file://{logs}/*.tsv", f"{logs}/*.gz"], tiny, tmp_path / "four") == plain


def test_a_dataset_is_a_folder_with_a_manifest(logs, tmp_path, tiny):
    prepare([logs], tiny, tmp_path / "out")
    assert dataset_folder([str(tmp_path / "out")]) == tmp_path / "out"
    assert dataset_folder([logs]) is None
    assert dataset_folder([tmp_path / "out", logs]) is None
    assert dataset_folder(["s3://bucket/out"]) is None
