"""The parts of one API process, built from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from service.audit import AuditLog
from service.database import Database
from service.datasets import DatasetStore
from service.jobs import JobStore
from service.keys import KeyStore
from service.leases import LeaseStore
from service.registry import Registry
from service.reports import ReportShelf
from service.settings import Settings
from service.shelf import Shelf
from service.submissions import Submissions
from service.telemetry import Telemetry


@dataclass(frozen=True)
class Services:
    """What routes work with."""

    settings: Settings
    database: Database
    jobs: JobStore
    leases: LeaseStore
    datasets: DatasetStore
    reports: ReportShelf
    registry: Registry
    submissions: Submissions
    shelf: Shelf
    keys: KeyStore
    audit: AuditLog
    telemetry: Telemetry

    @classmethod
    def build(cls, settings: Settings) -> Self:
        """Wire the parts; no connection is made yet."""
        database = Database(settings.url)
        jobs = JobStore(database, settings.max_attempts)
        datasets = DatasetStore(database)
        registry = Registry(database, settings)
        return cls(
            settings=settings,
            database=database,
            jobs=jobs,
            leases=LeaseStore(database, settings.lease_s),
            datasets=datasets,
            reports=ReportShelf(settings, datasets),
            registry=registry,
            submissions=Submissions(settings, jobs, datasets, registry),
            shelf=Shelf(registry, settings.alias_refresh_s, settings.max_loaded_models),
            keys=KeyStore(database),
            audit=AuditLog(database),
            telemetry=Telemetry(jobs.counts),
        )
