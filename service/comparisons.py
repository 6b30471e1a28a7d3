"""Trainings side by side (`ctrfast.comparison`), from their runs: settings, plan, and the scores that they kept.

A training keeps its test scores at its end, so the API compares without TensorFlow and without the dataset. Runs that
lie in an object store are fetched for it, but for their checkpoints. Tests of millions of rows take seconds and a few
hundred MB, so one comparison is made at a time.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

from ctrfast.comparison import ComparedRun, Comparison, check_names, compare_runs
from ctrfast.errors import ArtifactError
from ctrfast.run import Run
from service.assignments import run_without_weights
from service.jobs import JobStore
from service.one_at_a_time import OneAtATime
from service.problems import BadValueError, NoReportError, NotReportedError
from service.settings import Settings
from service.states import Kind, State


class Comparisons:
    """Compares train jobs of one project."""

    def __init__(self, settings: Settings, jobs: JobStore) -> None:
        self._settings = settings
        self._jobs = jobs
        self._turns = OneAtATime("Another comparison")

    def of(self, project: str) -> Self:
        """Those of another project. They take turns with all others."""
        other = copy.copy(self)
        other._jobs = self._jobs.of(project)
        return other

    def compare(self, job_ids: Sequence[str]) -> Comparison:
        """Compare trainings with the first one.

        Raises:
            ConfigError: too few or too many, or one of them twice.
            NotFoundError: there is no such job. BadValueError: it is no training.
            NotReportedError: it has not succeeded. NoReportError: the files of its run are not to be had.
            StoreUnavailableError: the object store does not answer.
            NotReadyError: another comparison is being made.
        """
        check_names(job_ids)
        for job_id in job_ids:
            self._check(job_id)
        with self._turns.turn():
            return compare_runs([self._run(job_id) for job_id in job_ids])

    def _check(self, job_id: str) -> None:
        job = self._jobs.get(job_id)
        if job.kind != Kind.TRAIN:
            raise BadValueError(f"Trainings can be compared. The job {job_id!r} is of the kind {job.kind}.")
        if job.state != State.SUCCEEDED:
            raise NotReportedError(State(job.state))

    def _run(self, job_id: str) -> ComparedRun:
        try:
            with run_without_weights(self._settings, job_id) as folder:
                return ComparedRun.of(Run.open(folder), job_id)
        except ArtifactError as error:
            message = f"The files of the run of job {job_id!r} are not on this server, or were changed."
            raise NoReportError(message) from error
