"""A schema with what the training split taught: statistics of numeric fields, vocabulary sizes, edges of buckets.

It travels with the dataset, the run and the bundle, so that training and scoring apply the same transforms; and it says
where each field's rows are in the fused embedding table.

    fitted = FittedSchema.from_file(dataset / "schema.json")
    fitted.table_rows        # V
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from ctrfast.errors import ArtifactError
from ctrfast.fields import Stored
from ctrfast.id_rows import IdRows
from ctrfast.schema import Schema


class Statistics(Stored):
    """Of one numeric field on the training split, after its transform and without missing values.

    std, width: 1 where the field is constant, so that both divide. least, width: the smallest value, and the largest
    less the smallest, where `scale` is `min_max`.
    """

    later = frozenset({"least", "width"})

    mean: float
    std: float = Field(gt=0)
    least: float | None = None
    width: float | None = Field(default=None, gt=0)


class FittedSchema(Stored):
    """A schema with what was learned from the training split.

    vocabulary_sizes: kept values per table, without the unseen and the missing id; 0 for a field of hash buckets.
    vocabulary_hash: sha256 over all vocabularies (`ctrfast.data.vocabulary`).
    edges: rising, of each field of quantile buckets (`ctrfast.data.buckets`).
    """

    later = frozenset({"edges"})

    schema_: Schema = Field(alias="schema")
    statistics: Mapping[str, Statistics]
    vocabulary_sizes: Mapping[str, int]
    vocabulary_hash: str
    edges: Mapping[str, tuple[float, ...]] = Field(default_factory=dict)

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (
            tuple(self.statistics) != self.schema_.numeric_names
            or tuple(self.vocabulary_sizes) != self.schema_.table_names
        ):
            raise ValueError("`statistics` and `vocabulary_sizes` must name the schema's fields and tables in order")
        for field in self.schema_.numeric_fields:
            of = self.statistics[field.name]
            if field.scale == "min_max" and (of.least is None or of.width is None):
                raise ValueError(f"`statistics` of {field.name} must have `least` and `width`")
        if tuple(self.edges) != tuple(field.name for field in self.schema_.id_fields if field.bucket == "quantile"):
            raise ValueError("`edges` must name the schema's fields of quantile buckets in order")
        if any(list(edges) != sorted(set(edges)) for edges in self.edges.values()):
            raise ValueError("`edges` must rise")
        return self

    @property
    def tables(self) -> dict[str, IdRows]:
        """Rows of each table, by name."""
        fields, tables = self.schema_.id_fields, {}
        have_lists = {field.share or field.name for field in fields if field.separator is not None}
        for field in fields:
            if field.share is None:
                values = field.hash_buckets or self.vocabulary_sizes[field.name]
                tables[field.name] = IdRows(values, field.unseen_buckets, field.name in have_lists)
        return tables

    @property
    def id_rows(self) -> tuple[IdRows, ...]:
        """Rows of each id field's table."""
        tables = self.tables
        return tuple(tables[field.share or field.name] for field in self.schema_.id_fields)

    @property
    def table_sizes(self) -> tuple[int, ...]:
        """(T,) embedding rows per table."""
        return tuple(rows.size for rows in self.tables.values())

    @property
    def table_starts(self) -> tuple[int, ...]:
        """(T,) first row of each table in the fused table."""
        return tuple(itertools.accumulate(self.table_sizes, initial=0))[:-1]

    @property
    def slot_offsets(self) -> tuple[int, ...]:
        """(S,) first row, in the fused table, of the table that each column of the ids array looks up in."""
        starts, start = {}, 0
        for name, rows in self.tables.items():
            starts[name] = start
            start += rows.size
        return tuple(starts[field.share or field.name] for field in self.schema_.id_fields for _ in range(field.slots))

    @property
    def row_ranges(self) -> tuple[tuple[str | None, int], ...]:
        """Name and first row of each range of the fused table that an optimizer measures by itself.

        They are the tables. The padding row of one is a range of its own, without a name, so that it counts in none.
        """
        ranges: list[tuple[str | None, int]] = []
        for (name, rows), start in zip(self.tables.items(), self.table_starts, strict=True):
            ranges.append((name, start))
            if rows.has_padding:
                ranges.append((None, start + rows.padding))
        return tuple(ranges)

    @property
    def table_rows(self) -> int:
        """V, rows of the fused embedding table."""
        return sum(self.table_sizes)

    @property
    def hash(self) -> str:
        """sha256 of schema, statistics and vocabulary: a model fits data with the same hash only."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The form that is stored as `schema.json`."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=1)

    @classmethod
    def from_file(cls, path: Path) -> FittedSchema:
        """Read `schema.json`.

        Raises:
            ArtifactError: the file is missing or is not a fitted schema.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path.name} cannot be read as a fitted schema. Write the artefact again.") from error
