"""Answers about aliases, shadows and signatures of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel

from service.shadow_sums import ShadowFigures, Sums, figures_of
from service.tables import AliasMove, ShadowRow
from service.times import iso_time


class MovePublic(BaseModel):
    """One move of an alias.

    caller: id of the key that asked for it, empty for a local caller without one. caller_name: that key's name; None
    where there is no such key (a provider's token, a job). job: the train job that published.
    """

    from_version: int | None
    to_version: int
    caller: str
    caller_name: str | None
    job: str | None
    at: str

    @classmethod
    def of(cls, row: AliasMove, names: Mapping[str, str]) -> Self:
        """A row as an answer. names: of keys, by id."""
        return cls(
            from_version=row.from_version,
            to_version=row.to_version,
            caller=row.caller,
            caller_name=names.get(row.caller),
            job=row.job_id,
            at=iso_time(row.at),
        )


class AliasHistory(BaseModel):
    """Where an alias points, and its moves, newest first."""

    model: str
    alias: str
    version: int
    moves: list[MovePublic]

    @classmethod
    def of(cls, moves: Sequence[AliasMove], names: Mapping[str, str]) -> Self:
        """Rows, of which there is one at least, as an answer. names: of the keys that asked for them, by id."""
        newest = moves[0]
        return cls(
            model=newest.name,
            alias=newest.alias,
            version=newest.to_version,
            moves=[MovePublic.of(move, names) for move in moves],
        )


class ShadowComparison(ShadowFigures):
    """Scores of a version, and of one that was its shadow."""

    version: int
    shadow_version: int
    updated_at: str

    @classmethod
    def of(cls, row: ShadowRow) -> Self:
        """A row as an answer."""
        figures = figures_of(Sums.from_json(row.sums))
        return cls(
            version=row.version,
            shadow_version=row.shadow_version,
            updated_at=iso_time(row.updated_at),
            **figures.model_dump(),
        )


class ShadowPublic(BaseModel):
    """All comparisons of a model, the newest first."""

    model: str
    comparisons: list[ShadowComparison]


class ModelSpec(BaseModel):
    """TensorFlow Serving's name of a servable; it writes the version as text."""

    name: str
    signature_name: str = ""
    version: str


class ModelMetadata(BaseModel):
    """TensorFlow Serving's metadata of a model version (`service.signatures`)."""

    model_spec: ModelSpec
    metadata: dict[str, Any]
