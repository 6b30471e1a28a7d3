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

import numpy as np
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ctrfast.errors import DataError
from service.access import Caller, needed_right
from service.dependencies import known_form
from service.problems import (
    BadRowError,
    BadValueError,
    MethodNotAllowedError,
    MissingScopeError,
    NotFoundError,
    OverloadedError,
)
from service.projects import qualified
from service.registry import LATEST
from service.scoring.answers import predict_answer, score_answer
from service.scoring.arrow_bodies import MEDIA_TYPE as ARROW
from service.scoring.arrow_bodies import in_arrow, is_arrow, read_stream, write_stream
from service.scoring.batches import Scores
from service.scoring.bodies import Impressions, ScoreBody, read_score
from service.scoring.open_inference import JSON_LENGTH, infer_answer, read_infer
from service.shelf import Served
from service.specs import LARGEST_VERSION
from service.wiring import Services

_MOST_PATHS = 1024  # remembered; a model has a few
_MODEL = "/v1/models/{name}"


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose caller may ask it."""

    project: str
    names: Mapping[str, str]  # of the path
    headers: Headers
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
        self._requests = 0  # under way
        self._rows = 0
        self._remembered: dict[str, tuple[_Route, Mapping[str, str]] | None] = {}
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
            answer = await route.handler(Call(caller.project, names, Headers(scope=scope), body))
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
        if path in self._remembered:
            return self._remembered[path]
        matches = ((pattern.fullmatch(path), route) for pattern, route in self._routes)
        found = next(((route, match.groupdict()) for match, route in matches if match), None)
        if len(self._remembered) >= _MOST_PATHS:
            self._remembered.clear()
        self._remembered[path] = found
        return found

    async def _predict(self, call: Call) -> Answer:
        served = await self._served(call)
        started = time.perf_counter()
        max_rows = self._settings.max_instances
        columnar = False
        if is_arrow(call.headers.get("content-type")):
            columns, rows = read_stream(call.body, max_rows)
            impressions = served.bodies.columns(columns, rows, in_arrow)
        else:
            impressions, columnar = served.bodies.predict(call.body, max_rows)
        probabilities, unseen = await self._probabilities(served, impressions, started)
        scored = time.perf_counter()
        if is_arrow(call.headers.get("accept")):
            outputs = {"probability": probabilities, "calibrated": served.scorer.calibrate(probabilities)}
            content = write_stream(outputs, {"model": served.name, "version": str(served.version)})
            return self._answer(served, content, impressions.rows, unseen, scored, ARROW)
        return self._answer(served, predict_answer(probabilities, columnar), impressions.rows, unseen, scored)

    async def _score(self, call: Call) -> Answer:
        started = time.perf_counter()
        body = read_score(call.body)
        served = await self._named(call.project, body)
        impressions = served.bodies.score(body, self._settings.max_instances)
        probabilities, unseen = await self._probabilities(served, impressions, started)
        scored = time.perf_counter()
        calibrated = served.scorer.calibrate(probabilities)
        content = score_answer(served.name, served.version, probabilities, calibrated, unseen)
        return self._answer(served, content, impressions.rows, unseen, scored)

    async def _infer(self, call: Call) -> Answer:
        served = await self._served(call)
        started = time.perf_counter()
        request = read_infer(call.body, call.headers.get(JSON_LENGTH), self._settings.max_instances)
        impressions = served.bodies.columns(request.columns, request.rows, request.place)
        probabilities, unseen = await self._probabilities(served, impressions, started)
        scored = time.perf_counter()
        outputs = {"probability": probabilities, "calibrated": served.scorer.calibrate(probabilities)}
        content, json_length = infer_answer(request, served.name, served.version, outputs)
        media_type = "application/json" if json_length is None else "application/octet-stream"
        return self._answer(served, content, impressions.rows, unseen, scored, media_type, json_length)

    async def _served(self, call: Call) -> Served:
        """The version that the path names."""
        name = known_form("model", call.names["name"])
        shelf = self._services.shelf
        if (version := call.names.get("version")) is not None:
            if not (version.isascii() and version.isdigit() and 1 <= int(version[:20]) <= LARGEST_VERSION):
                raise BadValueError(f"A version is a whole number from 1 on. Got {version[:100]!r}.", path="version")
            return await shelf.by_version(call.project, name, int(version))
        return await shelf.by_alias(call.project, name, known_form("alias", call.names.get("alias", LATEST)))

    async def _named(self, project: str, body: ScoreBody) -> Served:
        """The version that the body names."""
        try:
            if body.version is None:
                return await self._services.shelf.by_alias(project, body.model, body.alias)
            if 1 <= body.version <= LARGEST_VERSION:
                return await self._services.shelf.by_version(project, body.model, body.version)
            raise NotFoundError("version", body.version, of=f"model {body.model[:100]!r}")
        except NotFoundError as error:
            raise BadValueError(error.detail, path="model") from error

    async def _probabilities(
        self, served: Served, impressions: Impressions, started: float
    ) -> tuple[Scores, Mapping[str, int]]:
        """Probabilities (R,), and how many values of each id field were unseen."""
        rows = impressions.rows
        if self._rows and self._rows + rows > self._settings.max_scoring_rows:
            raise OverloadedError()
        self._rows += rows
        try:
            parsed = time.perf_counter()
            try:
                encoded = served.scorer.encoder.encode_values(impressions.columns, rows)
            except DataError as error:
                raise BadRowError(error.message, path=impressions.place(error.path)) from error
            ids = encoded.ids + served.scorer.slot_offsets
            coded = time.perf_counter()
            probabilities = await served.batches.score(ids, encoded.numbers) if rows else np.empty(0, np.float32)
            seconds = self._services.telemetry.scoring_seconds
            seconds["parse"] += parsed - started
            seconds["encode"] += coded - parsed
            seconds["model"] += time.perf_counter() - coded
            return probabilities, encoded.unseen
        finally:
            self._rows -= rows

    def _answer(
        self,
        served: Served,
        content: bytes,
        rows: int,
        unseen: Mapping[str, int],
        scored: float,
        media_type: str = "application/json",
        json_length: int | None = None,
    ) -> Answer:
        telemetry = self._services.telemetry
        telemetry.count_scores(qualified(served.project, served.name), rows, unseen)
        telemetry.scoring_seconds["write"] += time.perf_counter() - scored
        return Answer(content, served.version, media_type, json_length)


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
