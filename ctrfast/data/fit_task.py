"""To learn a field is a task: it leaves vocabulary, column and figures as files, and is not done again where they are.

task = FitTask(schema, rows, folder, vocabularies, min_count=2, memory=2**30, earlier=None)
task(field)                      # in any process that sees the folders
task.found(field)                # {"size": ..., "hash": ..., "edges": ...}
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctrfast.data.earlier import Earlier
from ctrfast.data.fit import IdColumn, ParsedRows, fit_edges, fit_ids, fit_numbers
from ctrfast.folders import whole_file, write_file
from ctrfast.schema import IdField, NumericField, Schema


@dataclass(frozen=True)
class FitTask:
    """Learns the fields of a schema, each by itself.

    rows: what to learn from. folder: of the work. vocabularies: where those go. min_count, memory: as `fit_ids` takes
    them. earlier: what is taken over from an earlier dataset.
    """

    schema: Schema
    rows: ParsedRows
    folder: Path
    vocabularies: Path
    min_count: int
    memory: int
    earlier: Earlier | None

    @property
    def fields(self) -> list[NumericField | IdField]:
        """What there is to learn: id fields that share a table are learned with the field that has it."""
        return [*self.schema.numeric_fields, *(field for field in self.schema.id_fields if field.share is None)]

    def __call__(self, field: NumericField | IdField) -> None:
        """Learn a field, unless that is done.

        Raises:
            DataError: its vocabulary does not fit the memory.
        """
        if self._learned(field).is_file():
            return
        found = self._numbers(field) if isinstance(field, NumericField) else self._ids(field)
        write_file(self._learned(field), json.dumps(found))

    def found(self, field: NumericField | IdField) -> dict[str, Any]:
        """What was learned.

        Returns:
            Of a numeric field, `statistics` and `missing` per split; of a table, `size`, `hash`, `edges`, and the hash
            of the `earlier` vocabulary.
        """
        found: dict[str, Any] = json.loads(self._learned(field).read_text())
        return found

    def _numbers(self, field: NumericField) -> dict[str, Any]:
        known = self.earlier.fitted.statistics[field.name] if self.earlier else None
        index = self.schema.numeric_names.index(field.name) + 1
        statistics, missing = fit_numbers(self.rows, index, field, known)
        return {"statistics": statistics.model_dump(), "missing": missing}

    def _ids(self, field: IdField) -> dict[str, Any]:
        columns = [self._id_column(user) for user in self.schema.users_of(field.name)]
        columns.sort(key=lambda column: column.field.name != field.name)  # its own comes first
        known = self.earlier.known(field.name) if self.earlier else None
        edges = (
            self.earlier.fitted.edges.get(field.name) if self.earlier else fit_edges(self.rows, columns[0].index, field)
        )
        vocabulary = fit_ids(
            self.rows,
            columns,
            edges=edges,
            min_count=self.min_count,
            folder=self.folder / f"counts-{columns[0].place:05}-{secrets.token_hex(4)}",  # nobody else's
            memory=self.memory,
            known=known,
        )
        with whole_file(self.vocabularies / f"{field.name}.parquet") as file:
            vocabulary.save(file)
        found = {"size": len(vocabulary), "hash": vocabulary.hash, "edges": edges}
        return found | ({"earlier": known.vocabulary.hash} if known else {})

    def _id_column(self, field: IdField) -> IdColumn:
        place = self.schema.id_names.index(field.name)
        return IdColumn(1 + len(self.schema.numeric_names) + place, place, field)

    def _learned(self, field: NumericField | IdField) -> Path:
        """Where a field's task leaves what it learned, at its end."""
        return self.folder / "learned" / f"{field.name}.json"
