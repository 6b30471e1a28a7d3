"""Where the service's time goes, by its own metrics: the seconds of each part of scoring between two looks.

    with parts_of(url, headers) as micros:
        ...                                        # requests
    micros                                         # {"parse": 12.1, "encode": 80.4, "model": 70.2, "write": 3.3}

Read from `ctrfast_scoring_seconds{part=...}` (a summary or a histogram: its `_sum`; a counter: its `_total`), divided
by the growth of `ctrfast_http_requests_total`. What a part holds, waiting included, is the service's to say
(`service.telemetry`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
from prometheus_client.parser import text_string_to_metric_families

SECONDS = "ctrfast_scoring_seconds"
REQUESTS = "ctrfast_http_requests_total"
_SUMS = (f"{SECONDS}_sum", f"{SECONDS}_total")


@contextmanager
def parts_of(url: str, headers: Mapping[str, str]) -> Iterator[dict[str, float]]:
    """Microseconds per request, by part, of the requests that are answered within; filled in on leaving.

    It stays empty where the service has no such metric.
    """
    micros: dict[str, float] = {}
    before, requests_before = read_parts(_metrics(url, headers))
    yield micros
    after, requests = read_parts(_metrics(url, headers))
    if requests > requests_before:
        for part, seconds in after.items():
            micros[part] = 1e6 * (seconds - before.get(part, 0.0)) / (requests - requests_before)


def read_parts(text: str) -> tuple[dict[str, float], float]:
    """Seconds by part, and answered requests, in Prometheus' text."""
    seconds: dict[str, float] = {}
    requests = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in _SUMS and "part" in sample.labels:
                part = sample.labels["part"]
                seconds[part] = seconds.get(part, 0.0) + sample.value
            elif sample.name == REQUESTS:
                requests += sample.value
    return seconds, requests


def _metrics(url: str, headers: Mapping[str, str]) -> str:
    answer = httpx.get(f"{url}/metrics", headers=headers)
    answer.raise_for_status()
    return answer.text
