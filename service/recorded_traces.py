"""Traces that are recorded (`service.traces`): the one module that imports OpenTelemetry's SDK.

The provider is our own, not the process-wide one, so that libraries which look for that one add no spans: theirs hold
paths and queries.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ctrfast import __version__
from ctrfast.errors import Cancelled
from service.traces import Facts, Span, Traces

_CLOSE_S = 2.0  # a job's process must not wait longer for a collector that does not answer
_CONTEXT = TraceContextTextMapPropagator()


def over_http(process: str) -> Traces:
    """Traces that are sent in batches by OTLP over HTTP, to where the environment says."""
    return RecordedTraces(process, BatchSpanProcessor(OTLPSpanExporter()))


class RecordedTraces(Traces):
    """Spans that go to a processor.

    Args:
        process: `service.name`, unless the environment has another.
        processor: takes each span at its end.
    """

    is_on = True

    def __init__(self, process: str, processor: SpanProcessor) -> None:
        own = {SERVICE_NAME: process, SERVICE_VERSION: __version__}
        resource = Resource.create({**own, **OTELResourceDetector().detect().attributes})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("ctrfast", __version__)

    @contextmanager
    def span(
        self,
        name: str,
        facts: Facts | None = None,
        *,
        parent: Mapping[str, str] | None = None,
        is_request: bool = False,
    ) -> Iterator[Span]:
        """See `Traces.span`."""
        with self._tracer.start_as_current_span(
            name,
            context=None if parent is None else _CONTEXT.extract(parent, Context()),
            kind=SpanKind.SERVER if is_request else SpanKind.INTERNAL,
            attributes=facts,
            record_exception=False,  # its text may hold what a caller wrote
            set_status_on_exception=False,
        ) as recorded:
            span = RecordedSpan(recorded)
            try:
                yield span
            except Cancelled:
                raise  # somebody asked for it
            except Exception as error:
                span.fail(type(error).__name__)
                raise

    def close(self) -> None:
        """See `Traces.close`."""
        sender = threading.Thread(target=self._provider.shutdown, daemon=True)
        sender.start()
        sender.join(_CLOSE_S)


class RecordedSpan(Span):
    """See `Span`."""

    def __init__(self, recorded: OtelSpan) -> None:
        self._recorded = recorded
        carrier: dict[str, str] = {}
        _CONTEXT.inject(carrier, set_span_in_context(recorded))
        self.traceparent = carrier["traceparent"]

    def rename(self, name: str) -> None:
        """See `Span.rename`."""
        self._recorded.update_name(name)

    def note(self, facts: Facts) -> None:
        """See `Span.note`."""
        self._recorded.set_attributes(facts)

    def fail(self, kind: str) -> None:
        """See `Span.fail`."""
        self._recorded.set_attribute("error.type", kind)
        self._recorded.set_status(StatusCode.ERROR)
