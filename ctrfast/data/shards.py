"""A dataset on disk: encoded rows in parquet shards per split, the encoder that made them, a sealed manifest.

    manifest.json    schema.json    vocabulary/<field>.parquet    rejected.parquet
    train/ valid/ test/  part-00000.parquet ...    label int8, numeric fields float32, id fields int32 (local ids),
                                                   or lists of them; of several labels the further ones as
                                                   label/NAME int8, -1 where unknown

    dataset = Dataset.open(Path("criteo"))
    dataset.rows("train"), dataset.label_rate("test"), dataset.shards("train")

A dataset is never changed: `ctrfast.data.shard_writer` fills a folder that becomes visible when it is whole, and
`Dataset.open` refuses it when a byte differs from what was written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ctrfast.data.encode import SCHEMA_FILE, Encoder
from ctrfast.data.manifest import FORMAT, KIND, DatasetManifest, Split
from ctrfast.errors import ArtifactError, unknown_name
from ctrfast.fitted_schema import FittedSchema
from ctrfast.folders import read_manifest, verify_files
from ctrfast.schema import SPLITS

ROWS_PER_GROUP = 65_536  # what a reader holds at least
ROWS_PER_SHARD = 262_144  # small enough that a few million rows keep all cores busy


@dataclass(frozen=True)
class Dataset:
    """An opened dataset. fitted: its schema with what the training split taught."""

    path: Path
    manifest: DatasetManifest
    fitted: FittedSchema

    @classmethod
    def open(cls, path: Path, verify: bool = True) -> Dataset:
        """Open a dataset.

        Args:
            path: its folder.
            verify: compare the sha256 of each file; without it only the manifest's own seal is checked.

        Raises:
            ArtifactError: it is missing, is no dataset, is incomplete, or was changed.
        """
        content = read_manifest(path, KIND)
        if content.get("format") != FORMAT:
            found = content.get("format")
            raise ArtifactError(f"The dataset {path} must have format {FORMAT}. Got {found!r}. Prepare it again.")
        try:
            manifest = DatasetManifest.model_validate(content)
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise ArtifactError(f"The manifest of {path} is not a dataset's, at {place}. Prepare it again.") from error
        if verify:
            verify_files(path, content)
        named = {shard.file for split in manifest.splits.values() for shard in split.shards}
        if not named <= set(manifest.files):
            raise ArtifactError(f"The dataset {path} names shards that its manifest does not hold. Prepare it again.")
        fitted = FittedSchema.from_file(path / SCHEMA_FILE)
        if fitted.hash != manifest.fitted_hash:
            raise ArtifactError(f"The dataset {path} was changed: its {SCHEMA_FILE} is another one. Prepare it again.")
        return cls(path, manifest, fitted)

    @property
    def hash(self) -> str:
        """sha256 of the manifest, hence of all content: the same rows under the same settings have the same."""
        return self.manifest.seal

    def rows(self, split: str) -> int:
        """Rows of a split."""
        return self.split(split).rows

    def label_rate(self, split: str) -> float:
        """Share of rows with label 1, the first of several; 0 for an empty split."""
        return self.split(split).label_rate

    def label_rates(self, split: str) -> dict[str, float]:
        """By label, its share of 1 among the rows where it is known; 0 where it is known of none."""
        found = self.split(split)
        if not found.labels:
            return {self.fitted.schema_.labels[0]: found.label_rate}
        return {name: count.positives / max(count.rows, 1) for name, count in found.labels.items()}

    @property
    def negative_rate(self) -> float:
        """Share of the training rows without a click that were kept."""
        return self.manifest.negative_rate

    def shards(self, split: str) -> list[Path]:
        """Parquet files of a split, in row order; none where it has no rows."""
        return [self.path / shard.file for shard in self.split(split).shards]

    def encoder(self) -> Encoder:
        """Load the encoder that made the shards."""
        return Encoder.load(self.path)

    def split(self, split: str) -> Split:
        """What the manifest says of a split."""
        for name, found in self.manifest.splits.items():
            if name == split:
                return found
        raise unknown_name("split", split, SPLITS, path="split")
