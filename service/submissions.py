"""Submitting a job: everything that can be known to be wrong is refused before the job exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctrfast.config import TrainConfig
from ctrfast.errors import ConfigError, CtrFastError, unknown_name
from ctrfast.preflight import examine, examine_files, refuse
from ctrfast.sweep.checks import check_points
from ctrfast.sweep.grid import points_to_check
from service.datasets import DatasetStore
from service.jobs import JobStore
from service.new_jobs import new_job_id
from service.options import NO_OPTIONS, JobOptions
from service.problems import (
    BadValueError,
    NameTakenError,
    NotFoundError,
    ServiceError,
    VersionRemovedError,
)
from service.registry import Registry
from service.seals import described
from service.settings import Settings
from service.specs import (
    EvaluateSpec,
    ScoreSpec,
    existing_files,
    parse_prepare_spec,
    parse_spec,
    parse_train_spec,
)
from service.states import Kind, State
from service.sweep_specs import first_train_spec, parse_sweep_spec
from service.tables import DatasetRow, Job
from service.traces import NO_TRACES, Traces
from service.webhook_checks import check_webhook


@dataclass(frozen=True)
class Submissions:
    """Checks specs against the registers, then queues."""

    settings: Settings
    jobs: JobStore
    datasets: DatasetStore
    registry: Registry
    traces: Traces = NO_TRACES

    def of(self, project: str) -> Submissions:
        """Submissions into another project."""
        inside = (self.jobs.of(project), self.datasets.of(project), self.registry.of(project))
        return Submissions(self.settings, *inside, self.traces)

    def submit(
        self,
        kind: str,
        spec: Mapping[str, Any],
        *,
        owner: str,
        key: str | None,
        prefix: str = "spec",
        options: JobOptions = NO_OPTIONS,
    ) -> tuple[Job, bool]:
        """Queue a job.

        Returns: the job, and whether an earlier request with this key made it.

        Raises:
            IdempotencyConflictError, NameTakenError, NotAvailableError, PathNotAllowedError, QueueFullError,
            CtrFastError: see the routes.
        """
        with self.traces.span("submit") as span:
            job, replayed = self._submit(kind, spec, owner, key, prefix, options, span.traceparent)
            span.note({"ctrfast.job.id": job.id, "ctrfast.job.kind": job.kind})
            return job, replayed

    def _submit(
        self,
        kind: str,
        spec: Mapping[str, Any],
        owner: str,
        key: str | None,
        prefix: str,
        options: JobOptions,
        traceparent: str | None,
    ) -> tuple[Job, bool]:
        twin = self.jobs.find_twin(kind, spec, owner, key, options)
        if twin is not None:
            return twin, True
        try:
            if options.webhook is not None:
                check_webhook(options.webhook.url, self.jobs.project, self.settings)
            self.check(kind, spec, prefix)
        except (ServiceError, CtrFastError):
            twin = self.jobs.find_twin(kind, spec, owner, key, options)
            if twin is None:
                raise
            return twin, True  # submitted at the same moment, it took the name that this one asks for
        job_id = new_job_id()
        children = parse_sweep_spec(spec, prefix).child_specs() if kind == Kind.SWEEP else ()
        job = self.jobs.enqueue(
            Kind(kind),
            spec,
            owner=owner,
            key=key,
            options=options,
            job_id=job_id,
            children=children,
            traceparent=traceparent,
        )
        return job, job.id != job_id

    def check(self, kind: str, spec: Mapping[str, Any], prefix: str = "spec") -> None:
        """Refuse a spec that cannot succeed."""
        if kind not in set(Kind):
            raise unknown_name("kind", kind, [*Kind], path="kind")
        {
            Kind.TRAIN: self._check_train,
            Kind.PREPARE: self._check_prepare,
            Kind.EVALUATE: self._check_evaluate,
            Kind.SCORE: self._check_score,
            Kind.SWEEP: self._check_sweep,
        }[Kind(kind)](spec, prefix)

    def _check_train(self, values: Mapping[str, Any], prefix: str) -> None:
        spec = parse_train_spec(values, prefix)
        dataset = self._dataset(spec.dataset, f"{prefix}.dataset")
        _refuse_by_preflight(dataset, spec.config, prefix)
        if spec.warm_start is not None:
            start = spec.warm_start
            self._check_run(start.job, start.model, start.version, f"{prefix}.warm_start")

    def _check_prepare(self, values: Mapping[str, Any], prefix: str) -> None:
        spec = parse_prepare_spec(values, prefix)
        if self.datasets.find(spec.name) is not None:
            raise NameTakenError(
                f"The dataset {spec.name!r} exists already. Choose another name.", path=f"{prefix}.name"
            )
        if self.jobs.is_preparing(spec.name):
            raise NameTakenError(
                f"Another job prepares the dataset {spec.name!r} now. Wait for it, cancel it, or choose another name.",
                path=f"{prefix}.name",
            )
        if spec.vocabulary_from is not None:
            self._dataset(spec.vocabulary_from, f"{prefix}.vocabulary_from")
        existing_files(spec.raw, self.settings.roots, f"{prefix}.raw", self.settings.stored_roots)

    def _check_evaluate(self, values: Mapping[str, Any], prefix: str) -> None:
        spec = parse_spec(EvaluateSpec, values, prefix)
        dataset = self._dataset(spec.dataset, f"{prefix}.dataset")
        if not dataset.rows[spec.split]:
            raise ConfigError(
                f"The dataset {spec.dataset!r} has no rows in its split {spec.split!r}.", path=f"{prefix}.split"
            )
        self._check_run(spec.job, spec.model, spec.version, prefix)

    def _check_run(self, job_id: str | None, model: str | None, version: int | None, prefix: str) -> None:
        """Refuse a job without a finished run, and a model or version that does not exist."""
        if model is not None:
            self._model(model, version, prefix)
            return
        try:
            job = self.jobs.get(job_id or "")
        except NotFoundError as error:
            raise BadValueError(error.detail, path=f"{prefix}.job") from error
        if job.kind != Kind.TRAIN or job.state != State.SUCCEEDED:
            raise BadValueError(f"The job {job_id!r} is not a train job that succeeded.", path=f"{prefix}.job")

    def _check_score(self, values: Mapping[str, Any], prefix: str) -> None:
        spec = parse_spec(ScoreSpec, values, prefix)
        self._model(spec.model, spec.version, prefix)
        if spec.version is not None:
            self._require_files(spec.model, spec.version, f"{prefix}.version")
        existing_files(spec.inputs, self.settings.roots, f"{prefix}.inputs", self.settings.stored_roots)

    def _check_sweep(self, values: Mapping[str, Any], prefix: str) -> None:
        spec = parse_sweep_spec(values, prefix)
        points, most = spec.first_points, self.settings.max_queued
        if len(points) > most:
            raise ConfigError(
                f"The grid must have at most as many points as jobs may wait, {most:,}. Got {len(points):,}.",
                path=f"{prefix}.grid",
            )
        first = first_train_spec(spec, prefix)
        dataset = self._dataset(first.dataset, f"{prefix}.base.dataset")
        try:
            with described(dataset) as (opened, with_files):
                to_check = points_to_check(spec.config)
                if with_files:
                    refuse(examine_files(opened, to_check[0].config))
                check_points(opened, to_check)
        except CtrFastError as error:
            at_fault = error.path or "dataset"
            error.path = f"{prefix}.{at_fault if at_fault.startswith(('base', 'grid')) else f'base.{at_fault}'}"
            raise
        if (start := first.warm_start) is not None:
            self._check_run(start.job, start.model, start.version, f"{prefix}.base.warm_start")

    def _require_files(self, model: str, version: int, path: str) -> None:
        try:
            self.registry.live_version(model, version)
        except VersionRemovedError as error:
            raise BadValueError(error.detail, path=path) from error

    def _dataset(self, name: str, path: str) -> DatasetRow:
        row = self.datasets.find(name)
        if row is None:
            raise unknown_entry("dataset", name, self.datasets.names(), path)
        return row

    def _model(self, name: str, version: int | None, prefix: str) -> None:
        names = self.registry.names()
        if name not in names:
            raise unknown_entry("model", name, names, f"{prefix}.model")
        if version is not None and version not in {row.version for row in self.registry.get(name).versions}:
            raise BadValueError(f"The model {name!r} has no version {version}.", path=f"{prefix}.version")


def unknown_entry(what: str, name: str, known: Sequence[str], path: str) -> ConfigError:
    """The error for a name that the request's body takes from a register; near names come first."""
    if not known:
        return ConfigError(f"Unknown {what} {name!r}. None is registered yet.", path=path)
    return unknown_name(what, name, known, path=path)


def _refuse_by_preflight(dataset: DatasetRow, config: TrainConfig, prefix: str) -> None:
    """Raise what would end the job; memory is not judged, since it may run elsewhere, or when others have ended."""
    try:
        with described(dataset) as (opened, with_files):
            if with_files:
                refuse(examine_files(opened, config))
            refuse(examine(opened, config))
    except CtrFastError as error:
        error.path = f"{prefix}.{error.path or 'dataset'}"
        raise
