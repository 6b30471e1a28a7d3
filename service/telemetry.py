"""Prometheus metrics of one API process, in a registry of its own.

ctrfast_http_requests_total{method, route, status}      ctrfast_http_request_seconds{route}
ctrfast_scored_rows_total{model}                        ctrfast_unseen_values_total{model, field}

and those of the database (`service.gauges`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest

from service.gauges import Gauges
from service.job_figures import Figures

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)


class Telemetry:
    """Counters of this process. `read_figures` is asked when Prometheus does."""

    def __init__(self, read_figures: Callable[[], Figures]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(Gauges(read_figures))
        self._requests = Counter(
            "ctrfast_http_requests", "Answered requests", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "ctrfast_http_request_seconds", "Time to answer", ["route"], buckets=_SECONDS, registry=self.registry
        )
        self._rows = Counter("ctrfast_scored_rows", "Impressions scored", ["model"], registry=self.registry)
        self._unseen = Counter(
            "ctrfast_unseen_values",
            "Values that the training data did not hold",
            ["model", "field"],
            registry=self.registry,
        )

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request. `route` is the template, never the path: that would have no bound."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_scores(self, model: str, rows: int, unseen: Mapping[str, int]) -> None:
        """Count scored impressions and their unseen values."""
        self._rows.labels(model).inc(rows)
        for field, count in unseen.items():
            if count:
                self._unseen.labels(model, field).inc(count)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
