"""Prometheus gauges that ask the database when Prometheus asks; without an answer `ctrfast_database_up` alone is told.

ctrfast_database_up                   ctrfast_jobs{state}                   ctrfast_queue_age_seconds
ctrfast_job_step_seconds{kind}        ctrfast_job_rows_per_second{kind}     ctrfast_job_input_wait_share{kind}
ctrfast_workers{kind}                 ctrfast_worker_rss_bytes{kind}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from service.job_figures import Figures

# name -> (what it is, its label, its values by label)
_GAUGES: Mapping[str, tuple[str, str | None, Callable[[Figures], Mapping[str, float]]]] = {
    "ctrfast_jobs": ("Jobs by state", "state", lambda figures: figures.jobs),
    "ctrfast_queue_age_seconds": (
        "For how long the job that has waited longest could have run",
        None,
        lambda figures: {"": figures.queue_age_s},
    ),
    "ctrfast_job_step_seconds": (
        "Seconds per optimizer step, mean over running jobs",
        "kind",
        lambda figures: figures.step_s,
    ),
    "ctrfast_job_rows_per_second": (
        "Rows trained on per second, sum over running jobs",
        "kind",
        lambda figures: figures.rows_per_s,
    ),
    "ctrfast_job_input_wait_share": (
        "Share of time that a step waits for its rows, mean over running jobs",
        "kind",
        lambda figures: figures.input_wait_share,
    ),
    "ctrfast_workers": ("Living workers, by the kind of job at work", "kind", lambda figures: figures.workers),
    "ctrfast_worker_rss_bytes": (
        "Resident memory of living workers and their jobs' processes, by the kind of job at work",
        "kind",
        lambda figures: figures.rss_bytes,
    ),
}


class Gauges(Collector):
    """The gauges. `read` asks the database."""

    def __init__(self, read: Callable[[], Figures]) -> None:
        self._read = read

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name the metrics without asking the database."""
        yield _up_family()
        for name in _GAUGES:
            yield _family(name)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask the database; the other metrics are answered without it."""
        up = _up_family()
        try:
            figures = self._read()
        except SQLAlchemyError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        for name, (_, label, values) in _GAUGES.items():
            family = _family(name)
            for key, value in values(figures).items():
                family.add_metric([key] if label is not None else [], value)
            yield family


def _up_family() -> GaugeMetricFamily:
    return GaugeMetricFamily("ctrfast_database_up", "Whether the database answers", labels=[])


def _family(name: str) -> GaugeMetricFamily:
    what, label, _ = _GAUGES[name]
    return GaugeMetricFamily(name, what, labels=[label] if label is not None else [])
