"""What came of an attempt: the child's messages gathered, and any error as a reason of the closed list.

| error                            | reason        |
| ConfigError, NameTakenError ...  | bad_config    |
| DataError, ArtifactError         | bad_data      |
| TrainingError                    | nan_loss      |
| MemoryError                      | out_of_memory |
| StorageError, OSError: disk full | storage       |
| WorkerLostError                  | worker_lost   |
| anything else                    | internal      |
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import Any

from ctrfast.errors import (
    ArtifactError,
    ConfigError,
    CtrFastError,
    DataError,
    StorageError,
    TrainingError,
    WorkerLostError,
)
from ctrfast.machine_memory import is_out_of_memory
from ctrfast.storage import is_full
from service.leases import Report
from service.paths import without_server_paths
from service.problems import NotFoundError, ServiceError
from service.states import Reason

_MAX_MESSAGE = 2000
_MAX_WARNINGS = 1000  # between two renewals of the lease


class Outcome(enum.Enum):
    """How a child said that it ended."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    PRUNED = "pruned"


def failure_of(error: BaseException, given: Mapping[str, str] | None = None) -> tuple[Reason, str]:
    """Name the reason and the message of an error, without the server's paths.

    Args:
        error: what ended the work.
        given: resolved path -> what the caller wrote.
    """
    if isinstance(error, ServiceError):
        return (Reason.BAD_DATA if isinstance(error, NotFoundError) else Reason.BAD_CONFIG), error.detail
    if isinstance(error, CtrFastError):
        return _library_reason(error), without_server_paths(error.message, given)[:_MAX_MESSAGE]
    if is_out_of_memory(error):
        return Reason.OUT_OF_MEMORY, "The job needs more memory than there is. Choose a smaller batch or table."
    if isinstance(error, OSError) and is_full(error):
        return Reason.STORAGE, f"The job's results cannot be stored: {error.strerror}."
    return Reason.INTERNAL, f"An unexpected {type(error).__name__} ended the job. The log has the details."


def _library_reason(error: CtrFastError) -> Reason:
    if isinstance(error, ConfigError):
        return Reason.BAD_CONFIG
    if isinstance(error, DataError | ArtifactError):
        return Reason.BAD_DATA
    if isinstance(error, TrainingError):
        return Reason.NAN_LOSS
    if isinstance(error, StorageError):
        return Reason.STORAGE
    if isinstance(error, WorkerLostError):
        return Reason.WORKER_LOST
    return Reason.INTERNAL


class Transcript:
    """What a child has said: a report that is not written yet, and its last word."""

    def __init__(self) -> None:
        self.report = Report()
        self.outcome: Outcome | None = None
        self.metrics: dict[str, Any] = {}
        self.result: dict[str, Any] = {}
        self.reason = Reason.INTERNAL
        self.message = ""

    def add(self, message: Mapping[str, Any]) -> None:
        """Take in one message; one that is not understood is left out."""
        kind = message.get("type")
        if kind == "progress":
            self._add_progress(message)
        elif kind == "metric":
            if record := _finite(message.get("record")):
                self.report.records.append(record)
        elif kind == "warning":
            if len(self.report.warnings) < _MAX_WARNINGS:
                self.report.warnings.append(str(message.get("message", ""))[:_MAX_MESSAGE])
        elif kind == "done":
            self.outcome = Outcome.DONE
            self.metrics, self.result = _finite(message.get("metrics")), _finite(message.get("result"))
        elif kind == "failed":
            self.outcome = Outcome.FAILED
            self.message = str(message.get("message", ""))[:_MAX_MESSAGE]
            if message.get("reason") in set(Reason):
                self.reason = Reason(message["reason"])
        elif kind == "stopped":
            self.outcome = Outcome.STOPPED
        elif kind == "pruned":
            self.outcome = Outcome.PRUNED
            self.message = str(message.get("message", ""))[:_MAX_MESSAGE]

    def take_report(self) -> Report:
        """The report so far; a new one begins."""
        report, self.report = self.report, Report()
        return report

    def _add_progress(self, message: Mapping[str, Any]) -> None:
        report = self.report
        progress, eta = _number(message.get("progress")), _number(message.get("eta_s"))
        if progress is not None:
            report.progress, report.eta_s = min(max(progress, 0.0), 1.0), eta
            report.facts = _finite(message.get("facts"))
        report.metrics.update(_finite(message.get("metrics")))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _finite(value: object) -> dict[str, Any]:
    """A flat copy in which what no database can keep (NaN, infinity) is None."""
    if not isinstance(value, Mapping):
        return {}
    return {
        str(key): None if isinstance(entry, float) and not math.isfinite(entry) else entry
        for key, entry in value.items()
    }
