"""The share of unseen ids that later data will have, from a sample of row groups: at most four per split.

The report (`ctrfast inspect`) counts all rows, and also warns of shares that are high and were to be expected; here a
warning tells of a change alone (`ctrfast.data.unseen`), of several fields in one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.data.encode import VOCABULARY_FOLDER
from ctrfast.data.shards import Dataset
from ctrfast.data.unseen import (
    LATER_ROWS,
    UNSEEN_SHARE,
    UnseenWarning,
    highest_unseen,
    min_count_of,
    unseen_expected,
    unseen_warning,
)
from ctrfast.preflight.findings import DATASET, Finding
from ctrfast.preflight.stored_files import read_error, spaced
from ctrfast.schema import SPLITS, IdField

_MOST_GROUPS = 4
_MOST_NAMED = 3

Shares = Mapping[str, Mapping[str, float]]


def unseen_shares(dataset: Dataset) -> Shares:
    """By id field, then by split that has rows: the share of unseen ids in the sample."""
    names = dataset.fitted.schema_.id_names
    by_split = {split: _of_split(dataset, split) for split in SPLITS if dataset.rows(split)}
    return {name: {split: float(by_split[split][at]) for split in by_split} for at, name in enumerate(names)}


def unseen_findings(dataset: Dataset, shares: Shares) -> Iterator[Finding]:
    """A warning of the fields whose share is high in validation or test rows, and above what was to be expected.

    Up to 3 fields have one each; more are summed up in one, which names those with the highest shares.
    """
    found = dict(_changed(dataset, shares))
    if len(found) <= _MOST_NAMED:
        for name, warning in found.items():
            yield Finding("warning", f"{name}: {warning.what} {warning.remedy}", f"{DATASET}.{name}")
        return
    worst = sorted(found, key=lambda name: -found[name].share)[:_MOST_NAMED]
    named = "; ".join(f"{name}: {found[name].what.rstrip('.').replace(';', ',')}" for name in worst)
    yield Finding(
        "warning",
        f"{len(found)} fields have more unseen values in later rows than were to be expected, most of all {named}. "
        f"Their values change with time: {LATER_ROWS}",
        DATASET,
    )


def _changed(dataset: Dataset, shares: Shares) -> Iterator[tuple[str, UnseenWarning]]:
    for field in dataset.fitted.schema_.id_fields:
        of_field = shares[field.name]
        if not of_field.keys() - {"train"} or highest_unseen(of_field)[1] <= UNSEEN_SHARE:
            continue
        warning = unseen_warning(of_field, _expected(dataset, field, of_field["train"]))
        if warning is not None and warning.is_change:
            yield field.name, warning


def _of_split(dataset: Dataset, split: str) -> npt.NDArray[np.float64]:
    """(F,) shares."""
    names = list(dataset.fitted.schema_.id_names)
    unseen, values = np.zeros((2, len(names)), np.int64)
    for table in _tables(dataset, split, names):
        for at, (name, of) in enumerate(zip(names, dataset.fitted.id_rows, strict=True)):
            ids = table.column(name).combine_chunks()
            flat = ids.flatten() if pa.types.is_list(ids.type) else ids
            values[at] += len(flat)
            unseen[at] += np.count_nonzero(of.is_unseen(flat.to_numpy()))
    return unseen / values


def _tables(dataset: Dataset, split: str, names: list[str]) -> Iterator[pa.Table]:
    """Columns of the sampled row groups."""
    for shard, group in _sample(dataset.shards(split)):
        with _reading(shard), pq.ParquetFile(shard) as file:
            table = file.read_row_group(group, columns=names)
        yield table


def _sample(shards: list[Path]) -> list[tuple[Path, int]]:
    """Shards with the index of a row group, evenly spaced."""
    chosen = []
    for shard in spaced(shards, _MOST_GROUPS):
        with _reading(shard):
            chosen.append((shard, pq.read_metadata(shard).num_row_groups))
    return spaced([(shard, index) for shard, count in chosen for index in range(count)], _MOST_GROUPS)


@contextmanager
def _reading(shard: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise read_error(f"{shard.parent.name}/{shard.name}", error) from error


def _expected(dataset: Dataset, field: IdField, share_in_train: float) -> float:
    """As the report has it, with the sample's share of the training split, and its values per row where it has lists.

    The vocabulary of a shared table does not tell which of its fields' values are rare.
    """
    schema = dataset.fitted.schema_
    if len(schema.users_of(field.share or field.name)) > 1:
        return share_in_train
    file = dataset.path / VOCABULARY_FOLDER / f"{field.name}.parquet"
    counts = pq.read_table(file, columns=["count"]).column("count").to_numpy()
    values = round(dataset.rows("train") * (1.0 if field.separator is None else _values_per_row(dataset, field)))
    rare = counts == min_count_of(dataset, field)
    return unseen_expected(round(share_in_train * values), int(counts[rare].sum()), values)


def _values_per_row(dataset: Dataset, field: IdField) -> float:
    lists = [table.column(field.name) for table in _tables(dataset, "train", [field.name])]
    return float(sum(len(column.combine_chunks().flatten()) for column in lists) / sum(map(len, lists)))
