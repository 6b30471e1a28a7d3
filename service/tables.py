"""The database's tables, the same on SQLite and PostgreSQL.

Times are seconds since 1970, UTC. A job's `attempt` is its fencing token: it grows with each claim, and a worker's
write names the attempt that it was given.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service.projects import DEFAULT_PROJECT

Json = JSON().with_variant(JSONB(), "postgresql")
JsonOrNull = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Name = String(64)
ProjectName = String(32)
Time = Float(53)


class Base(DeclarativeBase):
    """Root of the tables; constraint names are fixed so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Job(Base):
    """One job of a project.

    last_seq counts its events, log_events those of them that repeat its log. attempts_left: runs that failures may
    still cost. not_before: the end of a retry's back-off. pausing: its worker is asked to stop it and keep its work.
    labels never change; `JobLabel` finds them. webhook: a `service.options.Webhook`. parent_id: the sweep that made it.
    waits_for_children: a sweep whose children have not ended; it holds no worker (`service.families`).
    """

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("owner", "idempotency_key"),
        Index(None, "state", "id"),
        Index(None, "kind", "id"),
        Index(None, "project", "id"),
        Index(None, "parent_id", "id"),
        Index(None, "parent_id", "state", "id"),  # counts a sweep's runs by state without looking at them
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    spec: Mapped[dict[str, Any]] = mapped_column(Json)
    owner: Mapped[str] = mapped_column(String(32), default="")
    project: Mapped[str] = mapped_column(ProjectName, server_default=DEFAULT_PROJECT)
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    fingerprint: Mapped[str] = mapped_column(String(64))
    progress: Mapped[float] = mapped_column(Time, default=0.0)
    eta_s: Mapped[float | None] = mapped_column(Time)
    metrics: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    result: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    reason: Mapped[str | None] = mapped_column(String(16))
    message: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    attempts_left: Mapped[int] = mapped_column(Integer)
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[float | None] = mapped_column(Time)
    last_seq: Mapped[int] = mapped_column(Integer, default=0)
    priority: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    deadline_s: Mapped[float | None] = mapped_column(Time)
    deadline_at: Mapped[float | None] = mapped_column(Time)
    not_before: Mapped[float] = mapped_column(Time, default=0.0, server_default="0")
    pausing: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    labels: Mapped[dict[str, str]] = mapped_column(Json, default=dict, server_default="{}")
    log_events: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    webhook: Mapped[dict[str, Any] | None] = mapped_column(JsonOrNull)
    parent_id: Mapped[str | None] = mapped_column(String(32))
    waits_for_children: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    created_at: Mapped[float] = mapped_column(Time)
    started_at: Mapped[float | None] = mapped_column(Time)
    finished_at: Mapped[float | None] = mapped_column(Time)


Index(None, Job.state, Job.waits_for_children, Job.priority.desc(), Job.id)  # the queue, in its order

JobRow = Job | SimpleNamespace  # a job as an object that can be changed, or values of its columns alone


class JobLabel(Base):
    """One label of a job, for looking jobs up by it."""

    __tablename__ = "job_labels"
    __table_args__ = (Index(None, "key", "value", "job_id"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(Name, primary_key=True)
    value: Mapped[str] = mapped_column(String(100))


class Event(Base):
    """One thing that happened to a job; `seq` counts from 1 within the job, without gaps."""

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(String(16))
    data: Mapped[dict[str, Any]] = mapped_column(Json)
    at: Mapped[float] = mapped_column(Time)


class MetricSummary(Base):
    """Metric records of a stretch of a job's events, thinned out (`service.metric_summaries`).

    level: says how many events the stretch has. left_out: by metric, how many values `records` lack.
    """

    __tablename__ = "metric_summaries"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    level: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    first_seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    records: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    left_out: Mapped[dict[str, int]] = mapped_column(Json)


class WebhookRow(Base):
    """An event that a job's webhook is told, written with the event and removed with it.

    next_at: when it is tried next, None once that is over. delivered_at: when the receiver took it.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        ForeignKeyConstraint(["job_id", "seq"], ["events.job_id", "events.seq"], ondelete="CASCADE"),
        Index(None, "next_at"),
    )

    job_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    next_at: Mapped[float | None] = mapped_column(Time)
    delivered_at: Mapped[float | None] = mapped_column(Time)
    last_error: Mapped[str | None] = mapped_column(Text)


class WorkerRow(Base):
    """A worker that is there. kind: of the job that it runs now, if any. rss_bytes: its memory and its child's."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    kind: Mapped[str | None] = mapped_column(String(16))
    rss_bytes: Mapped[int] = mapped_column(BigInteger)
    seen_at: Mapped[float] = mapped_column(Time)


class DatasetRow(Base):
    """A registered dataset. path: its folder, or its address. rows, label_rate: by split. table_rows: V."""

    __tablename__ = "datasets"

    project: Mapped[str] = mapped_column(ProjectName, primary_key=True, default=DEFAULT_PROJECT)
    name: Mapped[str] = mapped_column(Name, primary_key=True)
    path: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(String(64))
    preset: Mapped[str] = mapped_column(Name)
    rows: Mapped[dict[str, Any]] = mapped_column(Json)
    label_rate: Mapped[dict[str, Any]] = mapped_column(Json)
    table_rows: Mapped[int] = mapped_column(Integer)
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    created_at: Mapped[float] = mapped_column(Time)


class ModelRow(Base):
    """A model's name; `last_version` only grows, so a number is never given twice. traffic: `service.traffic`."""

    __tablename__ = "models"

    project: Mapped[str] = mapped_column(ProjectName, primary_key=True, default=DEFAULT_PROJECT)
    name: Mapped[str] = mapped_column(Name, primary_key=True)
    last_version: Mapped[int] = mapped_column(Integer, default=0)
    traffic: Mapped[dict[str, Any] | None] = mapped_column(JsonOrNull)
    created_at: Mapped[float] = mapped_column(Time)


class VersionRow(Base):
    """One published bundle. A row is written with its folder, and outlives it.

    verdict: of the gates (`service.gates`). removed_at: when its folder was given up.
    """

    __tablename__ = "model_versions"
    __table_args__ = (ForeignKeyConstraint(["project", "name"], ["models.project", "models.name"], ondelete="CASCADE"),)

    project: Mapped[str] = mapped_column(ProjectName, primary_key=True, default=DEFAULT_PROJECT)
    name: Mapped[str] = mapped_column(Name, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    sha256: Mapped[str] = mapped_column(String(64))
    metrics: Mapped[dict[str, Any]] = mapped_column(Json)
    verdict: Mapped[dict[str, Any] | None] = mapped_column(JsonOrNull)
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    removed_at: Mapped[float | None] = mapped_column(Time)
    created_at: Mapped[float] = mapped_column(Time)


class AliasRow(Base):
    """A movable name of a version.

    Each publication that passes its gates moves `latest`, also after somebody has moved it; any other name stays where
    it was put.
    """

    __tablename__ = "aliases"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project", "name", "version"],
            ["model_versions.project", "model_versions.name", "model_versions.version"],
            ondelete="CASCADE",
        ),
    )

    project: Mapped[str] = mapped_column(ProjectName, primary_key=True, default=DEFAULT_PROJECT)
    name: Mapped[str] = mapped_column(Name, primary_key=True)
    alias: Mapped[str] = mapped_column(Name, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    updated_at: Mapped[float] = mapped_column(Time)


class AliasMove(Base):
    """One move of an alias; the newest one of an alias says where it is. caller: key id. job_id: that published."""

    __tablename__ = "alias_moves"
    __table_args__ = (
        ForeignKeyConstraint(["project", "name"], ["models.project", "models.name"], ondelete="CASCADE"),
        Index(None, "project", "name", "alias", "id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    project: Mapped[str] = mapped_column(ProjectName)
    name: Mapped[str] = mapped_column(Name)
    alias: Mapped[str] = mapped_column(Name)
    from_version: Mapped[int | None] = mapped_column(Integer)
    to_version: Mapped[int] = mapped_column(Integer)
    caller: Mapped[str] = mapped_column(String(32), default="")
    job_id: Mapped[str | None] = mapped_column(String(32))
    at: Mapped[float] = mapped_column(Time)


class RegistryChanges(Base):
    """One row that counts what API processes must notice: moved aliases, new traffic, removed versions."""

    __tablename__ = "registry_changes"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(Integer)


class ShadowRow(Base):
    """How the scores of a shadow differ from those that were answered: sums (`service.shadow_sums`)."""

    __tablename__ = "shadow_figures"
    __table_args__ = (ForeignKeyConstraint(["project", "name"], ["models.project", "models.name"], ondelete="CASCADE"),)

    project: Mapped[str] = mapped_column(ProjectName, primary_key=True, default=DEFAULT_PROJECT)
    name: Mapped[str] = mapped_column(Name, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    shadow_version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    sums: Mapped[dict[str, Any]] = mapped_column(Json)
    updated_at: Mapped[float] = mapped_column(Time)


class ApiKeyRow(Base):
    """An API key: the argon2 hash of its secret; the secret itself is shown once and kept nowhere.

    scopes: names with a space between (`service.access.Right`).
    """

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    hash: Mapped[str] = mapped_column(Text)
    project: Mapped[str] = mapped_column(ProjectName, server_default=DEFAULT_PROJECT)
    scopes: Mapped[str] = mapped_column(Text, server_default="")
    created_at: Mapped[float] = mapped_column(Time)
    expires_at: Mapped[float | None] = mapped_column(Time)
    revoked_at: Mapped[float | None] = mapped_column(Time)
    last_used_at: Mapped[float | None] = mapped_column(Time)


class BrowserSessionRow(Base):
    """A browser that signed in with a key (`service.browser_sessions`). token_hash: sha256 of its cookie."""

    __tablename__ = "browser_sessions"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    created_at: Mapped[float] = mapped_column(Time)
    expires_at: Mapped[float] = mapped_column(Time)


class AuditRow(Base):
    """Who did what: one state-changing request, or one act of key administration (method `CLI`).

    caller: the key's id, empty for a local caller without one.
    """

    __tablename__ = "audit"
    __table_args__ = (Index(None, "project", "id"), Index(None, "at"))

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[float] = mapped_column(Time)
    caller: Mapped[str] = mapped_column(String(32))
    project: Mapped[str] = mapped_column(ProjectName)
    method: Mapped[str] = mapped_column(String(16))
    route: Mapped[str] = mapped_column(String(128))
    target: Mapped[str] = mapped_column(String(255))
    status: Mapped[int] = mapped_column(Integer)
    request_id: Mapped[str] = mapped_column(String(64))
