import json
import shutil

import pytest

from ctrfast.data.shards import Dataset
from ctrfast.folders import seal


class Copy:
    """A dataset that may be spoilt."""

    def __init__(self, path):
        self.path = path

    def open(self):
        return Dataset.open(self.path, verify=False)

    def edit(self, change):
        """Change the manifest, sealed again."""
        file = self.path / "manifest.json"
        manifest = json.loads(file.read_text())
        change(manifest)
        manifest["seal"] = seal(manifest)
        file.write_text(json.dumps(manifest))

    def replace(self, name, content):
        """Put another file in a file's place, with its true size in the manifest."""
        (self.path / name).write_bytes(content)
        self.edit(lambda manifest: manifest["files"][name].update(bytes=len(content)))


@pytest.fixture
def copy(tiny_dataset, tmp_path):
    shutil.copytree(tiny_dataset.path, tmp_path / "copy")
    return Copy(tmp_path / "copy")
