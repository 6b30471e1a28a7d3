"""What a request may name as raw inputs: files and folders under the allowed roots, and no other address."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrfast.errors import DataError
from service.problems import PathNotAllowedError
from service.specs import existing_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_bytes(b"x")
    (tmp_path / "root" / "logs" / "below").mkdir(parents=True)
    (tmp_path / "root" / "empty").mkdir()
    for name in ("b.tsv", "a b.tsv", "_SUCCESS", ".hidden"):
        (tmp_path / "root" / "logs" / name).write_bytes(b"x")
    return tmp_path / "root"


@pytest.mark.parametrize("given", ["logs", "{root}/logs", "file://{root}/logs", "logs/"])
def test_a_folder_stands_for_its_files(root: Path, given: str) -> None:
    found = existing_files([given.format(root=root)], [root], "raw")
    assert [path.name for path in found] == ["a b.tsv", "b.tsv"]


def test_an_address_of_a_file(root: Path) -> None:
    assert existing_files([f"file://{root}/logs/a%20b.tsv"], [root], "raw") == [root / "logs" / "a b.tsv"]


@pytest.mark.parametrize(
    "given",
    [
        "s3://bucket/logs",
        "s3://key:secret@bucket/logs",
        "gs://bucket/logs",
        "file:///etc/passwd",
        "file://{root}/../outside",
        "file://{root}/%2e%2e/outside",
        "file://host{root}/logs",
        "http://127.0.0.1/logs",
    ],
)
def test_other_addresses_are_refused(root: Path, given: str) -> None:
    (root / "s3:" / "bucket").mkdir(parents=True)
    (root / "s3:" / "bucket" / "logs").touch()
    with pytest.raises(PathNotAllowedError) as caught:
        existing_files([given.format(root=root)], [root], "raw")
    assert "secret" not in str(caught.value.detail)


def test_a_link_out_of_the_root_is_refused(root: Path) -> None:
    (root / "logs" / "link.tsv").symlink_to(root.parent / "outside")
    with pytest.raises(PathNotAllowedError):
        existing_files(["logs"], [root], "raw")


def test_what_names_no_file_is_refused(root: Path) -> None:
    for given in ("absent", "empty", "logs/*.tsv"):
        with pytest.raises(DataError) as caught:
            existing_files([given], [root], "raw")
        assert caught.value.path == "raw.0"
        assert str(root) not in caught.value.message
