"""The share of unseen ids that later data will have, from a sample of row groups: at most four per split.

The report (`ctrfast inspect`) counts all rows; the rule of what to warn of is the same (`ctrfast.data.unseen`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.data.encode import VOCABULARY_FOLDER
from ctrfast.data.shards import Dataset
from ctrfast.data.unseen import UNSEEN_SHARE, highest_unseen, min_count_of, unseen_expected, unseen_warning
from ctrfast.preflight.findings import DATASET, Finding
from ctrfast.preflight.stored_files import read_error, spaced
from ctrfast.schema import SPLITS, IdField

_MOST_GROUPS = 4

Shares = Mapping[str, Mapping[str, float]]


def unseen_shares(dataset: Dataset) -> Shares:
    """By id field, then by split that has rows: the share of unseen ids in the sample."""
    names = dataset.fitted.schema_.id_names
    by_split = {split: _of_split(dataset, split) for split in SPLITS if dataset.rows(split)}
    return {name: {split: float(by_split[split][at]) for split in by_split} for at, name in enumerate(names)}


def unseen_findings(dataset: Dataset, shares: Shares) -> Iterator[Finding]:
    """A warning per field whose share is high in validation or test rows."""
    for field in dataset.fitted.schema_.id_fields:
        of_field = shares[field.name]
        if not of_field.keys() - {"train"} or highest_unseen(of_field)[1] <= UNSEEN_SHARE:
            continue
        warning = unseen_warning(of_field, _expected(dataset, field, of_field["train"]))
        if warning is not None:
            yield Finding("warning", f"{field.name}: {warning.what} {warning.remedy}", f"{DATASET}.{field.name}")


def _of_split(dataset: Dataset, split: str) -> npt.NDArray[np.float64]:
    """(F,) shares."""
    names = list(dataset.fitted.schema_.id_names)
    unseen, values = np.zeros((2, len(names)), np.int64)
    for shard, group in _sample(dataset.shards(split)):
        try:
            with pq.ParquetFile(shard) as file:
                table = file.read_row_group(group, columns=names)
        except (OSError, pa.ArrowException) as error:
            raise read_error(f"{split}/{shard.name}", error) from error
        for at, (name, of) in enumerate(zip(names, dataset.fitted.id_rows, strict=True)):
            ids = table.column(name).combine_chunks()
            flat = ids.flatten() if pa.types.is_list(ids.type) else ids
            values[at] += len(flat)
            unseen[at] += np.count_nonzero(of.is_unseen(flat.to_numpy()))
    return unseen / values


def _sample(shards: list[Path]) -> list[tuple[Path, int]]:
    """Shards with the index of a row group, evenly spaced."""
    chosen = [(shard, pq.read_metadata(shard).num_row_groups) for shard in spaced(shards, _MOST_GROUPS)]
    return spaced([(shard, index) for shard, count in chosen for index in range(count)], _MOST_GROUPS)


def _expected(dataset: Dataset, field: IdField, share_in_train: float) -> float:
    """As the report has it, with the sample's share of the training split."""
    file = dataset.path / VOCABULARY_FOLDER / f"{field.share or field.name}.parquet"
    counts = pq.read_table(file, columns=["count"]).column("count").to_numpy()
    rows, rare = dataset.rows("train"), counts == min_count_of(dataset, field)
    return unseen_expected(round(share_in_train * rows), int(counts[rare].sum()), rows)
