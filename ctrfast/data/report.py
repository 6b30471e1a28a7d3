"""What a dataset holds: rows, label rates, and per field how many values, how many missing, how many unseen.

The share of unseen ids in the validation and test splits tells how far the vocabulary carries to new rows; a field
whose share is high there wants more data, or a lower `min_count`.

    report = inspect_dataset(Dataset.open(Path("criteo")))
    report.id_fields[0].unseen_share["test"]
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from ctrfast.data.ahead import in_order
from ctrfast.data.shards import ROWS_PER_GROUP, Dataset
from ctrfast.schema import FIRST_ID, MISSING_ID, SPLITS, UNSEEN_ID

_BYTES_PER_WEIGHT = 4  # float32


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IdFieldReport(_Frozen):
    """An id field. values: kept ones. top_value, top_share: the most frequent one, of all training rows.

    missing_share, unseen_share: per split, of its rows; unseen includes values rarer than `min_count`.
    """

    name: str
    values: int
    top_value: str | None
    top_share: float
    missing_share: dict[str, float]
    unseen_share: dict[str, float]


class NumericFieldReport(_Frozen):
    """A numeric field. mean, std: of the training split, after the transform. missing_share: per split."""

    name: str
    transform: str
    mean: float
    std: float
    missing_share: dict[str, float]


class DataReport(_Frozen):
    """A dataset. table_bytes: of the fused embedding table with its linear weights, at `embedding_dim`."""

    dataset_hash: str
    schema_name: str
    rows: dict[str, int]
    label_rate: dict[str, float]
    rejected: dict[str, int]
    id_fields: list[IdFieldReport]
    numeric_fields: list[NumericFieldReport]
    table_rows: int
    embedding_dim: int
    table_bytes: int
    dataset_bytes: int


def inspect_dataset(dataset: Dataset, *, embedding_dim: int = 10) -> DataReport:
    """Count what the shards hold, a row group at a time.

    Args:
        dataset: an opened dataset.
        embedding_dim: D, for the size of the table.
    """
    fitted, manifest = dataset.fitted, dataset.manifest
    counts = {split: _count_ids(dataset, split) for split in SPLITS}
    encoder = dataset.encoder()
    id_fields = []
    for name, vocabulary in encoder.vocabularies.items():
        top = (str(vocabulary.values[0]), int(vocabulary.counts[0].as_py())) if len(vocabulary) else (None, 0)
        id_fields.append(
            IdFieldReport(
                name=name,
                values=len(vocabulary),
                top_value=top[0],
                top_share=_share(top[1], dataset.rows("train")),
                missing_share={split: _share(counts[split][name][MISSING_ID], dataset.rows(split)) for split in SPLITS},
                unseen_share={split: _share(counts[split][name][UNSEEN_ID], dataset.rows(split)) for split in SPLITS},
            )
        )
    missing = {split: dataset.split(split).missing_numbers for split in SPLITS}
    return DataReport(
        dataset_hash=dataset.hash,
        schema_name=fitted.schema_.name,
        rows={split: dataset.rows(split) for split in SPLITS},
        label_rate={split: dataset.label_rate(split) for split in SPLITS},
        rejected=manifest.rejected.reasons,
        id_fields=id_fields,
        numeric_fields=[
            NumericFieldReport(
                name=field.name,
                transform=field.transform,
                mean=fitted.statistics[field.name].mean,
                std=fitted.statistics[field.name].std,
                missing_share={split: _share(missing[split][field.name], dataset.rows(split)) for split in SPLITS},
            )
            for field in fitted.schema_.numeric_fields
        ],
        table_rows=fitted.table_rows,
        embedding_dim=embedding_dim,
        table_bytes=fitted.table_rows * (embedding_dim + 1) * _BYTES_PER_WEIGHT,
        dataset_bytes=sum(entry.bytes for entry in manifest.files.values()),
    )


def _count_ids(dataset: Dataset, split: str) -> dict[str, list[int]]:
    """Per id field: occurrences of the unseen and of the missing id in a split, in the order of their ids."""
    names = list(dataset.fitted.schema_.id_names)
    counts = {name: [0] * FIRST_ID for name in names}

    def count(batch: pa.RecordBatch) -> list[list[int]]:
        return [[pc.sum(pc.equal(batch[name], local)).as_py() or 0 for local in range(FIRST_ID)] for name in names]

    for shard in dataset.shards(split):
        with pq.ParquetFile(shard) as file:
            for found in in_order(count, file.iter_batches(ROWS_PER_GROUP, columns=names)):
                for name, values in zip(names, found, strict=True):
                    counts[name] = [total + value for total, value in zip(counts[name], values, strict=True)]
    return counts


def _share(part: int, rows: int) -> float:
    return part / rows if rows else 0.0
