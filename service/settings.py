"""Settings of the service: one frozen model, read from the environment, nothing at import.

| variable                       | meaning                                                                            |
| CTRFAST_HOME                   | folder of database, jobs, models and datasets                                      |
| CTRFAST_ARTIFACTS              | `s3://bucket/prefix` for models, datasets and runs, where several hosts share them |
| CTRFAST_DATA_ROOTS             | folders that requests may name files in, `:` between; without it `HOME/data` alone |
| CTRFAST_DATABASE_URL           | SQLAlchemy URL; without it SQLite in `HOME/ctrfast.db`                             |
| CTRFAST_REQUIRE_KEY            | demand an API key on loopback too                                                  |
| CTRFAST_LEASE_S                | seconds after which a silent worker has lost its job                               |
| CTRFAST_HEARTBEAT_S            | seconds between two renewals of a lease; progress is written and wishes seen then  |
| CTRFAST_POLL_S                 | seconds between two looks of an idle worker into the queue                         |
| CTRFAST_CANCEL_GRACE_S         | seconds that a job has to save its work after a cancel, a pause or a deadline      |
| CTRFAST_SHUTDOWN_GRACE_S       | the same when the worker itself is told to stop                                    |
| CTRFAST_MAX_ATTEMPTS           | runs of one job before a failure that a retry can mend is its end                  |
| CTRFAST_RETRY_FIRST_S          | seconds that a job waits after its first such failure; each further one doubles it |
| CTRFAST_RETRY_MOST_S           | longest such wait                                                                  |
| CTRFAST_MAX_QUEUED             | most jobs that wait; beyond it a new one is refused with 429                       |
| CTRFAST_MAX_RUNNING_PER_KEY    | jobs of one API key that may run at once; without it any number                    |
| CTRFAST_MAX_BODY_BYTES         | largest request body                                                               |
| CTRFAST_MAX_INSTANCES          | most rows in one scoring request                                                   |
| CTRFAST_MAX_SCORING_REQUESTS   | most scoring requests under way; beyond it a further one is refused with 503       |
| CTRFAST_MAX_SCORING_ROWS       | most rows of theirs; a larger request is taken when nothing else is under way      |
| CTRFAST_ALIAS_REFRESH_S        | seconds after which another process's publication is noticed                       |
| CTRFAST_MAX_LOADED_MODELS      | model versions held in memory                                                      |
| CTRFAST_KEEP_LOADED_S          | seconds for which the version before is held besides, for a rollback at once       |
| CTRFAST_KEEP_VERSIONS          | newest versions of a model that are kept; all without; those behind an alias stay  |
| CTRFAST_KEEP_VERSIONS_DAYS     | days for which any version is kept                                                 |
| CTRFAST_BODY_TIMEOUT_S         | seconds within which a request's body must arrive                                  |
| CTRFAST_RATE_PER_S             | requests that one caller may send to one API process in a second; no limit without |
| CTRFAST_OIDC_ISSUER            | `iss` of bearer tokens that are taken beside keys (`service.oidc`)                 |
| CTRFAST_OIDC_AUDIENCE          | their `aud`; goes with the issuer                                                  |
| CTRFAST_OIDC_JWKS_URL          | https address of the issuer's public keys; goes with the issuer                    |
| CTRFAST_AUDIT_DAYS             | days after which an entry of the audit log is removed                              |
| CTRFAST_EVENT_RETENTION_DAYS   | days after a job's end at which its events are removed; kept without               |
| CTRFAST_MAX_LOG_EVENTS         | most log lines and warnings of one job that are events; its log file has all       |
| CTRFAST_WEBHOOK_SECRET         | what webhooks are signed with (`service.webhook_secrets`); no webhooks without     |
| CTRFAST_WEBHOOK_ALLOW_HTTP     | send them over plain HTTP too                                                      |
| CTRFAST_WEBHOOK_ALLOW_PRIVATE  | send them to loopback, private and other addresses that are not public too         |
| CTRFAST_WEBHOOK_MAX_TRIES      | how often one webhook is tried                                                     |
| CTRFAST_WEBHOOK_RETRY_FIRST_S  | seconds to wait after its first failure; each further one triples it               |
| CTRFAST_WEBHOOK_TIMEOUT_S      | seconds that a receiver has to answer                                              |
| CTRFAST_REQUIRE_WORKER         | `/readyz` fails without a living worker; `up` with workers sets it, if you do not  |
| CTRFAST_MIN_FREE_BYTES         | free space below which `/readyz` fails                                             |
| CTRFAST_LOG_LEVEL              | least level of the service's log: DEBUG, INFO, WARNING or ERROR                    |
| CTRFAST_LOG_FORMAT             | `console`, or `json`: an object per line                                           |

Data roots may be addresses too, `s3://bucket/prefix`: requests may then name datasets below them. The object store's
own variables, and those of the local cache, are in docs/storage.md.

A relative path in a request is looked up in each data root in turn. The database is not under the default root, so no
request can read it as data.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ctrfast.errors import ConfigError
from ctrfast.store.address import Address, is_stored
from service.projects import DEFAULT_PROJECT
from service.webhook_secrets import parse_secrets

_BETWEEN_ROOTS = re.compile(re.escape(os.pathsep) + "(?!//)")  # the colon of s3:// separates nothing
_CREDENTIALS = re.compile(r"s3://[^:@]*(?::(?![/.~]|s3://)[^@]*)?@")  # before splitting tears them apart
_DATABASES = frozenset({"sqlite", "sqlite+pysqlite", "postgresql", "postgres", "postgresql+psycopg"})

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """All settings of API and workers. `require_key=None` leaves it to the bind address (`ctrfast-service`)."""

    model_config = SettingsConfigDict(env_prefix="CTRFAST_", frozen=True, extra="ignore")

    home: Path = Path("./var")
    artifacts: str | None = None
    data_roots: Annotated[tuple[Path | str, ...], NoDecode] = ()
    database_url: str | None = Field(default=None, repr=False)  # it may hold a password
    require_key: bool | None = None
    lease_s: Seconds = 20.0
    heartbeat_s: Seconds = 1.0
    poll_s: Seconds = 0.3
    cancel_grace_s: Seconds = 60.0
    shutdown_grace_s: Seconds = 8.0
    max_attempts: int = Field(default=4, ge=1, le=100)
    retry_first_s: Seconds = 1.0
    retry_most_s: Seconds = 60.0
    max_queued: int = Field(default=10_000, ge=1)
    max_running_per_key: int | None = Field(default=None, ge=1)
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    max_instances: int = Field(default=10_000, ge=1)
    max_scoring_requests: int = Field(default=1024, ge=1)
    max_scoring_rows: int = Field(default=50_000, ge=1)
    alias_refresh_s: Seconds = 0.5
    max_loaded_models: int = Field(default=8, ge=1)
    keep_loaded_s: Seconds = 300.0
    keep_versions: int | None = Field(default=None, ge=1)
    keep_versions_days: float = Field(default=7.0, ge=0, allow_inf_nan=False)
    body_timeout_s: Seconds = 60.0
    rate_per_s: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None
    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    oidc_jwks_url: str | None = None
    audit_days: int = Field(default=365, ge=1, le=36_500)
    event_retention_days: int | None = Field(default=None, ge=1, le=36_500)
    max_log_events: int = Field(default=10_000, ge=0, le=100_000)
    webhook_secret: str | None = Field(default=None, repr=False)
    webhook_allow_http: bool = False
    webhook_allow_private: bool = False
    webhook_max_tries: int = Field(default=10, ge=1, le=20)
    webhook_retry_first_s: Seconds = 5.0
    webhook_timeout_s: Seconds = 10.0
    require_worker: bool = False
    min_free_bytes: int = Field(default=100_000_000, ge=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"

    @field_validator("data_roots", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str) and _CREDENTIALS.search(value):
            raise ValueError("an address in an object store must hold neither credentials nor options")
        given = _BETWEEN_ROOTS.split(value) if isinstance(value, str) else value
        if not isinstance(given, list | tuple):
            return given
        return tuple(part if is_stored(part) else Path(part) for part in given if part)

    @field_validator("artifacts", "data_roots")
    @classmethod
    def _of_whole_addresses(cls, value: Any) -> Any:
        for given in value if isinstance(value, tuple) else (value,):
            try:
                if isinstance(given, str):
                    Address.parse(given)
            except ConfigError as error:
                raise ValueError(error.message.rstrip(".")) from None
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _of_a_known_database(cls, value: str | None) -> str | None:
        if value is not None and value.partition(":")[0] not in _DATABASES:
            raise ValueError(
                "it must begin with sqlite: or postgresql:, and name no database driver but psycopg"
            )  # the value may hold a password
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _of_whole_secrets(cls, value: str | None) -> str | None:
        if value is not None:
            parse_secrets(value)
        return value

    @field_validator("oidc_jwks_url")
    @classmethod
    def _of_an_encrypted_connection(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ValueError("it must begin with https:")  # whoever can change the answer can make tokens
        return value

    @model_validator(mode="after")
    def _oidc_is_whole(self) -> Self:
        given = [self.oidc_issuer, self.oidc_audience, self.oidc_jwks_url]
        if any(given) and not all(given):
            raise ValueError("`oidc_issuer`, `oidc_audience` and `oidc_jwks_url` go together: set all three, or none")
        return self

    @model_validator(mode="after")
    def _lease_outlives_heartbeat(self) -> Self:
        if self.heartbeat_s * 2 > self.lease_s:
            raise ValueError(
                "`lease_s` must be at least twice `heartbeat_s`. "
                f"Got lease_s={self.lease_s}, heartbeat_s={self.heartbeat_s}"
            )
        return self

    @model_validator(mode="after")
    def _waits_grow(self) -> Self:
        if self.retry_first_s > self.retry_most_s:
            raise ValueError(
                "`retry_most_s` must be at least `retry_first_s`. "
                f"Got retry_most_s={self.retry_most_s}, retry_first_s={self.retry_first_s}"
            )
        return self

    @property
    def home_dir(self) -> Path:
        """HOME, absolute, symbolic links followed."""
        return self.home.expanduser().resolve()

    @property
    def roots(self) -> tuple[Path, ...]:
        """The allowed folders, absolute, symbolic links followed."""
        given = self.data_roots or (self.home_dir / "data",)
        return tuple(root.expanduser().resolve() for root in given if isinstance(root, Path))

    @property
    def stored_roots(self) -> tuple[Address, ...]:
        """The allowed places in an object store."""
        return tuple(Address.parse(root) for root in self.data_roots if isinstance(root, str))

    @property
    def url(self) -> str:
        """The database's SQLAlchemy URL. A bare `postgresql:` URL takes psycopg 3."""
        if self.database_url is None:
            return f"sqlite:///{self.home_dir / 'ctrfast.db'}"
        for plain in ("postgresql://", "postgres://"):
            if self.database_url.startswith(plain):
                return "postgresql+psycopg://" + self.database_url.removeprefix(plain)
        return self.database_url

    def job_folder(self, job_id: str) -> Path:
        """Where a job keeps its run, log and outputs."""
        return self.home_dir / "jobs" / job_id

    def model_folder(self, project: str, name: str, version: int) -> Path:
        """Where a published version lies."""
        return self._project_dir(project) / "models" / name / str(version)

    def dataset_folder(self, project: str, name: str) -> Path:
        """Where a dataset that the service prepared lies."""
        return self._project_dir(project) / "datasets" / name

    def _project_dir(self, project: str) -> Path:
        return self.home_dir if project == DEFAULT_PROJECT else self.home_dir / "projects" / project

    @property
    def report_folder(self) -> Path:
        """Where data reports are kept, once they were asked for."""
        return self.home_dir / "reports"

    def make_folders(self) -> None:
        """Create HOME and its parts. Raises ConfigError: they cannot be made."""
        for part in ("jobs", "models", "datasets", "data"):
            folder = self.home_dir / part
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(
                    f"CTRFAST_HOME must name a folder that can be written. {folder} cannot be made: "
                    f"{error.strerror or error}."
                ) from error

    @property
    def missing_roots(self) -> tuple[Path, ...]:
        """Those of the folders in `data_roots` that are not there."""
        return tuple(root for root in self.roots if self.data_roots and not root.is_dir())
