"""What each kind of job is asked to do: typed specs, checked in full when the job is submitted.

A train spec is the library's own config beside `dataset` and `publish_as`; `ctrfast.config` checks it. Every error
names the setting by its path in the request (`spec.batch_size`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError, model_validator

from ctrfast.config import MOST_WORKERS, TrainConfig, parse_config
from ctrfast.data.bad_rows import BadRowLimit
from ctrfast.data.sources import find_sources, is_address, local_files
from ctrfast.data.splitter import check_negative_rate, check_split
from ctrfast.errors import ConfigError, DataError, unknown_name
from ctrfast.schema import Schema, preset
from ctrfast.store.address import Address, is_stored
from service.gates import Gates
from service.paths import allowed_address, allowed_path
from service.problems import PathNotAllowedError

NAME_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$"
LARGEST_VERSION = 2**31 - 1
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
VersionNumber = Annotated[int, Field(strict=True, ge=1, le=LARGEST_VERSION)]  # strict: `true` is no number
Split = Literal["train", "valid", "test"]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WarmStartSpec(_Spec):
    """The run to begin with: a train job's, or the one that a version of a published model came from."""

    job: str | None = None
    model: Name | None = None
    version: VersionNumber | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.job is None) == (self.model is None):
            raise ValueError("exactly one of `job` and `model` must be given")
        if (self.model is None) != (self.version is None):
            raise ValueError("`model` and `version` go together, so that a retry begins with the same weights")
        return self


class TrainSpec(_Spec):
    """Train on a registered dataset; publish the model where `publish_as` is set, if it passes the gates.

    dataset: what to train on. publish_as: the model that the run becomes a version of; not set: none is published.
    """

    dataset: Name
    publish_as: Name | None = None
    gates: Gates | None = None
    warm_start: WarmStartSpec | None = None
    config: TrainConfig

    @model_validator(mode="after")
    def _gates_a_publication(self) -> Self:
        if self.gates is not None and self.publish_as is None:
            raise ValueError("`gates` goes with `publish_as`, the model whose champion is to be beaten")
        return self


class PlanRequest(_Spec):
    """A train spec to look at; without a dataset, `preset` says whose published values apply."""

    dataset: Name | None = None
    preset: str = "criteo"
    publish_as: Name | None = None
    gates: Gates | None = None
    warm_start: WarmStartSpec | None = None
    config: TrainConfig


class PrepareSpec(_Spec):
    """Make a dataset from raw click logs and register it. Either `preset` or `schema` says what they hold.

    name: of the dataset. raw: files or folders below an allowed root, or addresses in an object store.
    preset: a known click log. schema: columns and fields of any other (docs/data.md).
    min_count: an id value that occurs fewer times in the training split shares a row with those that it lacks.
    split: how rows come into the three splits. split_column: the raw column that holds train, valid or test.
    valid_fraction, test_fraction: shares of the rows. negative_rate: the share of training rows without a click that is
    kept. seed: of what is drawn. max_bad_rows: the most rows that may be bad, a number or a share (`0.1%`); not set: no
    limit. vocabulary_from: a dataset whose vocabularies are used. grow: values that are new are appended to them.
    workers: processes that do the work, on Ray; not set: the threads of one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=False, serialize_by_alias=True)

    name: Name
    raw: Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)]
    preset: str | None = None
    schema_: Schema | None = Field(default=None, alias="schema")
    min_count: int = Field(default=1, ge=1, strict=True)
    split: Literal["random", "sequential", "time", "column"] = "random"
    split_column: str | None = None
    valid_fraction: float = Field(default=0.1, ge=0, lt=1, strict=True)
    test_fraction: float = Field(default=0.1, ge=0, lt=1, strict=True)
    negative_rate: float = Field(default=1.0, gt=0, le=1, strict=True)
    seed: int = Field(default=1, ge=0, le=2**31 - 1, strict=True)
    max_bad_rows: StrictInt | StrictStr | None = None
    vocabulary_from: Name | None = None
    grow: bool = Field(default=False, strict=True)
    workers: int | None = Field(default=None, ge=1, le=MOST_WORKERS, strict=True)

    @property
    def declared(self) -> Schema:
        """The schema. Raises ConfigError where there is no such preset."""
        return self.schema_ or preset(self.preset or "")

    @model_validator(mode="after")
    def _one_schema(self) -> Self:
        if (self.preset is None) == (self.schema_ is None):
            raise ValueError("exactly one of `preset` and `schema` must be given")
        return self

    @model_validator(mode="after")
    def _grows_from_something(self) -> Self:
        if self.grow and self.vocabulary_from is None:
            raise ValueError("`grow` goes with `vocabulary_from`, the dataset to grow from")
        return self

    @model_validator(mode="after")
    def _leaves_rows_to_train(self) -> Self:
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError("`valid_fraction` + `test_fraction` must be below 1")
        return self


class EvaluateSpec(_Spec):
    """Measure a trained job's run, or the run that a published model came from, on a registered dataset.

    job: a train job that has succeeded. model: a published model, in place of a job. version: of the model; not set:
    the one that `latest` points at. dataset: to measure on. split: which of its rows.
    """

    job: str | None = None
    model: Name | None = None
    version: VersionNumber | None = None
    dataset: Name
    split: Split = "test"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.job is None) == (self.model is None):
            raise ValueError("exactly one of `job` and `model` must be given")
        if self.version is not None and self.model is None:
            raise ValueError("`version` goes with `model`")
        return self


class ScoreSpec(_Spec):
    """Score raw files with a published model.

    model: a published model. version: of it; not set: the one that `latest` points at. inputs: raw files or folders
    below an allowed root, or addresses in an object store. out: name of the parquet file among the job's outputs.
    calibrated: whether the file has a second column, `calibrated`.
    """

    model: Name
    version: VersionNumber | None = None
    inputs: Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)]
    out: Name = "scores.parquet"
    calibrated: bool = Field(default=False, strict=True)


S = TypeVar("S", bound=BaseModel)


def parse_train_spec(values: Mapping[str, Any], prefix: str = "spec") -> TrainSpec:
    """Read a train spec.

    Raises:
        ConfigError: a setting is unknown or breaks a rule; `path` names it below `prefix`.
    """
    return _parse_with_config(TrainSpec, values, prefix)


def parse_plan_request(values: Mapping[str, Any]) -> PlanRequest:
    """Read the body of a dry run. Raises ConfigError."""
    return _parse_with_config(PlanRequest, values, "")


def _parse_with_config(model: type[S], values: Mapping[str, Any], prefix: str) -> S:
    """Read settings of our own beside the library's, which stand on the same level."""
    own = set(model.model_fields) - {"config"}
    for key in values:
        near = key not in own and difflib.get_close_matches(key, own, cutoff=0.6)
        if near and key not in TrainConfig.model_fields:
            raise unknown_name("setting", key, own, path=_join(prefix, key))
    try:
        config = parse_config({key: value for key, value in values.items() if key not in own})
    except ConfigError as error:
        raise ConfigError(error.message, path=_join(prefix, error.path)) from error
    return parse_spec(model, {**{key: values[key] for key in own & set(values)}, "config": config}, prefix)


def parse_spec(model: type[S], values: Mapping[str, Any], prefix: str = "spec") -> S:
    """Read a spec of any other kind. Raises ConfigError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"] if part not in ("list", "range"))
        if first["type"] == "extra_forbidden":
            raise unknown_name("setting", path, model.model_fields, path=_join(prefix, path)) from error
        text = first["msg"].removeprefix("Value error, ")
        where = f"`{path}` breaks a rule: " if path else "The settings break a rule: "
        raise ConfigError(f"{where}{text}.", path=_join(prefix, path)) from error


def parse_prepare_spec(values: Mapping[str, Any], prefix: str = "spec") -> PrepareSpec:
    """Read a prepare spec, whose preset must exist, and whose schema must allow the split. Raises ConfigError."""
    spec = parse_spec(PrepareSpec, values, prefix)
    try:
        check_split(spec.declared, spec.split, spec.split_column)
        check_negative_rate(spec.declared, spec.negative_rate)
    except ConfigError as error:
        raise ConfigError(error.message, path=_join(prefix, error.path or "preset")) from error
    if spec.max_bad_rows is not None:
        try:
            BadRowLimit.parse(spec.max_bad_rows)
        except ConfigError as error:
            raise ConfigError(error.message, path=_join(prefix, error.path)) from error
    return spec


def existing_files(
    given: Sequence[str], roots: Sequence[Path], field: str, stored_roots: Sequence[Address] = ()
) -> list[Path | Address]:
    """The files that a spec names; a folder stands for those that lie in it (`ctrfast.data.sources`).

    An address in an object store, or a pattern of such, stays as it is, once there is something at it.

    Raises:
        PathNotAllowedError: one is outside the allowed folders, or is an address of anything but a file.
        DataError: one does not exist.
    """
    found: list[Path | Address] = []
    for index, name in enumerate(given):
        place = f"{field}.{index}"
        if stored_roots and is_stored(name):
            found.append(_existing_address(name, stored_roots, place))
            continue
        path = allowed_path(_local_path(name, place), roots, place)
        if not path.exists():
            raise DataError(f"There is no file at {name!r}.", path=place)
        try:
            files = local_files(path)
        except DataError as error:
            raise DataError(f"The folder {name!r} holds no raw file.", path=place) from error
        found += [allowed_path(str(file), roots, place) for file in files]  # a link may lead elsewhere
    return found


def _existing_address(name: str, roots: Sequence[Address], field: str) -> Address:
    address = allowed_address(name, roots, field)
    try:
        find_sources([str(address)])
    except DataError as error:
        raise DataError(error.message, path=field) from error
    return address


def _local_path(name: str, field: str) -> str:
    """The path that an address of this machine names; what is no address is one already."""
    if not is_address(name):
        return name
    parts = urlsplit(name)
    if parts.scheme.lower() != "file" or parts.netloc or parts.query or parts.fragment:
        raise PathNotAllowedError(
            urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")), field
        )
    return unquote(parts.path)


def _join(prefix: str, path: str | None) -> str:
    return ".".join(part for part in (prefix, path) if part)
