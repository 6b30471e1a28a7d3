"""A folder is whole or absent, and a changed byte is noticed."""

import json

import pytest

from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import kind_of, new_folder, read_manifest, verify_files, whole_file, write_file, write_manifest


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "thing"
    with new_folder(out) as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "a.bin").write_bytes(b"abc")
        write_manifest(partial, {"kind": "thing"})
    return out


def test_a_whole_folder_verifies(folder):
    manifest = read_manifest(folder, "thing")
    assert manifest["files"]["sub/a.bin"]["bytes"] == 3
    verify_files(folder, manifest)
    assert [path.name for path in folder.parent.iterdir()] == ["thing"]


def test_an_error_inside_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), new_folder(tmp_path / "thing") as partial:
        (partial / "a").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_something_in_the_place_is_not_overwritten(folder):
    with pytest.raises(ConfigError, match="exists already"), new_folder(folder):
        pass
    verify_files(folder, read_manifest(folder, "thing"))


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "thing").mkdir()
    with new_folder(tmp_path / "thing") as partial:
        (partial / "a").write_text("whole")
    assert (tmp_path / "thing" / "a").read_text() == "whole"


@pytest.mark.parametrize("harm", ["change", "remove"])
def test_harm_is_noticed(folder, harm):
    file = folder / "sub" / "a.bin"
    file.write_bytes(b"abd") if harm == "change" else file.unlink()
    with pytest.raises(ArtifactError, match=r"^The thing thing (was changed|is incomplete): .*sub/a\.bin"):
        verify_files(folder, read_manifest(folder, "thing"))


def test_a_folder_of_another_kind_or_without_manifest_is_refused(folder, tmp_path):
    with pytest.raises(ArtifactError, match="not a bundle"):
        read_manifest(folder, "bundle")
    with pytest.raises(ArtifactError, match="There is no bundle"):
        read_manifest(tmp_path / "none", "bundle")
    (folder / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"no manifest\.json"):
        read_manifest(folder, "thing")
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_manifest(folder, "thing")


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname"])
def test_a_manifest_cannot_name_files_outside(folder, name):
    (folder.parent / "outside").write_text("x")
    with pytest.raises(ArtifactError, match="outside itself"):
        verify_files(folder, {"files": {name: {"sha256": ""}}})


def test_a_folder_says_what_it_is(folder, tmp_path):
    assert kind_of(folder) == "thing"
    assert kind_of(tmp_path) is None
    (tmp_path / "manifest.json").write_text("[]")
    assert kind_of(tmp_path) is None


def test_write_file_replaces_at_once(tmp_path):
    write_file(tmp_path / "a.json", json.dumps(1))
    write_file(tmp_path / "a.json", json.dumps(2))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "2")]


def test_writers_of_one_file_do_not_mix(tmp_path):
    file = tmp_path / "column"
    with whole_file(file) as first, whole_file(file) as second:
        first.write_text("first")
        second.write_text("sec")
        assert not file.exists()
    assert file.read_text() == "first"  # the outer block ends last
    with pytest.raises(ValueError, match="no"), whole_file(file) as broken:
        broken.write_text("half")
        raise ValueError("no")
    assert file.read_text() == "first" and list(tmp_path.iterdir()) == [file]


def test_a_new_folder_is_on_the_disk_with_all_its_names(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("ctrfast.folders.sync", synced.append)
    with new_folder(tmp_path / "thing") as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "a.bin").write_bytes(b"abc")
    assert sorted(synced[:3]) == [partial, partial / "sub", partial / "sub" / "a.bin"]
    assert synced[3:] == [tmp_path]  # after it was renamed
