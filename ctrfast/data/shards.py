"""A dataset on disk: encoded rows in parquet shards per split, the encoder that made them, a sealed manifest.

    manifest.json    schema.json    vocabulary/<field>.parquet    rejected.parquet
    train/ valid/ test/  part-00000.parquet ...    label int8, numeric fields float32, id fields int32 (local ids)

    dataset = Dataset.open(Path("criteo"))
    dataset.rows("train"), dataset.label_rate("test"), dataset.shards("train")

A dataset is never changed: `DatasetWriter` fills a folder that becomes visible when it is whole, and `Dataset.open`
refuses it when a byte differs from what was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from ctrfast.data.encode import SCHEMA_FILE, Encoded, Encoder
from ctrfast.data.manifest import FORMAT, KIND, DatasetManifest, Split
from ctrfast.errors import ArtifactError, unknown_name
from ctrfast.folders import file_hash, read_manifest, verify_files, write_manifest
from ctrfast.schema import LABEL, SPLITS, FittedSchema

ROWS_PER_GROUP = 65_536  # what a reader holds at least
ROWS_PER_SHARD = 1_048_576


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
        """Share of rows with label 1; 0 for an empty split."""
        return self.split(split).label_rate

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


class DatasetWriter:
    """Writes encoded rows as shards, then the manifest. The caller makes the folder visible (`folders.new_folder`)."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self._folder = folder
        self._encoder = encoder
        encoder.save(folder)
        self._splits = {split: _SplitWriter(folder, split) for split in SPLITS}

    def tables(self, encoded: Encoded, label: npt.NDArray[np.int8], split: npt.NDArray[np.int8]) -> dict[str, pa.Table]:
        """Cut rows into tables per split, ready for `add_tables`; may be called from several threads.

        Args:
            encoded: R rows.
            label: (R,) 0 or 1.
            split: (R,) index into `SPLITS`.
        """
        schema = self._encoder.fitted.schema_
        columns: dict[str, npt.NDArray[Any]] = {LABEL: label}
        columns |= {name: encoded.numbers[:, index] for index, name in enumerate(schema.numeric_names)}
        columns |= {name: encoded.ids[:, index] for index, name in enumerate(schema.id_names)}
        chosen = {name: split == index for index, name in enumerate(SPLITS)}
        return {
            name: pa.table({key: pa.array(column[rows]) for key, column in columns.items()})
            for name, rows in chosen.items()
            if rows.any()
        }

    def add_tables(self, tables: Mapping[str, pa.Table]) -> None:
        """Add what `tables` made."""
        for name, table in tables.items():
            self._splits[name].add(table)

    def finish(
        self,
        preparation: Mapping[str, Any],
        rejected: Mapping[str, int],
        missing_numbers: Mapping[str, Mapping[str, int]],
    ) -> None:
        """Write what is pending, then the manifest.

        Args:
            preparation: the settings that lead from the raw files to this dataset.
            rejected: rows per reason.
            missing_numbers: per split and numeric field, values that were missing; a shard holds the mean for them.
        """
        fitted = self._encoder.fitted
        splits = {
            name: {**writer.finish(), "missing_numbers": dict(missing_numbers[name])}
            for name, writer in self._splits.items()
        }
        content = {
            "kind": KIND,
            "format": FORMAT,
            "schema": fitted.schema_.model_dump(mode="json"),
            "fitted_hash": fitted.hash,
            "vocabulary": {"hash": fitted.vocabulary_hash, "sizes": dict(fitted.vocabulary_sizes)},
            "splits": splits,
            "rejected": {"rows": sum(rejected.values()), "reasons": dict(sorted(rejected.items()))},
            "preparation": dict(preparation),
        }
        write_manifest(self._folder, content)


class _SplitWriter:
    """Cuts a stream of tables into whole row groups and shards, whatever the size of its pieces."""

    def __init__(self, folder: Path, split: str) -> None:
        self._root = folder
        self._split = split
        (folder / split).mkdir()
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._writer: pq.ParquetWriter | None = None
        self._shard_rows = 0
        self._shards: list[dict[str, Any]] = []
        self._positives = 0

    def add(self, table: pa.Table) -> None:
        self._pending.append(table)
        self._pending_rows += table.num_rows
        self._positives += int(table.column(LABEL).to_numpy().sum())
        if self._pending_rows >= ROWS_PER_GROUP:
            rows = pa.concat_tables(self._pending)
            whole = len(rows) - len(rows) % ROWS_PER_GROUP
            for start in range(0, whole, ROWS_PER_GROUP):
                self._write(rows.slice(start, ROWS_PER_GROUP))
            self._pending, self._pending_rows = [rows.slice(whole)], len(rows) - whole

    def finish(self) -> dict[str, Any]:
        if self._pending_rows:
            self._write(pa.concat_tables(self._pending))
        self._close()
        rows = sum(shard["rows"] for shard in self._shards)
        return {
            "rows": rows,
            "positives": self._positives,
            "label_rate": self._positives / rows if rows else 0.0,
            "shards": self._shards,
        }

    def _write(self, group: pa.Table) -> None:
        if self._shard_rows >= ROWS_PER_SHARD:
            self._close()
        if self._writer is None:
            file = self._root / self._split / f"part-{len(self._shards):05}.parquet"
            self._shards.append({"file": file.relative_to(self._root).as_posix(), "rows": 0})
            self._writer = pq.ParquetWriter(file, group.schema, compression="lz4", write_statistics=False)
        self._writer.write_table(group.combine_chunks(), row_group_size=ROWS_PER_GROUP)
        self._shard_rows += len(group)

    def _close(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        shard = self._shards[-1]
        shard["rows"], shard["sha256"] = self._shard_rows, file_hash(self._root / shard["file"])
        self._writer, self._shard_rows = None, 0
