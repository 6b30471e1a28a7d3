"""The model registry: what is published, and where aliases point."""

from __future__ import annotations

from fastapi import APIRouter

from service.answers import AliasPublic, AliasPut, ModelList, ModelPublic
from service.dependencies import AliasName, ModelName, ProjectDep, RegistryDep, ServicesDep, Version, problems
from service.json_bodies import JsonRoute

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=JsonRoute)


@router.get("")
def list_models(registry: RegistryDep) -> ModelList:
    """All models."""
    return ModelList(models=[ModelPublic.of(model) for model in registry.all()])


@router.get("/{name}", responses=problems(404))
def get_model(name: ModelName, registry: RegistryDep) -> ModelPublic:
    """One model, in TensorFlow Serving's model-status form."""
    return ModelPublic.of(registry.get(name))


@router.get("/{name}/versions/{version}", responses=problems(404, 422))
def get_version(name: ModelName, version: Version, registry: RegistryDep) -> ModelPublic:
    """One version, in TensorFlow Serving's model-status form."""
    registry.get_version(name, version)
    return ModelPublic.of(registry.get(name), only=version)


@router.put("/{name}/aliases/{alias}", responses=problems(400, 404, 409, 422))
async def put_alias(
    name: ModelName, alias: AliasName, request: AliasPut, services: ServicesDep, project: ProjectDep
) -> AliasPublic:
    """Promote or roll back: the version is loaded and verified, then the alias moves. 409: it cannot be served.

    The next publication moves `latest` on. To pin a version, score through an alias of your own.
    """
    await services.shelf.promote(project, name, alias, request.version)
    return AliasPublic(model=name, alias=alias, version=request.version)
