"""The model registry: what is published, and where aliases point."""

from __future__ import annotations

from collections.abc import Container
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from service.answers import AliasPublic, AliasPut, ModelList, ModelPublic
from service.calibration_answers import VersionCalibration
from service.dependencies import (
    AliasName,
    CallerDep,
    ModelName,
    ProjectDep,
    RegistryDep,
    ServicesDep,
    SettingsDep,
    Version,
    problems,
)
from service.json_bodies import JsonRoute
from service.model_answers import AliasHistory, ModelMetadata
from service.places import is_small
from service.registry import LATEST, Model, Registry
from service.signatures import metadata_of
from service.wiring import Services

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=JsonRoute)


class _AnyMove(Container[int | None]):
    def __contains__(self, move: object) -> bool:
        return move is not None


@router.get("")
def list_models(registry: RegistryDep, services: ServicesDep, project: ProjectDep) -> ModelList:
    """All models."""
    return ModelList(models=[_answer(model, services, project) for model in registry.all()])


@router.get("/{name}", responses=problems(404))
def get_model(name: ModelName, registry: RegistryDep, services: ServicesDep, project: ProjectDep) -> ModelPublic:
    """One model, in TensorFlow Serving's model-status form."""
    return _answer(registry.get(name), services, project)


@router.get("/{name}/versions/{version}", responses=problems(404, 422))
def get_version(
    name: ModelName, version: Version, registry: RegistryDep, services: ServicesDep, project: ProjectDep
) -> ModelPublic:
    """One version, in TensorFlow Serving's model-status form."""
    registry.get_version(name, version)
    return _answer(registry.get(name), services, project, only=version)


@router.get("/{name}/labels/{alias}", responses=problems(404))
def get_label(
    name: ModelName, alias: AliasName, registry: RegistryDep, services: ServicesDep, project: ProjectDep
) -> ModelPublic:
    """The version that an alias points at, in TensorFlow Serving's model-status form."""
    return _answer(registry.get(name), services, project, only=registry.version_behind(name, alias))


@router.get("/{name}/metadata", responses=problems(404, 410, 503))
def get_metadata(name: ModelName, registry: RegistryDep) -> ModelMetadata:
    """What the version behind `latest` takes and gives, in TensorFlow Serving's form."""
    return _metadata(name, registry.version_behind(name, LATEST), registry)


@router.get("/{name}/versions/{version}/metadata", responses=problems(404, 410, 422, 503))
def get_version_metadata(name: ModelName, version: Version, registry: RegistryDep) -> ModelMetadata:
    """What a version takes and gives, in TensorFlow Serving's form."""
    return _metadata(name, version, registry)


@router.get("/{name}/labels/{alias}/metadata", responses=problems(404, 410, 503))
def get_label_metadata(name: ModelName, alias: AliasName, registry: RegistryDep) -> ModelMetadata:
    """What the version behind an alias takes and gives, in TensorFlow Serving's form."""
    return _metadata(name, registry.version_behind(name, alias), registry)


@router.get("/{name}/versions/{version}/calibration", responses=problems(404, 410, 422, 503))
def get_calibration(
    name: ModelName, version: Version, settings: SettingsDep, registry: RegistryDep
) -> VersionCalibration:
    """How a version was calibrated, and the reliability diagram of the test rows that its training kept."""
    return VersionCalibration.of(settings, registry, name, version)


@router.delete("/{name}/versions/{version}", status_code=204, responses=problems(404, 409, 410, 422))
def delete_version(name: ModelName, version: Version, services: ServicesDep, project: ProjectDep) -> None:
    """Remove a version's files; its row and metrics stay. 409: an alias points at it. 410: it was removed before."""
    services.removal.remove(project, name, version)


@router.get("/{name}/aliases/{alias}", responses=problems(404, 422))
def get_alias(
    name: ModelName,
    alias: AliasName,
    registry: RegistryDep,
    services: ServicesDep,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AliasHistory:
    """Where an alias points, and who moved it when, newest first. `ETag` is for `If-Match`."""
    moves = registry.history(name, alias, limit)
    response.headers["ETag"] = _etag(moves[0].id)
    return AliasHistory.of(moves, services.keys.names({move.caller for move in moves}))


@router.put("/{name}/aliases/{alias}", responses=problems(400, 404, 409, 410, 412, 422, 503))
async def put_alias(
    name: ModelName,
    alias: AliasName,
    request: AliasPut,
    services: ServicesDep,
    project: ProjectDep,
    caller: CallerDep,
    response: Response,
    if_match: Annotated[str | None, Header(max_length=1000)] = None,
) -> AliasPublic:
    """Promote or roll back: the version is loaded and verified, then the alias moves.

    409: its gates refused it and `force` is not set. 410: it was removed. 412: the alias has moved since the `ETag` of
    `If-Match` was read. 503: it cannot be served. The next publication that passes its gates moves `latest` on; to pin
    a version, score through an alias of your own.
    """
    expected = _expected(if_match)
    move = await services.shelf.promote(
        project, name, alias, request.version, caller=caller, force=request.force, expected=expected
    )
    response.headers["ETag"] = _etag(move)
    return AliasPublic(model=name, alias=alias, version=request.version)


def _answer(model: Model, services: Services, project: str, only: int | None = None) -> ModelPublic:
    return ModelPublic.of(model, partial(services.shelf.refusal, project, model.name), only)


def _metadata(name: str, version: int, registry: Registry) -> ModelMetadata:
    with registry.opened(name, version, is_small) as (folder, _):
        return metadata_of(name, version, folder)


def _etag(move: int) -> str:
    return f'"{move}"'


def _expected(if_match: str | None) -> Container[int | None] | None:
    """The moves that `If-Match` allows to be the newest; `*` allows any."""
    if if_match is None:
        return None
    if if_match.strip() == "*":
        return _AnyMove()
    tags = [tag.strip().strip('"') for tag in if_match.split(",")]
    return {int(tag) for tag in tags if tag.isascii() and tag.isdigit()}
