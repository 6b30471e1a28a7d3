"""What a click log's columns mean: label, numeric fields, id fields, and how each raw value becomes an input.

A `Schema` is declared: a preset, or a user's YAML. `ctrfast.fitted_schema` adds what the training split taught.

    schema = PRESETS["criteo"]
    schema.id_names          # ('C1', ..., 'C26')
    schema.hash              # changes with any change of meaning
"""

from __future__ import annotations

import hashlib
import itertools
import re
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, field_validator, model_validator

from ctrfast.errors import ConfigError, unknown_name
from ctrfast.fields import IdField, NumericField, Stored, check_lists, check_shares
from ctrfast.id_rows import FIRST_ID, MISSING_ID, UNSEEN_ID
from ctrfast.timestamp import Timestamp
from ctrfast.yaml_text import read_yaml

__all__ = [
    "FIRST_ID",
    "LABEL",
    "MISSING_ID",
    "MOST_LABELS",
    "PRESETS",
    "SPLITS",
    "UNKNOWN",
    "UNSEEN_ID",
    "IdField",
    "NumericField",
    "Schema",
    "Timestamp",
    "load_schema",
    "preset",
]

SPLITS = ("train", "valid", "test")
LABEL = "label"  # the label's column in shards, whatever it is called in the raw log
MOST_LABELS = 8
UNKNOWN = -1  # in shards, of a label that is empty in the raw log
_TASK_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # becomes part of figures' and columns' names


class Schema(Stored):
    """The columns of a raw click log, in file order, and the fields made from them.

    columns: every column of the raw file, in order; columns that no field uses are ignored.
    label: the column with 0 or 1; or several, each of which a model gives a probability for. The first must be there in
        every row; of the others an empty one is unknown.
    header: the file's first line names the columns (they are then found by name, in any order).
    timestamp: the column that tells a row's time, where there is one.
    """

    later = frozenset({"timestamp"})

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    columns: tuple[str, ...]
    label: str | tuple[str, ...]
    numeric_fields: tuple[NumericField, ...] = ()
    id_fields: tuple[IdField, ...]
    separator: str = Field(default="\t", min_length=1, max_length=1)
    header: bool = False
    timestamp: Timestamp | None = None

    @field_validator("label")
    @classmethod
    def _one_or_several(cls, label: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(label, str) or len(label) == 1:
            return label if isinstance(label, str) else label[0]
        if not 2 <= len(label) <= MOST_LABELS:
            raise ValueError(f"`label` must name 1 to {MOST_LABELS} columns. Got {len(label)}")
        bad = [name for name in label if not _TASK_NAME.fullmatch(name)]
        if bad:
            raise ValueError(
                f"Each of several labels must have a name of up to 64 letters, digits, - and _. Got {bad[0][:100]!r}"
            )
        return label

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [*self.numeric_names, *self.id_names]
        for kind, values in (("columns", list(self.columns)), ("fields", [*self.labels, *names])):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"`{kind}` must be unique. Got {', '.join(twice)} more than once")
        if LABEL in names:
            raise ValueError(f"No field may be named {LABEL!r}: shards keep the label under that name")
        if not self.id_fields:
            raise ValueError("`id_fields` must name at least one field. Got none")
        sources = {
            *self.labels,
            *(field.source for field in self.numeric_fields),
            *(field.source for field in self.id_fields),
        }
        if self.timestamp is not None:
            sources.add(self.timestamp.column)
        absent = sorted(sources - set(self.columns))
        if absent:
            raise ValueError(
                f"Each field, and `timestamp`, must have a column in `columns`. Got no column for {', '.join(absent)}"
            )
        return self

    @model_validator(mode="after")
    def _id_fields_fit_together(self) -> Self:
        check_lists(self.id_fields, self.separator)
        check_shares(self.id_fields)
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The raw columns of the labels, in order: one, or those of all tasks."""
        return (self.label,) if isinstance(self.label, str) else self.label

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the labels where there are several, else none."""
        return () if isinstance(self.label, str) else self.label

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns of the labels in shards. No field can have the name of a further one: it has a slash."""
        return (LABEL, *(f"{LABEL}/{name}" for name in self.labels[1:]))

    @property
    def numeric_names(self) -> tuple[str, ...]:
        """Names of the numeric fields, in input order."""
        return tuple(field.name for field in self.numeric_fields)

    @property
    def id_names(self) -> tuple[str, ...]:
        """Names of the id fields, in table order."""
        return tuple(field.name for field in self.id_fields)

    @property
    def table_names(self) -> tuple[str, ...]:
        """Names of the tables, in order: those of the id fields that do not share another's."""
        return tuple(field.name for field in self.id_fields if field.share is None)

    def table_of(self, field: IdField) -> IdField:
        """The field whose vocabulary and table an id field uses: mostly itself."""
        return field if field.share is None else next(other for other in self.id_fields if other.name == field.share)

    def users_of(self, table: str) -> tuple[IdField, ...]:
        """The fields that use a table, in order."""
        return tuple(field for field in self.id_fields if (field.share or field.name) == table)

    @property
    def slots(self) -> int:
        """S, columns of the ids array."""
        return sum(field.slots for field in self.id_fields)

    @property
    def field_slots(self) -> tuple[slice, ...]:
        """The columns of each id field in the ids array."""
        ends = itertools.accumulate(field.slots for field in self.id_fields)
        return tuple(slice(end - field.slots, end) for field, end in zip(self.id_fields, ends, strict=True))

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Raw columns that scoring needs: the sources of all fields, without the labels, in file order."""
        used = {*(field.source for field in self.numeric_fields), *(field.source for field in self.id_fields)}
        return tuple(column for column in self.columns if column in used)

    @property
    def hash(self) -> str:
        """sha256 of the declaration."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def _criteo(schema_name: str) -> Schema:
    numbers = tuple(f"I{i}" for i in range(1, 14))
    ids = tuple(f"C{i}" for i in range(1, 27))
    return Schema(
        name=schema_name,
        columns=("label", *numbers, *ids),
        label="label",
        numeric_fields=tuple(NumericField(name=name, transform="log_squared") for name in numbers),
        id_fields=tuple(IdField(name=name) for name in ids),
    )


def _avazu() -> Schema:
    text = (
        "C1 banner_pos site_id site_domain site_category app_id app_domain app_category device_id device_ip "
        "device_model device_type device_conn_type C14 C15 C16 C17 C18 C19 C20 C21"
    ).split()
    return Schema(
        name="avazu",
        columns=("id", "click", "hour", *text),
        label="click",
        id_fields=(
            IdField(name="hour_of_day", column="hour", part="hour_of_day", time_format="%y%m%d%H"),
            IdField(name="weekday", column="hour", part="weekday", time_format="%y%m%d%H"),
            *(IdField(name=name) for name in text),
        ),
        separator=",",
        header=True,
        timestamp=Timestamp(column="hour", format="%y%m%d%H"),
    )


# The click logs of 1 TB have the layout of the challenge's; other days, other ids, hence a name of their own.
PRESETS: dict[str, Schema] = {
    "criteo": _criteo("criteo"),
    "criteo_1tb": _criteo("criteo_1tb"),
    "avazu": _avazu(),
}


def preset(name: str) -> Schema:
    """The schema of a public data set.

    Raises:
        ConfigError: there is no preset of that name.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS, path="preset")
    return PRESETS[name]


def load_schema(path: Path) -> Schema:
    """Read a user's schema from YAML.

    Raises:
        ConfigError: the file is missing, is not YAML, or breaks a rule; the message names the setting.
    """
    try:
        return Schema.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        rule = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"The schema file {path} breaks a rule at {place}: {rule}.", path=place) from error
