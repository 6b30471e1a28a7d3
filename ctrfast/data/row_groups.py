"""The row groups of a split's shards, and which of their rows each of several readers of a pass has.

groups = row_groups(dataset.shards("train"))
mine = groups_of_part(groups, Part(index=0, count=2))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq


@dataclass(frozen=True)
class Part:
    """The rows that fall to one of `count` readers of a pass: a stretch of whole row groups, but for its two ends.

    All readers together have each row once, and their numbers of rows differ by one at most.
    """

    index: int
    count: int


WHOLE = Part(0, 1)


@dataclass(frozen=True)
class RowGroup:
    """Rows of a row group of a shard.

    skip, rows: which of the group's rows. first: place of the group's first row in the split. metadata: of the shard,
    parsed once.
    """

    shard: Path
    index: int
    rows: int
    first: int
    metadata: pq.FileMetaData
    skip: int = 0


def row_groups(shards: Sequence[Path]) -> list[RowGroup]:
    """All of them, in the order of the shards."""
    groups, first = [], 0
    for shard in shards:
        metadata = pq.read_metadata(shard)
        for index in range(metadata.num_row_groups):
            groups.append(RowGroup(shard, index, metadata.row_group(index).num_rows, first, metadata))
            first += groups[-1].rows
    return groups


def groups_of_part(groups: Sequence[RowGroup], part: Part) -> list[RowGroup]:
    """The row groups that a part has rows of, cut where it begins and ends."""
    rows = sum(group.rows for group in groups)
    begin, end = (rows * index // part.count for index in (part.index, part.index + 1))
    kept, start = [], 0
    for group in groups:
        first, last = max(begin - start, 0), min(end - start, group.rows)
        if first < last:
            kept.append(replace(group, skip=group.skip + first, rows=last - first))
        start += group.rows
    return kept
