"""Open Inference Protocol v2: health and metadata. `service.scoring` has its inference."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError

from ctrfast import __version__
from service.dependencies import ModelName, ProjectDep, ServicesDep, Version, problems
from service.inference_answers import InferenceModel, InferenceServer, Live, ModelIsReady, ServerIsReady
from service.problems import NotReadyError, database_unavailable
from service.readiness import models_to_load
from service.registry import LATEST
from service.scoring.open_inference import EXTENSIONS

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
health = APIRouter(prefix="/v2/health", tags=["open inference protocol"])  # asks for no key


@health.get("/live")
async def live() -> Live:
    """The process answers."""
    return Live()


@health.get("/ready", responses=problems(503))
def ready(services: ServicesDep) -> ServerIsReady:
    """Models can be scored: the database, which knows them, can be asked, and those in use are loaded. 503: not yet."""
    try:
        unfit = services.database.unfit()
    except SQLAlchemyError as error:
        raise database_unavailable() from error
    if unfit is not None:
        raise NotReadyError(unfit)
    if (loads := models_to_load(services)) is not None:
        raise NotReadyError(f"models: {loads}")
    return ServerIsReady()


@router.get("")
async def server_metadata() -> InferenceServer:
    """Name, version and extensions of the server."""
    return InferenceServer(name="ctrfast", version=__version__, extensions=list(EXTENSIONS))


@router.get("/models/{name}", responses=problems(404, 410, 503))
async def model_metadata(name: ModelName, services: ServicesDep, project: ProjectDep) -> InferenceModel:
    """Inputs and outputs of the version that `latest` points at."""
    return InferenceModel.of(await services.shelf.by_alias(project, name, LATEST))


@router.get("/models/{name}/versions/{version}", responses=problems(404, 410, 422, 503))
async def version_metadata(
    name: ModelName, version: Version, services: ServicesDep, project: ProjectDep
) -> InferenceModel:
    """Inputs and outputs of one version."""
    return InferenceModel.of(await services.shelf.by_version(project, name, version))


@router.get("/models/{name}/ready", responses=problems(404, 410, 503))
async def model_ready(name: ModelName, services: ServicesDep, project: ProjectDep) -> ModelIsReady:
    """The version that `latest` points at can score. 503: it cannot be loaded."""
    await services.shelf.by_alias(project, name, LATEST)
    return ModelIsReady(name=name)


@router.get("/models/{name}/versions/{version}/ready", responses=problems(404, 410, 422, 503))
async def version_ready(name: ModelName, version: Version, services: ServicesDep, project: ProjectDep) -> ModelIsReady:
    """One version can score. 503: it cannot be loaded."""
    await services.shelf.by_version(project, name, version)
    return ModelIsReady(name=name)
