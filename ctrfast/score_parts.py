"""The finished parts of a batch scoring, beside its result: what a killed one leaves for the next to go on from.

    .OUT.score/made_from.json          what the scores depend on: model, inputs, columns
    .OUT.score/part-000000.parquet     the scores of a block of rows; its metadata counts the block's unseen values

Each part is on the disk before the next one is begun, so those that are there are the first ones.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.errors import ArtifactError
from ctrfast.folders import new_file, write_file

_MADE_FROM = "made_from.json"
_UNSEEN = b"unseen"


class ScoreParts:
    """Parts in a folder that nobody else writes to.

    Args:
        folder: of the unfinished work.
        made_from: JSON-like; all that the scores depend on.
        schema: of the result's columns.
    """

    def __init__(self, folder: Path, made_from: Mapping[str, Any], schema: pa.Schema) -> None:
        self._folder = folder
        self._made_from = json.dumps(made_from, sort_keys=True)
        self._schema = schema
        self.count, self.rows = 0, 0
        self.unseen: Counter[str] = Counter()

    @property
    def is_left(self) -> bool:
        """Whether an earlier call has left parts, of whatever."""
        return (self._folder / _MADE_FROM).is_file()

    @property
    def is_same(self) -> bool:
        """Whether an earlier call has left parts that were made from the same."""
        return self.is_left and (self._folder / _MADE_FROM).read_text(encoding="utf-8") == self._made_from

    def refuse_others(self) -> None:
        """Raise ArtifactError where parts are left that were made from something else."""
        if self.is_left and not self.is_same:
            raise ArtifactError(
                "The unfinished scores were made from other inputs, another model or with other columns. "
                "Leave out --resume to score anew.",
                path="resume",
            )

    def take_up(self, *, resume: bool) -> None:
        """Count the parts to go on from; without `resume`, remove them."""
        for part in self._folder.glob("part-*") if not resume else ():
            part.unlink()
        write_file(self._folder / _MADE_FROM, self._made_from)
        while (part := self._part(self.count)).is_file():
            found = pq.read_metadata(part)
            self._count(found.num_rows, json.loads(found.metadata[_UNSEEN]))

    def add(self, columns: Mapping[str, Any], unseen: Mapping[str, int]) -> None:
        """Write the next part: its columns, and its unseen values by id field."""
        table = pa.table(dict(columns), schema=self._schema.with_metadata({_UNSEEN: json.dumps(dict(unseen))}))
        with new_file(self._part(self.count)) as partial:
            pq.write_table(table, partial)
        self._count(table.num_rows, unseen)

    def join(self, out: Path) -> None:
        """Write the result, a part at a time."""
        with new_file(out) as partial, pq.ParquetWriter(partial, self._schema) as writer:
            for place in range(self.count):
                writer.write_table(pq.read_table(self._part(place)).replace_schema_metadata(None))

    def _part(self, place: int) -> Path:
        return self._folder / f"part-{place:06d}.parquet"

    def _count(self, rows: int, unseen: Mapping[str, int]) -> None:
        self.count += 1
        self.rows += rows
        self.unseen.update(unseen)
