"""A finished run, opened to be looked at on a dataset of its own vocabulary."""

from __future__ import annotations

from pathlib import Path

from ctrfast.data.shards import Dataset
from ctrfast.errors import DataError
from ctrfast.run import Run


def open_run_on(run: Path | str, dataset: Dataset) -> Run:
    """The run of a folder.

    Raises:
        ArtifactError: the run cannot be used.
        DataError: the dataset has another vocabulary.
    """
    finished = Run.open(Path(run))
    if dataset.fitted.hash != finished.encoder().fitted.hash:
        raise DataError(f"The dataset {dataset.path} has another vocabulary than the run {run}. Give the run's own.")
    return finished
