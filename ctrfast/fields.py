"""Fields of a schema: which raw column each one is made from, and how a raw value becomes its input.

    NumericField(name="price", transform="log1p", scale="min_max")
    IdField(name="price_bucket", column="price", bucket="quantile", buckets=20)
    IdField(name="url", hash_buckets=100_000)

`ctrfast.data.transforms`, `.buckets`, `.cells` and `.field_ids` hold the one implementation of each.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

# A field's name becomes a file's name (`vocabulary/C1.parquet`) and a column's: no path, nothing hidden.
FieldName = Annotated[str, Field(pattern=r"^[^/\\\x00.][^/\\\x00]{0,127}$")]

_MOST_ROWS = 2**30  # of a table: local ids are int32
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
    """

    later = frozenset({"bucket", "buckets", "min_count", "hash_buckets", "unseen_buckets"})

    name: FieldName
    column: str | None = None
    part: Literal["hour_of_day", "weekday", "day_of_month", "month", "is_weekend"] | None = None
    time_format: str | None = None
    bucket: Literal["log_squared", "quantile"] | None = None
    buckets: Annotated[int, Field(ge=2, le=10_000, strict=True)] | None = None
    min_count: Annotated[int, Field(ge=1, strict=True)] | None = None
    hash_buckets: Rows | None = None
    unseen_buckets: Rows = 1

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

    @property
    def source(self) -> str:
        """The raw column that the field is made from."""
        return self.column or self.name
