"""What a pre-flight finds: errors that refuse the run, warnings, and facts worth knowing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ctrfast.errors import ConfigError, CtrFastError, DataError

DATASET = "dataset"


@dataclass(frozen=True)
class Finding:
    """level: an error would end the run.

    message: what is wrong, and the remedy. path: the setting, or `dataset` or `dataset.FIELD`.
    """

    level: Literal["error", "warning", "info"]
    message: str
    path: str


def found(check: Callable[[], None], path: str) -> Iterable[Finding]:
    """The error that a check raises, as a finding. path: of an error that names none."""
    try:
        check()
    except CtrFastError as error:
        yield Finding("error", error.message, error.path or path)


def refuse(findings: Iterable[Finding]) -> None:
    """Raise the first error.

    Raises:
        ConfigError: a setting is at fault. DataError: the dataset is.
    """
    for finding in findings:
        if finding.level == "error":
            is_of_data = finding.path.partition(".")[0] == DATASET
            raise (DataError if is_of_data else ConfigError)(finding.message, path=finding.path)
