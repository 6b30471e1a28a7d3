import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from ctrfast.data import shard_writer
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import seal
from ctrfast.schema import SPLITS


@pytest.fixture
def small(tmp_path, tiny):
    raw = tmp_path / "raw.tsv"
    raw.write_bytes(b"".join(b"%d\t%d\ta%d\tb\n" % (row % 2, row, row % 7) for row in range(50)))
    prepare([raw], tiny, tmp_path / "small", split="sequential", valid_fraction=0.0, test_fraction=0.2)
    return tmp_path / "small"


def test_a_dataset_tells_its_content(small):
    dataset = Dataset.open(small)
    assert [dataset.rows(split) for split in SPLITS] == [40, 0, 10]
    assert [dataset.label_rate(split) for split in SPLITS] == [0.5, 0.0, 0.5]
    assert [len(dataset.shards(split)) for split in SPLITS] == [1, 0, 1]
    table = pq.read_table(dataset.shards("train")[0])
    assert {field.name: str(field.type) for field in table.schema} == {
        "label": "int8", "n": "float", "a": "int32", "b": "int32",
    }  # fmt: skip
    assert dataset.hash == seal(json.loads((small / "manifest.json").read_text()))
    assert dataset.encoder().fitted == dataset.fitted
    with pytest.raises(ConfigError, match="Did you mean test"):
        dataset.rows("tset")


def test_row_groups_and_shards_are_cut_whatever_the_blocks(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(shard_writer, "ROWS_PER_GROUP", 8)
    monkeypatch.setattr(shard_writer, "ROWS_PER_SHARD", 24)
    raw = tmp_path / "raw.tsv"
    raw.write_bytes(b"".join(b"%d\t%d\ta\tb\n" % (row % 2, row) for row in range(61)))
    prepare([raw], tiny, tmp_path / "out", valid_fraction=0.0, test_fraction=0.0)
    dataset = Dataset.open(tmp_path / "out")
    groups = [
        [pq.read_metadata(shard).row_group(index).num_rows for index in range(pq.read_metadata(shard).num_row_groups)]
        for shard in dataset.shards("train")
    ]
    assert groups == [[8, 8, 8], [8, 8, 8], [8, 5]]
    assert [shard.rows for shard in dataset.manifest.splits["train"].shards] == [24, 24, 13]
    numbers = np.concatenate([pq.read_table(shard)["n"].to_numpy() for shard in dataset.shards("train")])
    assert (np.diff(numbers) > 0).all()  # file order


def _files():
    return [
        "schema.json",
        "rejected.parquet",
        "vocabulary/a.parquet",
        "train/part-00000.parquet",
        "test/part-00000.parquet",
    ]


@pytest.mark.parametrize("name", _files())
def test_a_changed_byte_is_refused(small, name):
    content = bytearray((small / name).read_bytes())
    content[len(content) // 2] ^= 1
    (small / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"small was changed: the sha256 of {name}"):
        Dataset.open(small)


def test_a_lost_file_is_refused(small):
    (small / "test" / "part-00000.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"incomplete: test/part-00000\.parquet is missing"):
        Dataset.open(small)


def test_an_edited_manifest_is_refused(small):
    manifest = json.loads((small / "manifest.json").read_text())
    manifest["splits"]["test"]["rows"] = 11
    (small / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="was edited"):
        Dataset.open(small, verify=False)


def test_what_is_no_dataset_is_refused(small, tmp_path):
    with pytest.raises(ArtifactError, match="There is no dataset at"):
        Dataset.open(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match="is not a dataset"):
        Dataset.open(tmp_path / "empty")
    manifest = json.loads((small / "manifest.json").read_text())
    (small / "manifest.json").write_text(json.dumps({**manifest, "format": 9, "seal": seal({**manifest, "format": 9})}))
    with pytest.raises(ArtifactError, match=r"must have format 2\. Got 9"):
        Dataset.open(small)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("splits"),
        lambda m: m.pop("fitted_hash"),
        lambda m: m["splits"].pop("valid"),
        lambda m: m["splits"]["train"].update(rows="many"),
        lambda m: m["splits"]["train"].update(label_rate=float("nan")),
        lambda m: m.update(files=[]),
    ],
)
def test_a_manifest_of_another_form_is_refused_in_one_line(small, change):
    manifest = json.loads((small / "manifest.json").read_text())
    change(manifest)
    (small / "manifest.json").write_text(json.dumps({**manifest, "seal": seal(manifest)}))
    with pytest.raises(ArtifactError) as caught:
        Dataset.open(small)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("file", ["../outside.parquet", "/etc/hostname", "train/other.parquet"])
def test_shards_that_the_manifest_does_not_hold_are_refused(small, file):
    manifest = json.loads((small / "manifest.json").read_text())
    manifest["splits"]["train"]["shards"][0]["file"] = file
    (small / "manifest.json").write_text(json.dumps({**manifest, "seal": seal(manifest)}))
    with pytest.raises(ArtifactError, match="names shards"):
        Dataset.open(small, verify=False)


def test_a_shard_that_is_a_link_to_the_outside_is_refused(small, tmp_path):
    shard = next(small.glob("train/*.parquet"))
    shard.rename(tmp_path / "outside.parquet")
    shard.symlink_to(tmp_path / "outside.parquet")
    with pytest.raises(ArtifactError, match="outside itself"):
        Dataset.open(small)


def test_the_schema_of_another_dataset_is_refused(small, tmp_path, tiny):
    raw = tmp_path / "other.tsv"
    raw.write_bytes(b"1\t1\tx\ty\n" * 9)
    prepare([raw], tiny, tmp_path / "other", valid_fraction=0.0, test_fraction=0.0)
    shutil.copy(tmp_path / "other" / "schema.json", small / "schema.json")
    with pytest.raises(ArtifactError, match=r"its schema\.json is another one"):
        Dataset.open(small, verify=False)
