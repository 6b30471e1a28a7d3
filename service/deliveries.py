"""Putting a job's product where readers find it, inside the transaction that ends the job.

The transaction has checked the fencing token and holds the job's row, so a product appears exactly if its job succeeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from service.assignments import BUNDLE, DATASET
from service.datasets import DatasetStore
from service.leases import Lease
from service.registry import Registry
from service.settings import Settings
from service.specs import parse_prepare_spec, parse_train_spec
from service.states import Kind
from service.sweep_specs import parse_sweep_spec
from service.tables import Job


class Deliveries:
    """Publishes models and registers datasets."""

    def __init__(self, settings: Settings, datasets: DatasetStore, registry: Registry) -> None:
        self._settings = settings
        self._datasets = datasets
        self._registry = registry

    def deliver(
        self, session: Session, lease: Lease, metrics: Mapping[str, Any], result: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Deliver what the job made; returns the job's result."""
        folder = self._settings.job_folder(lease.job_id)
        if lease.kind is Kind.PREPARE:
            name = parse_prepare_spec(lease.spec).name
            target = self._settings.dataset_folder(lease.project, name)
            self._datasets.of(lease.project).deliver(session, name, folder / DATASET, target, lease.job_id)
            return {**result, "dataset": name}
        if lease.kind is Kind.TRAIN and (model := parse_train_spec(lease.spec).publish_as) is not None:
            registry = self._registry.of(lease.project)
            version = registry.publish(session, model, folder / BUNDLE, lease.job_id, metrics)
            return {**result, "model": model, "version": version}
        if lease.kind is Kind.SWEEP and (model := parse_sweep_spec(lease.spec).publish_best_as) is not None:
            best = session.get_one(Job, lease.job_id).result["best"]
            version = self._registry.of(lease.project).publish(session, model, folder / BUNDLE, best, metrics)
            return {**result, "best": best, "model": model, "version": version}
        return dict(result)
