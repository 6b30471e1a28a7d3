"""The exceptions of ctrfast, one tree.

    CtrFastError
    |-- ConfigError          a setting breaks a rule, or is unknown
    |-- DataError            raw rows, a dataset or a scoring request cannot be used
    |   `-- DamagedFileError a raw file cannot be read to its end
    |-- ArtifactError        a dataset, run, checkpoint or bundle is missing, incomplete or was changed
    |-- TrainingError        training cannot go on (loss no number or far too high, constant output, nothing learned)
    |-- StorageError         the disk is full or read-only
    |   `-- StoreUnavailableError the object store does not answer, or not now
    |-- WorkerLostError      processes of a cluster were lost, again and again, or cannot be had
    |-- DependencyError      an optional or conflicting package
    |-- Cancelled            somebody asked the work to stop
    `-- of ctrfast.client.problems: ProblemError, UnreachableError, JobFailedError

Each message is one sentence that states what must hold and what was received, then one of remedy. `code` is stable:
scripts and the REST service may rely on it. `path` names the setting or field that is at fault, where there is one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CtrFastError(Exception):
    """Base of every error that ctrfast raises on purpose."""

    code = "error"

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class ConfigError(CtrFastError):
    """A setting is unknown, has the wrong type, or breaks a rule."""

    code = "bad_config"


class DataError(CtrFastError):
    """Raw rows, a dataset or a scoring request cannot be used."""

    code = "bad_data"


class DamagedFileError(DataError):
    """A raw file cannot be read to its end."""


class ArtifactError(CtrFastError):
    """A folder that ctrfast wrote is missing, incomplete, or not as it was written."""

    code = "bad_artifact"


class TrainingError(CtrFastError):
    """Training cannot go on."""

    code = "nan_loss"


class StorageError(CtrFastError):
    """The disk takes no more."""

    code = "storage"


class StoreUnavailableError(StorageError):
    """The object store does not answer, or not now; trying again may help."""


class WorkerLostError(CtrFastError):
    """Workers of a cluster were lost, again and again, or cannot be had; trying again may help."""

    code = "worker_lost"


class DependencyError(CtrFastError):
    """A package is missing or conflicts."""

    code = "dependency"


class Cancelled(CtrFastError):  # noqa: N818 (an answer to a wish, not an error)
    """The caller asked the work to stop."""

    code = "cancelled"


def unknown_name(what: str, name: str, known: Iterable[str], *, path: str | None = None) -> ConfigError:
    """The error for a name that is not in a closed list; near names come first.

    Args:
        what: the kind of thing, for example "model".
        name: the name that was received.
        known: all names that exist.
        path: the setting at fault, for example "model.name".
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names)}."
    return ConfigError(f"Unknown {what} {name!r}. {hint}", path=path)
