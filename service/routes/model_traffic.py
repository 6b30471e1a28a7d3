"""Which versions of a model its traffic meets, and how a shadow compares."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import APIRouter

from service.dependencies import ModelName, ProjectDep, ServicesDep, problems
from service.json_bodies import JsonRoute
from service.model_answers import ShadowComparison, ShadowPublic
from service.problems import NotFoundError
from service.traffic import Traffic

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=JsonRoute)


@router.get("/{name}/traffic", responses=problems(404))
def get_traffic(name: ModelName, services: ServicesDep, project: ProjectDep) -> Traffic:
    """How requests that name no version and no alias are shared out; without settings, `latest` answers all."""
    return services.traffic.of(project).get(name)


@router.put("/{name}/traffic", responses=problems(400, 404, 422, 503))
async def put_traffic(name: ModelName, request: Traffic, services: ServicesDep, project: ProjectDep) -> Traffic:
    """Split traffic over aliases, set a shadow, or take both away (`{}`). API processes notice within a second.

    422: an alias or the field does not exist, or the shares do not add up to 1. 503: a version cannot be served.
    """
    for alias in request.aliases:  # loaded before the first request that it answers
        with suppress(NotFoundError):  # `put` tells which one, and where it stands
            await services.shelf.by_alias(project, name, alias)
    await asyncio.to_thread(services.traffic.of(project).put, name, request)
    return request


@router.get("/{name}/shadow", responses=problems(404))
async def get_shadow(name: ModelName, services: ServicesDep, project: ProjectDep) -> ShadowPublic:
    """How the scores of shadows differ from those that were answered; other API processes' news are seconds old."""
    await services.shadow.flush()
    rows = await asyncio.to_thread(services.shadow_store.read, name, project)
    return ShadowPublic(model=name, comparisons=[ShadowComparison.of(row) for row in rows])
