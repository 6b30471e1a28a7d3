"""When a request is sent again, and after how long: connections that fail, 429 and 503.

The wait before retry k (from 0) is first_s * 2^k, at most longest_s, times a random factor of 0.5 to 1, so that many
clients do not come back at one moment. `Retry-After` is a lower bound; one beyond longest_s is not waited for.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import httpx

from ctrfast.client.problems import code_of

_TRANSIENT = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_STATUSES = frozenset({429, 503})
_FOR_GOOD = "bad_artifact"  # a version whose files are missing or were changed: another try is no use
_random = secrets.SystemRandom()

Outcome = httpx.Response | httpx.TransportError


@dataclass(frozen=True)
class Patience:
    """retries: after the first try. first_s, longest_s: bounds of the wait between two."""

    retries: int = 5
    first_s: float = 0.5
    longest_s: float = 30.0

    def pause_s(self, retry: int, outcome: Outcome, *, repeatable: bool) -> float | None:
        """Seconds before retry number `retry`, from 0; None where this outcome stands.

        repeatable: the request may be sent again although the service may have done what it asks.
        """
        if retry >= self.retries:
            return None
        pause = min(self.longest_s, self.first_s * 2.0**retry) * _random.uniform(0.5, 1)
        if isinstance(outcome, httpx.TransportError):
            return pause if isinstance(outcome, _TRANSIENT if repeatable else _NEVER_SENT) else None
        if outcome.status_code not in _STATUSES or code_of(outcome) == _FOR_GOOD:
            return None
        asked_s = _retry_after_s(outcome)
        return None if asked_s > self.longest_s else asked_s + pause


def _retry_after_s(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0  # our service sends seconds, never a date
