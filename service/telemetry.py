"""Prometheus metrics of one API process, in a registry of its own.

ctrfast_http_requests_total{method, route, status}      ctrfast_http_request_seconds{route}
ctrfast_scored_rows_total{model}                        ctrfast_unseen_values_total{model, field}
ctrfast_scoring_seconds_total{part}                     parse, encode, model, write

and those of the database (`service.gauges`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

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
        self.scoring_seconds = dict.fromkeys(("parse", "encode", "model", "write"), 0.0)
        self.registry.register(_ScoringTime(self.scoring_seconds))
        self._rows = Counter("ctrfast_scored_rows", "Impressions scored", ["model"], registry=self.registry)
        self._unseen = Counter(
            "ctrfast_unseen_values",
            "Values that the training data did not hold",
            ["model", "field"],
            registry=self.registry,
        )
        # Finding a counter by its labels takes longer than counting.
        self._requests_of = cache(lambda method, route, status: self._requests.labels(method, route, str(status)))
        self._seconds_of = cache(self._seconds.labels)
        self._rows_of = cache(self._rows.labels)
        self._unseen_of = cache(self._unseen.labels)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request. `route` is the template, never the path: that would have no bound."""
        self._requests_of(method, route, status).inc()
        self._seconds_of(route).observe(seconds)

    def count_scores(self, model: str, rows: int, unseen: Mapping[str, int]) -> None:
        """Count scored impressions and their unseen values."""
        self._rows_of(model).inc(rows)
        for field, count in unseen.items():
            if count:
                self._unseen_of(model, field).inc(count)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _ScoringTime(Collector):
    """Where scoring requests spend their time. The dict is added to by one thread: a lock each time would cost more."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._seconds = seconds

    def collect(self) -> Iterable[Metric]:
        """The sums so far."""
        family = CounterMetricFamily("ctrfast_scoring_seconds", "Time of scoring requests by part", labels=["part"])
        for part, seconds in self._seconds.items():
            family.add_metric([part], seconds)
        yield family
