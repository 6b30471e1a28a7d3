"""The scoring routes, as plain ASGI in front of the framework, whose own work takes longer than scoring a row.

POST /v1/models/{name}[/versions/{version}|/labels/{alias}]:predict      TensorFlow Serving; also Arrow IPC streams
POST /v1/score                                                           one context, many candidates
POST /v2/models/{name}[/versions/{version}]/infer                        Open Inference Protocol

`service.guard` has been passed when a request comes here. Beyond a number of requests, or of rows, under way a further
one is refused at once, so that those that were taken are answered in time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from service.access import Caller, needed_right
from service.dependencies import known_form
from service.problems import (
    BadValueError,
    MethodNotAllowedError,
    MissingScopeError,
    NotFoundError,
    OverloadedError,
)
from service.scoring.answers import predict_answer, score_answer, tensors
from service.scoring.arrow_bodies import MEDIA_TYPE as ARROW
from service.scoring.arrow_bodies import in_arrow, is_arrow, read_stream, write_stream
from service.scoring.bodies import Impressions, ScoreBody, read_score
from service.scoring.course import Course, Scored, Target
from service.scoring.open_inference import JSON_LENGTH, infer_answer, read_infer
from service.served import Served
from service.specs import LARGEST_VERSION
from service.wiring import Services

_MOST_PATHS, _LONGEST_PATH = 1024, 256  # remembered; a model has a few
_MODEL = "/v1/models/{name}"


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose caller may ask it."""

    project: str
    names: Mapping[str, str]  # of the path
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    content: bytes
    version: int
    media_type: str = "application/json"
    json_length: int | None = None  # where binary tensors follow it


Handler: TypeAlias = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class _Route:
    """path: the template, as the framework's routes have it."""

    path: str
    handler: Handler


class ScoringRoutes:
    """ASGI middleware: answers scoring requests, and hands on all others.

    Args:
        app: for other paths.
        services: models, settings and counters.
    """

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services
        self._settings = services.settings
        self._course = Course(services)
        self._requests = 0  # under way
        self._remembered: dict[str, tuple[_Route, Mapping[str, str]]] = {}
        self._routes = [
            (_pattern(path), _Route(path, handler))
            for path, handler in (
                (f"{_MODEL}:predict", self._predict),
                (f"{_MODEL}/versions/{{version}}:predict", self._predict),
                (f"{_MODEL}/labels/{{alias}}:predict", self._predict),
                ("/v1/score", self._score),
                ("/v2/models/{name}/infer", self._infer),
                ("/v2/models/{name}/versions/{version}/infer", self._infer),
            )
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        found = self._find(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        route, names = found
        scope["route"] = route
        if scope["method"] != "POST":
            raise MethodNotAllowedError(scope["method"], "POST")
        caller: Caller = scope["state"]["caller"]
        needed = needed_right("POST", route.path)
        if needed is not None and needed not in caller.rights:
            raise MissingScopeError(needed)
        if self._requests >= self._settings.max_scoring_requests:
            raise OverloadedError()
        self._requests += 1
        try:
            body = await _body(receive)
            answer = await route.handler(Call(caller.project, names, scope["state"]["headers"], body))
        finally:
            self._requests -= 1
        headers = [
            (b"content-type", answer.media_type.encode()),
            (b"content-length", b"%d" % len(answer.content)),
            (b"x-model-version", b"%d" % answer.version),
        ]
        if answer.json_length is not None:
            headers.append((JSON_LENGTH.encode(), b"%d" % answer.json_length))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})

    def _find(self, path: str) -> tuple[_Route, Mapping[str, str]] | None:
        if (known := self._remembered.get(path)) is not None:
            return known
        matches = ((pattern.fullmatch(path), route) for pattern, route in self._routes)
        found = next(((route, match.groupdict()) for match, route in matches if match), None)
        if found is not None and len(path) <= _LONGEST_PATH:
            if len(self._remembered) >= _MOST_PATHS:
                self._remembered.clear()
            self._remembered[path] = found
        return found

    async def _predict(self, call: Call) -> Answer:
        is_stream, columnar = is_arrow(call.headers.get("content-type")), False

        def read(served: Served) -> Impressions:
            nonlocal columnar
            if is_stream:
                return served.bodies.columns(*read_stream(call.body, self._settings.max_instances), in_arrow)
            impressions, columnar = served.bodies.predict(call.body, self._settings.max_instances)
            return impressions

        scored = await self._course.run(_named_in_path(call), read)
        if is_arrow(call.headers.get("accept")):
            about = {"model": scored.served.name, "version": str(scored.served.version)}
            return self._answer(scored, write_stream(tensors(scored), about), ARROW)
        return self._answer(scored, predict_answer(scored.by_label, columnar))

    async def _score(self, call: Call) -> Answer:
        body = read_score(call.body)
        max_rows = self._settings.max_instances
        try:
            target = _named_in_body(call.project, body)
            scored = await self._course.run(target, lambda served: served.bodies.score(body, max_rows))
        except NotFoundError as error:
            error.path = error.what  # the members of the body have the names of what they name
            raise
        return self._answer(scored, score_answer(scored))

    async def _infer(self, call: Call) -> Answer:
        request = read_infer(call.body, call.headers.get(JSON_LENGTH), self._settings.max_instances)
        scored = await self._course.run(
            _named_in_path(call), lambda served: served.bodies.columns(request.columns, request.rows, request.place)
        )
        content, json_length = infer_answer(request, scored.served.name, scored.served.version, tensors(scored))
        media_type = "application/json" if json_length is None else "application/octet-stream"
        return self._answer(scored, content, media_type, json_length)

    def _answer(
        self, scored: Scored, content: bytes, media_type: str = "application/json", json_length: int | None = None
    ) -> Answer:
        self._services.telemetry.scoring_seconds["write"] += time.perf_counter() - scored.at
        return Answer(content, scored.served.version, media_type, json_length)


def _named_in_path(call: Call) -> Target:
    name = known_form("model", call.names["name"])
    version, alias = call.names.get("version"), call.names.get("alias")
    if version is None:
        return Target(call.project, name, alias=None if alias is None else known_form("alias", alias))
    if not (version.isascii() and version.isdigit() and 1 <= int(version[:20]) <= LARGEST_VERSION):
        raise _no_version(version)
    return Target(call.project, name, int(version))


def _named_in_body(project: str, body: ScoreBody) -> Target:
    name = known_form("model", body.model)
    if body.version is None:
        return Target(project, name, alias=None if body.alias is None else known_form("alias", body.alias))
    if body.alias is not None:
        raise BadValueError("Give either `version` or `alias`.", path="version")
    if not 1 <= body.version <= LARGEST_VERSION:
        raise _no_version(str(body.version))
    return Target(project, name, body.version)


def _no_version(given: str) -> BadValueError:
    return BadValueError(
        f"A version is a whole number from 1 to {LARGEST_VERSION:,}. Got {given[:100]!r}.", path="version"
    )


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))


async def _body(receive: Receive) -> bytes:
    """The whole body; `service.guard` holds that it has an end."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    return body
