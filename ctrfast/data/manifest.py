"""The form of a dataset's `manifest.json`: what each split holds, and how it was made."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

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


class LabelCount(_Part):
    """rows: where a label is known. positives: where it is 1."""

    rows: int = Field(ge=0)
    positives: int = Field(ge=0)


class Split(_Part):
    """A split. missing_numbers: per numeric field, values that were missing; a shard holds the mean for them.

    positives, label_rate: of the first label. labels: of each, where there are several.
    """

    rows: int = Field(ge=0)
    positives: int = Field(ge=0)
    label_rate: float = Field(ge=0, le=1)
    shards: tuple[Shard, ...]
    missing_numbers: dict[str, int]
    labels: dict[str, LabelCount] = Field(default_factory=dict)


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
    """Usable rows in a stretch of time, with those that negative down-sampling dropped: the log's own label rate.

    start: text such as 2014-10-21T00:00 (UTC), or the whole number itself where the timestamp is one.
    """

    start: str
    rows: int = Field(ge=0)
    positives: int = Field(ge=0)


class DatasetManifest(_Part):
    """`manifest.json` of a dataset.

    preparation: the settings that lead from the raw files to it. timeline: by rising time; empty where the raw files
    tell no time. dropped: training rows without a click that negative down-sampling left out.
    """

    kind: Literal["dataset"]
    format: Literal[2]
    schema_: Schema = Field(alias="schema")
    fitted_hash: str
    vocabulary: VocabularyEntry
    splits: dict[SplitName, Split] = Field(min_length=3)
    rejected: Rejected
    preparation: dict[str, Any]
    dropped: int = Field(default=0, ge=0)
    timeline: tuple[TimelinePoint, ...] = ()
    files: dict[str, FileEntry]
    seal: str

    @property
    def negative_rate(self) -> float:
        """Share of the training rows without a click that were kept; 1 in datasets older than the setting."""
        rate = self.preparation.get("negative_rate", 1.0)
        return float(rate) if isinstance(rate, int | float) else 0.0

    @model_validator(mode="after")
    def _negative_rate_is_a_share(self) -> Self:
        if not 0 < self.negative_rate <= 1:
            raise ValueError(f"`preparation.negative_rate` must be in (0, 1]. Got {self.preparation['negative_rate']}")
        return self
