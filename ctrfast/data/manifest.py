"""The form of a dataset's `manifest.json`: what each split holds, and how it was made."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ctrfast.schema import Schema

KIND: Literal["dataset"] = "dataset"
FORMAT: Literal[2] = 2
SplitName = Literal["train", "valid", "test"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Shard(_Part):
    """A parquet file, named relative to the dataset."""

    file: str
    rows: int = Field(ge=1)
    sha256: str


class Split(_Part):
    """A split. missing_numbers: per numeric field, values that were missing; a shard holds the mean for them."""

    rows: int = Field(ge=0)
    positives: int = Field(ge=0)
    label_rate: float = Field(ge=0, le=1)
    shards: tuple[Shard, ...]
    missing_numbers: dict[str, int]


class Rejected(_Part):
    """Raw rows that could not be used, in all and per reason."""

    rows: int = Field(ge=0)
    reasons: dict[str, int]


class VocabularyEntry(_Part):
    """hash: over all vocabularies. sizes: kept values per id field."""

    hash: str
    sizes: dict[str, int]


class FileEntry(_Part):
    """Size and hash of a file."""

    bytes: int
    sha256: str


class TimelinePoint(_Part):
    """Rows of all splits in a stretch of time. start: as text that sorts by time, for example 2014-10-21T00:00."""

    start: str
    rows: int = Field(ge=0)
    positives: int = Field(ge=0)


class DatasetManifest(_Part):
    """`manifest.json` of a dataset.

    preparation: the settings that lead from the raw files to it. timeline: by rising time; empty where the raw files
    tell no time.
    """

    kind: Literal["dataset"]
    format: Literal[2]
    schema_: Schema = Field(alias="schema")
    fitted_hash: str
    vocabulary: VocabularyEntry
    splits: dict[SplitName, Split] = Field(min_length=3)
    rejected: Rejected
    preparation: dict[str, Any]
    timeline: tuple[TimelinePoint, ...] = ()
    files: dict[str, FileEntry]
    seal: str
