"""Liveness, readiness and Prometheus metrics."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.answers import Alive, Ready
from service.dependencies import ServicesDep, problems
from service.readiness import check_parts

router = APIRouter(tags=["operations"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> Alive:
    """The process answers."""
    return Alive()


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses=problems(503))
def readyz(services: ServicesDep) -> Ready:
    """Database, storage, models and worker, each with `ok` or what is wrong. 503: one that is needed cannot be used."""
    return Ready(checks=check_parts(services))


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(services: ServicesDep) -> Response:
    """Metrics in Prometheus' text format."""
    return Response(services.telemetry.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})
