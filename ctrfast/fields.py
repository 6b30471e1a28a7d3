"""Fields of a schema: which raw column each one is made from, and how a raw value becomes its input.

    NumericField(name="price", transform="log1p", scale="min_max")
    IdField(name="price_bucket", column="price", bucket="quantile", buckets=20)
    IdField(name="url", hash_buckets=100_000)
    IdField(name="history", separator="|", max_values=20, share="item")

`ctrfast.data.transforms`, `.buckets`, `.cells` and `.field_ids` hold the one implementation of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

# A field's name becomes a file's name (`vocabulary/C1.parquet`) and a column's: no path, nothing hidden.
FieldName = Annotated[str, Field(pattern=r"^[^/\\\x00.][^/\\\x00]{0,127}$")]

_MOST_ROWS = 2**30  # of a table: local ids are int32
_MOST_VALUES = 1000  # of a list: each takes a column of every batch, used or not
Rows = Annotated[int, Field(ge=1, le=_MOST_ROWS, strict=True)]


class Stored(BaseModel):
    """Frozen settings that are written to disk. Those of `later` are left out where they are not set.

    So an artefact that was written before a setting existed keeps its hash.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_unset(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = write(self)
        defaults = {name: type(self).model_fields[name].get_default(call_default_factory=True) for name in self.later}
        unset = {name for name, default in defaults.items() if getattr(self, name) == default}
        return {name: value for name, value in content.items() if name not in unset}


class NumericField(Stored):
    """A real number. Raw values are decimal text or JSON numbers; absent and empty mean missing.

    column: the raw column, where it is not `name`; several fields may be made from one.
    transform: `identity`; `log_squared`: x -> ln(x)^2 for x > 2 and x otherwise, the usual form for Criteo's counts;
        or `log1p`: x -> sign(x) ln(1 + |x|), which keeps the sign.
    scale: of the transformed number. `standard`: minus the training mean, divided by the training deviation; `min_max`:
        0 at the least and 1 at the greatest training value (others may lie beyond); `none`: as it is. A field that is
        constant in training is divided by 1.

    A missing value becomes the training mean after the same scaling, which is 0 under `standard`.
    """

    later = frozenset({"column", "scale"})

    name: FieldName
    column: str | None = None
    transform: Literal["identity", "log_squared", "log1p"] = "identity"
    scale: Literal["standard", "min_max", "none"] = "standard"

    @property
    def source(self) -> str:
        """The raw column that the field is made from."""
        return self.column or self.name


class IdField(Stored):
    """A categorical value, kept as text.

    column: the raw column, where it is not `name`.
    part: a part of a time instead of the text itself; `time_format` then says how the column is written (strptime).
        Hour "0" to "23", weekday "0" (Monday) to "6", day of month "1" to "31", month "1" to "12", weekend "1" or "0".
    bucket: the column holds numbers, and the id is that of their bucket (`ctrfast.data.buckets`). `log_squared`:
        floor(ln(x)^2); `quantile`: one of `buckets` parts of the training rows.
    min_count: values that occur fewer times in the training rows are unseen; instead of the preparation's own.
    hash_buckets: no vocabulary; a value has one of so many ids by its hash, so that none is unseen.
    unseen_buckets: rare and unseen values share so many ids by their hash.
    separator, max_values: a cell is a list of values, of which the first `max_values` count; empty ones are dropped,
        and a list without any is missing. The rows of its values are pooled into one: by their mean, or their sum.
    share: another id field, whose vocabulary and table this one uses; both teach it.
    """

    later = frozenset("bucket buckets min_count hash_buckets unseen_buckets separator max_values pooling share".split())

    name: FieldName
    column: str | None = None
    part: Literal["hour_of_day", "weekday", "day_of_month", "month", "is_weekend"] | None = None
    time_format: str | None = None
    bucket: Literal["log_squared", "quantile"] | None = None
    buckets: Annotated[int, Field(ge=2, le=10_000, strict=True)] | None = None
    min_count: Annotated[int, Field(ge=1, strict=True)] | None = None
    hash_buckets: Rows | None = None
    unseen_buckets: Rows = 1
    separator: str | None = None
    max_values: Annotated[int, Field(ge=1, le=_MOST_VALUES, strict=True)] | None = None
    pooling: Literal["mean", "sum"] = "mean"
    share: str | None = None

    @model_validator(mode="after")
    def _part_needs_format(self) -> Self:
        if (self.part is None) != (self.time_format is None):
            raise ValueError(
                f"`part` and `time_format` go together. Got part={self.part}, time_format={self.time_format}"
            )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.bucket == "quantile") != (self.buckets is not None):
            raise ValueError(
                f"`buckets` goes with bucket: quantile, and is needed there. Got bucket={self.bucket}, "
                f"buckets={self.buckets}"
            )
        if self.bucket is not None and self.part is not None:
            raise ValueError(f"A field has either `bucket` or `part`. Got bucket={self.bucket}, part={self.part}")
        if self.hash_buckets is not None and (self.min_count is not None or self.unseen_buckets != 1):
            raise ValueError(
                "`hash_buckets` keeps no vocabulary, so `min_count` and `unseen_buckets` do not go with it. "
                f"Got min_count={self.min_count}, unseen_buckets={self.unseen_buckets}"
            )
        return self

    @model_validator(mode="after")
    def _lists_are_whole(self) -> Self:
        if (self.separator is None) != (self.max_values is None):
            raise ValueError(
                f"`separator` and `max_values` go together. Got separator={self.separator!r}, "
                f"max_values={self.max_values}"
            )
        if self.separator is None:
            if self.pooling != "mean":
                raise ValueError(f"`pooling` needs `separator` and `max_values`. Got pooling={self.pooling}")
            return self
        if not self.separator.strip():
            raise ValueError(f"`separator` must be more than white space. Got {self.separator!r}")
        if self.part is not None or self.bucket is not None:
            raise ValueError(
                "A list of values, by `separator`, goes with neither `part` nor `bucket`. "
                f"Got part={self.part}, bucket={self.bucket}"
            )
        return self

    @model_validator(mode="after")
    def _shared_table_is_told_once(self) -> Self:
        if self.share is None:
            return self
        if self.min_count is not None or self.hash_buckets is not None or self.unseen_buckets != 1:
            raise ValueError(
                "`min_count`, `hash_buckets` and `unseen_buckets` belong to the table: set them on the field that "
                f"{self.name!r} shares with, {self.share!r}"
            )
        if self.bucket is not None:
            raise ValueError(f"A field with `bucket` shares no table. Got bucket={self.bucket}, share={self.share!r}")
        return self

    @property
    def source(self) -> str:
        """The raw column that the field is made from."""
        return self.column or self.name

    @property
    def slots(self) -> int:
        """Columns of the ids array: one, or one for each value of a list."""
        return self.max_values or 1


def check_lists(fields: Sequence[IdField], separator: str) -> None:
    """Refuse lists that cannot be told from the columns of a file, which `separator` separates.

    Raises:
        ValueError: with the field's name.
    """
    separators: dict[str, str] = {}
    for field in fields:
        if field.separator is None:
            continue
        if separator in field.separator or set(field.separator) & set('\r\n"'):
            raise ValueError(
                f"`separator` of {field.name} must hold neither that of the file, {separator!r}, nor a line end or a "
                f"quote. Got {field.separator!r}"
            )
        if separators.setdefault(field.source, field.separator) != field.separator:
            raise ValueError(f"The lists of a column must have one `separator`. Got two for {field.source}")


def check_shares(fields: Sequence[IdField]) -> None:
    """Refuse fields that share a table which is not there.

    Raises:
        ValueError: with the field's name.
    """
    owners = {field.name for field in fields if field.share is None and field.bucket is None}
    for field in fields:
        if field.share is not None and field.share not in owners:
            raise ValueError(
                f"`share` of {field.name} must name another id field, with a table of its own and without `bucket`. "
                f"Got {field.share!r}"
            )
