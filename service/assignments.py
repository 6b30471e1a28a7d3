"""What a worker hands to the process that does a job: names resolved to folders, nothing left to look up.

The child has no database. It reads one assignment from its standard input, then one line for each renewed lease; it
writes messages, one JSON object per line, to a pipe whose number is its last argument:

    {"type": "progress", "progress": 0.5, "eta_s": 12.0, "facts": {"step": 100}, "metrics": {"loss": 0.45}}
    {"type": "metric", "record": {"epoch": 0, "step": 100, "loss": 0.45}}
    {"type": "warning", "message": "..."}
    {"type": "done", "metrics": {"test_auc": 0.78}, "result": {}}
    {"type": "failed", "reason": "bad_data", "message": "..."}
    {"type": "stopped"}
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ctrfast.run import CHECKPOINTS, RECEIPT
from ctrfast.store.address import Address
from service.datasets import DatasetStore
from service.jobs import JobStore
from service.leases import Lease
from service.places import Place, folder_of, place_of, store_of
from service.problems import EventsExpiredError
from service.pruned_runs import bars
from service.registry import LATEST, Registry
from service.settings import Settings
from service.specs import (
    EvaluateSpec,
    ScoreSpec,
    TrainSpec,
    existing_files,
    parse_prepare_spec,
    parse_spec,
    parse_train_spec,
)
from service.states import Kind, State
from service.sweep_specs import SweepSpec
from service.taken_runs import same_training

RUN, BUNDLE, DATASET, OUTPUTS, LOG = "run", "bundle", "dataset", "outputs", "log.txt"


def run_of(settings: Settings, job_id: str) -> Place:
    """Where a train job's run lies: in HOME, or in the object store."""
    store = store_of(settings)
    return settings.job_folder(job_id) / RUN if store is None else store.run(job_id)


def run_without_weights(settings: Settings, job_id: str) -> AbstractContextManager[Path]:
    """A folder with a train job's run, but for its checkpoints; for one in the object store, a local view.

    Raises:
        ArtifactError: it is not in the store, or was changed. ConfigError, StoreUnavailableError: of the store.
    """
    return folder_of(run_of(settings, job_id), lambda name: not name.startswith(f"{CHECKPOINTS}/"))


class Champion(BaseModel):
    """The version behind `latest`, which a model that is to be published is compared with. metrics: of its run."""

    model_config = ConfigDict(frozen=True)

    version: int
    bundle: Place
    sha256: str
    metrics: dict[str, Any]


class Targets(BaseModel):
    """Where a job's process publishes in the object store: its run and outputs, and below there a bundle or dataset."""

    model_config = ConfigDict(frozen=True)

    run: Address
    outputs: Address
    product: Address | None = None


class Assignment(BaseModel):
    """One attempt at a job.

    given: resolved path -> what the caller wrote, for messages. traceparent: the attempt's span (`service.traces`).
    dataset_hash, bundle_sha256: what the registers hold. version: of the bundle. targets: None where all lies in HOME.
    twin: a job that was asked for the same training, and has a run on this server. bars: the validation AUC that a run
    of a sweep must have at the end of each epoch, so as not to be pruned.
    """

    model_config = ConfigDict(frozen=True)

    job_id: str
    attempt: int
    kind: Kind
    spec: dict[str, Any]
    folder: Path
    parent: int
    lease_s: float
    dataset: Place | None = None
    dataset_hash: str | None = None
    run: Place | None = None
    bundle: Place | None = None
    bundle_sha256: str | None = None
    version: int | None = None
    targets: Targets | None = None
    champion: Champion | None = None
    twin: str | None = None
    bars: dict[int, float] = {}
    files: tuple[Place, ...] = ()
    given: dict[str, str] = {}
    traceparent: str | None = None


class Assigner:
    """Resolves a claimed job's spec against the registers as they are now."""

    def __init__(self, settings: Settings, jobs: JobStore, datasets: DatasetStore, registry: Registry) -> None:
        self._settings = settings
        self._store = store_of(settings)
        self._jobs = jobs
        self._datasets = datasets
        self._registry = registry

    def of(self, project: str) -> Assigner:
        """One that sees another project's things."""
        return Assigner(self._settings, self._jobs.of(project), self._datasets.of(project), self._registry.of(project))

    def assign(self, lease: Lease) -> Assignment:
        """The assignment of a claimed job.

        Raises:
            CtrFastError, ServiceError: something that the spec names has gone since it was submitted.
        """
        inside = self.of(lease.project)
        resolved = {
            Kind.TRAIN: inside._train,
            Kind.PREPARE: inside._prepare,
            Kind.EVALUATE: inside._evaluate,
            Kind.SCORE: inside._score,
            Kind.SWEEP: inside._sweep,
        }[lease.kind](lease)
        return Assignment(
            job_id=lease.job_id,
            attempt=lease.attempt,
            kind=lease.kind,
            spec=dict(lease.spec),
            folder=self._settings.job_folder(lease.job_id),
            parent=os.getpid(),
            lease_s=self._settings.lease_s,
            targets=self._targets(lease),
            **resolved,
        )

    def _targets(self, lease: Lease) -> Targets | None:
        store = self._store
        if store is None:
            return None
        name: str | None = None
        if lease.kind is Kind.TRAIN:
            name = parse_train_spec(lease.spec).publish_as
        elif lease.kind is Kind.SWEEP:
            name = SweepSpec.model_validate(lease.spec).publish_best_as
        product = None if name is None else store.bundles(lease.project, name)
        if lease.kind is Kind.PREPARE:
            product = store.datasets(lease.project, parse_prepare_spec(lease.spec).name)
        return Targets(run=store.run(lease.job_id), outputs=store.outputs(lease.job_id), product=product)

    def _train(self, lease: Lease) -> dict[str, Any]:
        spec = parse_train_spec(lease.spec)
        start = spec.warm_start
        return {
            **self._dataset(spec.dataset),
            "run": self._run(start.job, start.model, start.version) if start is not None else None,
            "champion": self._champion(spec.publish_as) if spec.publish_as is not None else None,
            "twin": self._twin(spec) if lease.parent_id is not None else None,
            "bars": self._bars(lease.parent_id, spec.dataset) if lease.parent_id is not None else {},
        }

    def _bars(self, sweep_id: str, dataset: str) -> dict[int, float]:
        if SweepSpec.model_validate(self._jobs.get(sweep_id).spec).prune is None:
            return {}
        done = {run.id: run for run in self._jobs.runs_of(sweep_id) if run.state == State.SUCCEEDED}
        rows = int(self._datasets.get(dataset).rows["train"])
        series = {}
        for job in done:
            with suppress(EventsExpiredError):  # a run that nothing is left of holds nobody back
                series[job] = self._jobs.metric_series(job)[0]
        return bars(series, {job: run.spec for job, run in done.items()}, rows)

    def _twin(self, spec: TrainSpec) -> str | None:
        same = same_training(spec, self._jobs.trainings_on(spec.dataset))
        return next((job for job in same if (self._settings.job_folder(job) / RUN / RECEIPT).is_file()), None)

    def _prepare(self, lease: Lease) -> dict[str, Any]:
        spec = parse_prepare_spec(lease.spec)
        return {
            **self._files(spec.raw, "spec.raw"),
            **(self._dataset(spec.vocabulary_from) if spec.vocabulary_from is not None else {}),
        }

    def _evaluate(self, lease: Lease) -> dict[str, Any]:
        spec = parse_spec(EvaluateSpec, lease.spec)
        return {**self._dataset(spec.dataset), "run": self._run(spec.job, spec.model, spec.version)}

    def _score(self, lease: Lease) -> dict[str, Any]:
        spec = parse_spec(ScoreSpec, lease.spec)
        version = self._version(spec.model, spec.version)
        row = self._registry.live_version(spec.model, version)
        return {
            "bundle": self._registry.place(spec.model, row),
            "bundle_sha256": row.sha256,
            "version": version,
            **self._files(spec.inputs, "spec.inputs"),
        }

    def _sweep(self, lease: Lease) -> dict[str, Any]:
        """All runs have succeeded; what is left is to publish the best."""
        spec = SweepSpec.model_validate(lease.spec)
        return {
            **self._dataset(spec.base["dataset"]),
            "run": self._run(self._jobs.get(lease.job_id).result["best"], None, None),
            "champion": self._champion(spec.publish_best_as) if spec.publish_best_as is not None else None,
        }

    def _dataset(self, name: str) -> dict[str, Any]:
        row = self._datasets.get(name)
        return {"dataset": place_of(row.path), "dataset_hash": row.hash}

    def _run(self, job: str | None, model: str | None, version: int | None) -> Place:
        """The run of a train job, or the one that a published model came from."""
        if model is not None:
            job = self._registry.get_version(model, self._version(model, version)).job_id
        return run_of(self._settings, self._jobs.get(job or "").id)

    def _champion(self, model: str) -> Champion | None:
        row = self._registry.champion(model)
        if row is None:
            return None
        place = self._registry.place(model, row)
        return Champion(version=row.version, bundle=place, sha256=row.sha256, metrics=row.metrics)

    def _version(self, model: str, version: int | None) -> int:
        return version if version is not None else self._registry.get(model).aliases[LATEST]

    def _files(self, names: tuple[str, ...], field: str) -> dict[str, Any]:
        files: list[Place] = []
        given: dict[str, str] = {}
        for index, name in enumerate(names):
            found = existing_files(names[index : index + 1], self._settings.roots, field, self._settings.stored_roots)
            files += found
            given |= {str(file): name if len(found) == 1 else f"{name.rstrip('/')}/{file.name}" for file in found}
        return {"files": tuple(files), "given": given}
