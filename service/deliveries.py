"""Putting a job's product where readers find it, inside the transaction that ends the job.

The transaction has checked the fencing token and holds the job's row, so a product appears exactly if its job succeeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from service.assignments import BUNDLE, DATASET
from service.datasets import DatasetStore
from service.events import WARNING, append_notes
from service.gates import COMPARISON, Comparison, Gates, verdict_of
from service.leases import Lease
from service.places import store_of
from service.registry import LATEST, Registry
from service.settings import Settings
from service.specs import parse_prepare_spec, parse_train_spec
from service.states import Kind
from service.sweep_specs import SweepSpec
from service.tables import Job


class ChampionMovedError(Exception):
    """`latest` points at another version than the one that the model was compared with."""


class Deliveries:
    """Publishes models and registers datasets."""

    def __init__(self, settings: Settings, datasets: DatasetStore, registry: Registry) -> None:
        self._settings = settings
        self._datasets = datasets
        self._registry = registry

    def deliver(
        self, session: Session, lease: Lease, metrics: Mapping[str, Any], result: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Deliver what the job made; returns the job's result.

        Raises:
            ChampionMovedError: nothing was delivered; another attempt compares with the version that is there now.
        """
        folder = self._settings.job_folder(lease.job_id)
        if lease.kind is Kind.PREPARE:
            name = parse_prepare_spec(lease.spec).name
            store = store_of(self._settings)
            in_home = self._settings.dataset_folder(lease.project, name)
            target = in_home if store is None else store.datasets(lease.project, name)
            self._datasets.of(lease.project).deliver(session, name, folder / DATASET, target, lease.job_id)
            return {**result, "dataset": name}
        left = {name: value for name, value in result.items() if name != COMPARISON}
        comparison = Comparison.model_validate(result.get(COMPARISON, {}))
        if lease.kind is Kind.TRAIN and (spec := parse_train_spec(lease.spec)).publish_as is not None:
            gates = spec.gates or Gates()
            return {**left, **self._publish(session, lease, spec.publish_as, lease.job_id, gates, comparison, metrics)}
        if lease.kind is Kind.SWEEP and (sweep := SweepSpec.model_validate(lease.spec)).publish_best_as is not None:
            best = session.get_one(Job, lease.job_id).result["best"]
            gates = sweep.gates or Gates()
            published = self._publish(session, lease, sweep.publish_best_as, best, gates, comparison, metrics)
            return {**left, "best": best, **published}
        return dict(result)

    def _publish(
        self,
        session: Session,
        lease: Lease,
        model: str,
        trained_by: str,
        gates: Gates,
        comparison: Comparison,
        metrics: Mapping[str, Any],
    ) -> dict[str, Any]:
        registry = self._registry.of(lease.project)
        if registry.hold(session, model) != comparison.version and not gates.force:
            raise ChampionMovedError()
        verdict = verdict_of(gates, comparison)
        bundle = self._settings.job_folder(lease.job_id) / BUNDLE
        version = registry.publish(session, model, bundle, trained_by, metrics, verdict)
        if verdict["refused"]:
            warning = (
                f"Version {version} of the model {model!r} was stored, and {LATEST!r} stays on version "
                f"{comparison.version}, which is better. {' '.join(verdict['refused'])} "
                'Promote it by hand with `"force": true`, or train again.'
            )
            if comparison.note is not None:
                warning += f" The champion's figures are those of its own dataset: {comparison.note}"
            job = session.get_one(Job, lease.job_id)
            append_notes(session, job, WARNING, [warning], self._settings.max_log_events)
        published = {"version": version, "alias": None if verdict["refused"] else LATEST, **verdict}
        return {"model": model, "version": version, "published": published}
