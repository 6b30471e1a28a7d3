"""Liveness, readiness and Prometheus metrics."""

from __future__ import annotations

import os

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from service.answers import Alive, Ready
from service.dependencies import ServicesDep, problems
from service.problems import NotReadyError, database_unavailable

router = APIRouter(tags=["operations"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> Alive:
    """The process answers."""
    return Alive()


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses=problems(503))
def readyz(services: ServicesDep) -> Ready:
    """Database and storage can be used. 503: one cannot."""
    try:
        current = services.database.is_current()
    except SQLAlchemyError as error:
        raise database_unavailable() from error
    if not current:
        raise NotReadyError("The database has other tables than this version needs. Run `ctrfast-service migrate`.")
    if not os.access(services.settings.home_dir, os.W_OK):
        raise NotReadyError("The storage folder cannot be written.")
    return Ready(checks={"database": "ok", "storage": "ok"})


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(services: ServicesDep) -> Response:
    """Metrics in Prometheus' text format."""
    return Response(services.telemetry.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})
