"""The API as an ASGI application: `create_app(settings)`; importing this module starts nothing.

It imports no TensorFlow: it starts in about a second, and training cannot bring it down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from ctrfast import __version__
from ctrfast.errors import CtrFastError
from service.access import require_right
from service.dependencies import problems
from service.guard import Guard
from service.leases import SWEEPS_PER_LEASE
from service.openapi import DescribedApi
from service.pages.routes import router as pages
from service.paths import without_server_paths
from service.problem_answers import library_problem, problem_response, service_problem
from service.problems import ServiceError, database_unavailable
from service.request_spans import RequestSpans
from service.routes import (
    architectures,
    audit,
    comparisons,
    datasets,
    docs,
    explanations,
    health,
    job_list,
    jobs,
    metric_series,
    model_traffic,
    models,
    open_inference,
    plans,
    published,
    records,
)
from service.scoring.endpoints import ScoringRoutes
from service.settings import Settings
from service.traces import NO_TRACES, Traces
from service.upkeep import keep_books
from service.webhooks import send_webhooks
from service.wiring import Services

log = logging.getLogger("service.api")

_CODES = {400: "malformed_json", 404: "not_found", 405: "method_not_allowed"}


def create_app(settings: Settings, traces: Traces = NO_TRACES) -> FastAPI:
    """Build the API.

    Args:
        settings: of the service. Where `require_key` is None an API key is demanded; `ctrfast-service` decides by the
            address that it binds.
        traces: where spans go; the caller closes it.
    """
    services = Services.build(settings, traces)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await services.shelf.look()  # before the first answer, so that `/readyz` knows what is to be loaded
        tasks = [
            asyncio.create_task(services.shelf.watch()),
            asyncio.create_task(_sweep_leases(services)),
            asyncio.create_task(keep_books(services)),
            asyncio.create_task(services.shadow.run()),
            asyncio.create_task(services.event_feed.watch()),
            *([asyncio.create_task(send_webhooks(services))] if settings.webhook_secret is not None else []),
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()  # their threads hold connections for a moment more
        services.database.dispose()

    app = DescribedApi(
        title="ctrfast",
        version=__version__,
        description="Large-batch CTR training jobs, a model registry and online scoring.",
        lifespan=lifespan,
        docs_url=None,  # the framework's page loads scripts from elsewhere; `routes.docs` has our own
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # they would hold paths, queries and bodies
        redirect_slashes=False,  # the framework would build the address from the caller's Host header
    )
    app.state.services = services
    asks_for_a_right = [Depends(require_right)]
    for module in (
        job_list,
        jobs,
        records,
        metric_series,
        comparisons,
        datasets,
        plans,
        published,
        architectures,
        models,
        model_traffic,
        explanations,
        open_inference,
        audit,
    ):
        app.include_router(module.router, responses=problems(401, 403, 422, 429), dependencies=asks_for_a_right)
    for router in (health.router, open_inference.health, docs.router):
        app.include_router(router, dependencies=asks_for_a_right)
    app.include_router(pages)  # asks for no right: its pages show what the routes above answer to the same caller
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(CtrFastError, _on_library_error)
    app.add_exception_handler(SQLAlchemyError, _on_database_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_middleware(ScoringRoutes, services=services)
    app.add_middleware(Guard, services=services, require_key=settings.require_key is not False)
    if traces.is_on:
        app.add_middleware(RequestSpans, traces=traces)
    return app


async def _sweep_leases(services: Services) -> None:
    """Notice lost workers even where no worker is left to notice."""
    while True:
        await asyncio.sleep(services.settings.lease_s / SWEEPS_PER_LEASE)
        try:
            await asyncio.to_thread(services.leases.sweep)
        except SQLAlchemyError as error:
            log.warning("lapsed leases cannot be looked for: %s", type(error).__name__)
        except Exception:  # the end of this task would leave lost jobs running for good
            log.exception("lapsed leases cannot be looked for")


def _request_id(request: Request) -> str | None:
    return getattr(request.state, "request_id", None)


def _on_service_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ServiceError):
        raise error
    return service_problem(error, _request_id(request))


def _on_library_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, CtrFastError):
        raise error
    return library_problem(error, without_server_paths(error.message), _request_id(request))


def _on_database_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, SQLAlchemyError):
        raise error
    request_id = _request_id(request)
    log.error("request %s: the database does not answer: %s", request_id, type(error).__name__)
    return service_problem(database_unavailable(), request_id)


def _on_invalid_request(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return problem_response(
            400,
            "malformed_json",
            "The body is not JSON",
            "The body cannot be read as JSON.",
            request_id=_request_id(request),
        )
    path = ".".join(str(part) for part in first["loc"][1:]) or None
    detail = f"`{path}` breaks a rule: {first['msg']}." if path else f"The body breaks a rule: {first['msg']}."
    return problem_response(
        422, "bad_request", "The request breaks a rule", detail, path=path, request_id=_request_id(request)
    )


def _on_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = error.status_code
    headers = {"Allow": _allowed_methods(request)} if status == 405 else error.headers
    return problem_response(
        status,
        _CODES.get(status, "http_error"),
        str(error.detail),
        f"{request.method} is not possible here." if status == 405 else f"{error.detail}.",
        request_id=_request_id(request),
        headers=headers,
    )


def _allowed_methods(request: Request) -> str:
    """All methods of the path; the framework names those of the first route that has it alone."""
    paths: dict[str, dict[str, object]] = request.app.openapi()["paths"]
    matching = [operations for path, operations in paths.items() if compile_path(path)[0].match(request.url.path)]
    return ", ".join(sorted({method.upper() for operations in matching for method in operations}))
