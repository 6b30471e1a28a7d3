"""What the service answers, as frozen models. Members that a newer service adds are kept, and shown by `model_dump`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

FINAL_STATES = frozenset({"succeeded", "failed", "cancelled"})


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


class Job(_Answer):
    """A job. Times are UTC; `reason` and `message` say why it failed (docs/jobs.md).

    parent: the sweep that it is a run of. children: of a sweep, its runs by state.
    """

    id: str
    kind: str
    state: str
    progress: float
    eta_s: float | None
    metrics: dict[str, Any]
    result: dict[str, Any]
    reason: str | None
    message: str | None
    attempt: int
    spec: dict[str, Any]
    priority: int
    position: int | None
    pausing: bool
    labels: dict[str, str]
    parent: str | None = None
    children: dict[str, int] | None = None
    deadline_at: str | None
    not_before: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None

    @property
    def ended(self) -> bool:
        """It moves no more, unless it is retried."""
        return self.state in FINAL_STATES


class JobPage(_Answer):
    """Jobs, newest first. next_cursor: asks for the next page; None at the end."""

    jobs: tuple[Job, ...]
    next_cursor: str | None


class Dataset(_Answer):
    """A registered dataset. rows, label_rate: by split. job: that prepared it."""

    name: str
    hash: str
    preset: str
    rows: dict[str, int]
    label_rate: dict[str, float | None]
    table_rows: int
    job: str | None
    created_at: str


class ModelVersion(_Answer):
    """A published version. job: that trained it."""

    version: int
    sha256: str
    metrics: dict[str, Any]
    job: str | None
    created_at: str


class Model(_Answer):
    """A published model. versions: newest first. aliases: name -> version; `latest` is what is scored unless asked."""

    name: str
    versions: tuple[ModelVersion, ...]
    aliases: dict[str, int]


class Score(_Answer):
    """A click probability, and the same after the model's calibration.

    probabilities: by label, where the model has several; the other two are then the first one's.
    """

    probability: float
    calibrated: float
    probabilities: dict[str, float] | None = None


class Scores(_Answer):
    """Candidates' scores in the order of the request. unseen: by field, values that training did not see."""

    model: str
    version: int
    scores: tuple[Score, ...]
    unseen: dict[str, int]


class LogPart(_Answer):
    """Bytes of a job's log. next_offset: where the next part begins."""

    content: bytes
    next_offset: int


class JobEvent(_Answer):
    """Something that happened to a job. type: `state`, `progress`, `metric`, `log` or `warning`; data: what it says."""

    seq: int
    type: str
    data: dict[str, Any]
