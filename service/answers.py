"""Bodies of requests and answers of the administrative routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from ctrfast.memory import MemoryEstimate
from ctrfast.optim.scaling import Plan
from ctrfast.preflight import TimeEstimate
from service.options import JobOptions
from service.registry import Model
from service.specs import Name, VersionNumber
from service.tables import DatasetRow, VersionRow
from service.times import iso_time, iso_time_or_none


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


_TRAIN: JsonDict = {"dataset": "criteo", "model": {"name": "deepfm"}, "batch_size": 1024, "publish_as": "ctr"}
_SWEEP: JsonDict = {
    "base": {"dataset": "criteo", "epochs": 2},
    "grid": {"scaling.rule": ["none", "cowclip"], "batch_size": [1024, 2048], "seed": [1, 2, 3]},
    "publish_best_as": "ctr",
}


class JobCreate(JobOptions):
    """A job to queue. `spec` depends on the kind (`service.specs`, `service.sweep_specs`)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "train", "spec": _TRAIN}, {"kind": "sweep", "spec": _SWEEP}]}
    )

    kind: str
    spec: dict[str, Any]


class MetricSeries(BaseModel):
    """Metric records in order: `step`, `epoch` and what was measured then; later ones are events after `last_seq`."""

    series: list[dict[str, Any]]
    last_seq: int


class DatasetCreate(_Request):
    """Register a prepared dataset (`path`) or prepare one from raw files (`prepare`): exactly one of the two."""

    name: Annotated[Name, Field(examples=["clicks"])]
    path: str | None = Field(default=None, min_length=1, max_length=4096)
    prepare: dict[str, Any] | None = Field(
        default=None, examples=[{"raw": ["clicks.tsv.gz"], "preset": "criteo", "min_count": 2, "split": "sequential"}]
    )


class DatasetPublic(BaseModel):
    """A registered dataset. rows, label_rate: by split. table_rows: of the fused embedding table."""

    name: str
    hash: str
    preset: str
    rows: dict[str, int]
    label_rate: dict[str, float | None]
    table_rows: int
    job: str | None
    created_at: str

    @classmethod
    def of(cls, row: DatasetRow) -> Self:
        """A row as an answer."""
        return cls(
            name=row.name,
            hash=row.hash,
            preset=row.preset,
            rows=row.rows,
            label_rate=row.label_rate,
            table_rows=row.table_rows,
            job=row.job_id,
            created_at=iso_time(row.created_at),
        )


class DatasetList(BaseModel):
    """All datasets, by name."""

    datasets: list[DatasetPublic]


class StatusCode(BaseModel):
    """TensorFlow Serving's status: `OK`, or what is wrong."""

    error_code: str = "OK"
    error_message: str = ""


class VersionStatus(BaseModel):
    """TensorFlow Serving's state of a version; it writes the number as text."""

    version: str
    state: str = "AVAILABLE"
    status: StatusCode = StatusCode()

    @classmethod
    def of(cls, row: VersionRow, on_disk: bool, refusal: str | None) -> Self:
        """A version that can be loaded when it is asked for, one whose folder is gone, or whose last load failed.

        refusal: why that failed.
        """
        if on_disk and refusal is None:
            return cls(version=str(row.version))
        if on_disk:
            status = StatusCode(error_code="UNAVAILABLE", error_message=refusal or "")
        else:
            message = "The version's files are missing." if row.removed_at is None else "The version was removed."
            status = StatusCode(error_code="NOT_FOUND", error_message=message)
        return cls(version=str(row.version), state="END", status=status)


class VersionPublic(BaseModel):
    """A published version. sha256: of the bundle's manifest, which holds those of all its files.

    verdict: of its gates (`service.gates`). removed_at: since when its files are gone.
    """

    version: int
    sha256: str
    metrics: dict[str, Any]
    verdict: dict[str, Any] | None
    job: str | None
    created_at: str
    removed_at: str | None

    @classmethod
    def of(cls, row: VersionRow) -> Self:
        """A row as an answer."""
        return cls(
            version=row.version,
            sha256=row.sha256,
            metrics=row.metrics,
            verdict=row.verdict,
            job=row.job_id,
            created_at=iso_time(row.created_at),
            removed_at=iso_time_or_none(row.removed_at),
        )


class ModelPublic(BaseModel):
    """A model: TensorFlow Serving's `model_version_status` (newest first), and what the registry knows besides."""

    name: str
    model_version_status: list[VersionStatus]
    versions: list[VersionPublic]
    aliases: dict[str, int]

    @classmethod
    def of(cls, model: Model, refusal: Callable[[int], str | None], only: int | None = None) -> Self:
        """A model as an answer, with all versions or one. refusal: why the last load of a version failed."""
        rows = [row for row in reversed(model.versions) if only is None or row.version == only]
        return cls(
            name=model.name,
            model_version_status=[
                VersionStatus.of(row, row.version in model.on_disk, refusal(row.version)) for row in rows
            ],
            versions=[VersionPublic.of(row) for row in rows],
            aliases={alias: version for alias, version in model.aliases.items() if only is None or version == only},
        )


class ModelList(BaseModel):
    """All models, by name."""

    models: list[ModelPublic]


class AliasPut(_Request):
    """The version that an alias should point at. force: `latest` also on one that its gates refused."""

    version: Annotated[VersionNumber, Field(examples=[1])]
    force: bool = Field(default=False, strict=True)


class AliasPublic(BaseModel):
    """Where an alias points."""

    model: str
    alias: str
    version: int


class FieldBytes(BaseModel):
    """Rows of an id field in the embedding table, and bytes of their weights and moments."""

    rows: int
    bytes: int


class MemoryPublic(BaseModel):
    """Memory at a training's peak, an upper estimate (`ctrfast.memory`).

    table_rows, row_width: of the embedding table. table_bytes: its weights and moments.
    by_part: bytes that add up to total_bytes.
    """

    table_rows: int
    row_width: int
    table_bytes: int
    total_bytes: int
    by_part: dict[str, int]
    by_field: dict[str, FieldBytes]

    @classmethod
    def of(cls, needs: MemoryEstimate, row_width: int) -> Self:
        """An estimate as an answer."""
        return cls(
            table_rows=sum(field.rows for field in needs.by_field.values()),
            row_width=row_width,
            table_bytes=sum(field.bytes for field in needs.by_field.values()),
            total_bytes=needs.total_bytes,
            by_part=dict(needs.by_part),
            by_field={name: FieldBytes(**asdict(field)) for name, field in needs.by_field.items()},
        )


class Finding(BaseModel):
    """Something that a job with these settings would be refused for, or that is worth knowing."""

    level: str
    message: str
    path: str


class TimePublic(BaseModel):
    """Seconds of a training with its evaluations: a range, and what it rests on (`ctrfast.preflight`)."""

    steps: int
    seconds_per_step: float
    low_s: float
    high_s: float
    basis: str

    @classmethod
    def of(cls, needs: TimeEstimate) -> Self:
        """An estimate as an answer."""
        return cls(**asdict(needs))


class PlanPublic(BaseModel):
    """A dry run: what a train job with these settings would do.

    unseen: by id field and split, the share of values that training did not see, from a sample.
    """

    plan: Plan
    config: dict[str, Any]
    steps_per_epoch: int | None = None
    memory: MemoryPublic | None = None
    time: TimePublic | None = None
    unseen: dict[str, dict[str, float]] = {}
    findings: list[Finding] = []


class Ready(BaseModel):
    """The parts that were checked."""

    status: str = "ready"
    checks: Mapping[str, str]


class Alive(BaseModel):
    """The process answers."""

    status: str = "ok"
