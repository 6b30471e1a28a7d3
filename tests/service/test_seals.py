"""A registered dataset is opened from memory while its manifest and schema are the same files, and never longer."""

import shutil

import pytest

from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError
from ctrfast.folders import MANIFEST
from service.seals import open_registered


@pytest.fixture
def registered(tiny_dataset, tmp_path):
    path = tmp_path / "clicks"
    shutil.copytree(tiny_dataset.path, path)
    return path, Dataset.open(path).hash


def test_it_is_read_once(registered):
    path, known = registered
    first = open_registered(path, known, verify=False)
    assert open_registered(path, known, verify=False) is first
    assert first.hash == known


@pytest.mark.parametrize("file", [MANIFEST, "schema.json"])
def test_a_changed_file_is_seen_after_it_was_read(registered, file):
    path, known = registered
    open_registered(path, known, verify=False)
    (path / file).write_text((path / file).read_text().replace("0", "1", 1))
    with pytest.raises(ArtifactError):
        open_registered(path, known, verify=False)


def test_another_dataset_in_its_place_is_refused(registered):
    path, known = registered
    open_registered(path, known, verify=False)
    with pytest.raises(ArtifactError, match="is not the one that was registered"):
        open_registered(path, "0" * 64, verify=False)


def test_a_folder_that_is_gone_is_refused(registered):
    path, known = registered
    open_registered(path, known, verify=False)
    shutil.rmtree(path)
    with pytest.raises(ArtifactError):
        open_registered(path, known, verify=False)
