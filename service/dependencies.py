"""Named dependencies: a route's signature says what it needs.

None of them waits, so they are coroutines: the framework runs a plain function in another thread, each time anew.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request

from service.access import Caller
from service.comparisons import Comparisons
from service.datasets import DatasetStore
from service.event_feed import EventFeed
from service.jobs import JobStore
from service.problem_answers import Problem
from service.problems import NotFoundError
from service.registry import Registry
from service.reports import ReportShelf
from service.settings import Settings
from service.specs import LARGEST_VERSION, NAME_PATTERN
from service.submissions import Submissions
from service.wiring import Services

_NAME = re.compile(NAME_PATTERN.removeprefix("^").removesuffix("$"))


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


async def _settings(services: ServicesDep) -> Settings:
    return services.settings


async def _project(request: Request) -> str:
    caller: Caller = request.state.caller
    return caller.project


ProjectDep = Annotated[str, Depends(_project)]


async def _jobs(services: ServicesDep, project: ProjectDep) -> JobStore:
    return services.jobs.of(project)


async def _datasets(services: ServicesDep, project: ProjectDep) -> DatasetStore:
    return services.datasets.of(project)


async def _reports(services: ServicesDep, project: ProjectDep) -> ReportShelf:
    return services.reports.of(project)


async def _comparisons(services: ServicesDep, project: ProjectDep) -> Comparisons:
    return services.comparisons.of(project)


async def _registry(services: ServicesDep, project: ProjectDep) -> Registry:
    return services.registry.of(project)


async def _submissions(services: ServicesDep, project: ProjectDep) -> Submissions:
    return services.submissions.of(project)


async def _event_feed(services: ServicesDep) -> EventFeed:
    return services.event_feed


async def _caller(request: Request) -> str:
    caller: Caller = request.state.caller
    return caller.id


def known_form(what: str, name: str) -> str:
    """A name as names are written. Raises NotFoundError: nothing can be called so."""
    if not _NAME.fullmatch(name):
        raise NotFoundError(what, name[:100])
    return name


async def _model_name(name: str) -> str:
    return known_form("model", name)


async def _dataset_name(name: str) -> str:
    return known_form("dataset", name)


async def _alias(alias: str) -> str:
    return known_form("alias", alias)


async def _job_id(job_id: str) -> str:
    return known_form("job", job_id)


SettingsDep = Annotated[Settings, Depends(_settings)]
JobsDep = Annotated[JobStore, Depends(_jobs)]
DatasetsDep = Annotated[DatasetStore, Depends(_datasets)]
ReportsDep = Annotated[ReportShelf, Depends(_reports)]
ComparisonsDep = Annotated[Comparisons, Depends(_comparisons)]
RegistryDep = Annotated[Registry, Depends(_registry)]
SubmissionsDep = Annotated[Submissions, Depends(_submissions)]
EventFeedDep = Annotated[EventFeed, Depends(_event_feed)]
CallerDep = Annotated[str, Depends(_caller)]
ModelName = Annotated[str, Depends(_model_name)]
DatasetName = Annotated[str, Depends(_dataset_name)]
AliasName = Annotated[str, Depends(_alias)]
JobId = Annotated[str, Depends(_job_id)]
Version = Annotated[int, Path(ge=1, le=LARGEST_VERSION)]
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries of a route's refusals."""
    return {
        status: {"model": Problem, "content": {"application/problem+json": {}}, "description": "Problem (RFC 9457)"}
        for status in statuses
    }
