"""Traces: spans of requests, submissions and attempts at jobs, for an OpenTelemetry collector.

    POST /v1/jobs > submit > attempt > run      in the API, in the API, in a worker, in the job's process: one trace

Off without `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`: then nothing is recorded, and the SDK
(extra `otel`) is not imported. It reads all further variables of the standard itself.

The first event of a job holds the `traceparent` of its submission (W3C Trace Context), so that a worker on any host
goes on with the trace. Spans hold no paths, queries, specs or messages: callers write secrets into them.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

Facts = Mapping[str, str | int]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Span:
    """A span that nobody records. traceparent: names it to another process."""

    traceparent: str | None = None

    def rename(self, name: str) -> None:
        """Give it a name that is known later than its start."""

    def note(self, facts: Facts) -> None:
        """Add attributes."""

    def fail(self, kind: str) -> None:
        """Say that what it stands for went wrong; `kind` has few values."""


class Traces(ABC):
    """Spans of one process. is_on: whether anybody records them."""

    is_on: bool

    @abstractmethod
    def span(
        self,
        name: str,
        facts: Facts | None = None,
        *,
        parent: Mapping[str, str] | None = None,
        is_request: bool = False,
    ) -> AbstractContextManager[Span]:
        """A span around a block; an error that leaves the block makes it a failed one.

        Args:
            name: one of few.
            facts: attributes.
            parent: headers of Trace Context that name the parent, without one a new trace; None takes the span that
                the caller is in.
            is_request: whether a request from outside begins here.
        """

    @abstractmethod
    def close(self) -> None:
        """Send what has not been sent yet, within a bounded time."""


class _NoTraces(Traces):
    is_on = False
    _span = Span()

    def span(self, *_: Any, **__: Any) -> AbstractContextManager[Span]:
        return nullcontext(self._span)

    def close(self) -> None:
        pass


NO_TRACES: Traces = _NoTraces()


def traces_from_environment(process: str) -> Traces:
    """Those that the environment asks for. ImportError: it does, and the extra `otel` is not installed.

    Args:
        process: the service's name in the spans, unless the environment has another.
    """
    is_disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    goes_elsewhere = os.environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp"
    if is_disabled or goes_elsewhere or not any(os.environ.get(name) for name in _ENDPOINTS):
        return NO_TRACES
    from service.recorded_traces import over_http  # needs the extra `otel`

    return over_http(process)
