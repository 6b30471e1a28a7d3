"""The parts of one API process, built from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from service.audit import AuditLog
from service.browser_sessions import BrowserSessionStore
from service.comparisons import Comparisons
from service.database import Database
from service.datasets import DatasetStore
from service.event_feed import EventFeed
from service.job_figures import FigureStore
from service.jobs import JobStore
from service.keys import KeyStore
from service.leases import LeaseStore
from service.pointers import PointerStore
from service.registry import Registry
from service.reports import ReportShelf
from service.settings import Settings
from service.shadow import ShadowScorer
from service.shadow_store import ShadowStore
from service.shelf import Shelf
from service.submissions import Submissions
from service.telemetry import Telemetry
from service.traces import NO_TRACES, Traces
from service.traffic_store import TrafficStore
from service.version_removal import VersionRemoval
from service.worker_roll import WorkerRoll

if TYPE_CHECKING:
    from service.oidc import TokenVerifier


@dataclass(frozen=True)
class Services:
    """What routes work with."""

    settings: Settings
    database: Database
    jobs: JobStore
    event_feed: EventFeed
    leases: LeaseStore
    datasets: DatasetStore
    reports: ReportShelf
    comparisons: Comparisons
    registry: Registry
    submissions: Submissions
    shelf: Shelf
    traffic: TrafficStore
    shadow: ShadowScorer
    shadow_store: ShadowStore
    removal: VersionRemoval
    keys: KeyStore
    browser_sessions: BrowserSessionStore
    audit: AuditLog
    tokens: TokenVerifier | None
    workers: WorkerRoll
    telemetry: Telemetry

    @classmethod
    def build(cls, settings: Settings, traces: Traces = NO_TRACES) -> Self:
        """Wire the parts; no connection is made yet."""
        database = Database(settings.url)
        jobs = JobStore(database, settings)
        datasets = DatasetStore(database)
        registry = Registry(database, settings)
        roll = WorkerRoll(database)
        telemetry = Telemetry(FigureStore(database, jobs, roll, settings.lease_s).read)
        shelf = Shelf(
            registry,
            PointerStore(database),
            telemetry,
            settings.alias_refresh_s,
            settings.max_loaded_models,
            settings.keep_loaded_s,
        )
        shadow_store = ShadowStore(database)
        return cls(
            settings=settings,
            database=database,
            jobs=jobs,
            event_feed=EventFeed(jobs),
            leases=LeaseStore(database, settings),
            datasets=datasets,
            reports=ReportShelf(settings, datasets),
            comparisons=Comparisons(settings, jobs),
            registry=registry,
            submissions=Submissions(settings, jobs, datasets, registry, traces),
            shelf=shelf,
            traffic=TrafficStore(database, settings),
            shadow=ShadowScorer(shelf, shadow_store, telemetry.registry),
            shadow_store=shadow_store,
            removal=VersionRemoval(database, settings),
            keys=KeyStore(database),
            browser_sessions=BrowserSessionStore(database),
            audit=AuditLog(database),
            tokens=_token_verifier(settings),
            workers=roll,
            telemetry=telemetry,
        )


def _token_verifier(settings: Settings) -> TokenVerifier | None:
    if settings.oidc_issuer is None or settings.oidc_audience is None or settings.oidc_jwks_url is None:
        return None
    from service.oidc import TokenVerifier  # needs the extra `oidc`

    return TokenVerifier(settings.oidc_issuer, settings.oidc_audience, settings.oidc_jwks_url)
