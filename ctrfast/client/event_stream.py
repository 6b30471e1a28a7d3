"""A job's server-sent events, over as many connections as it takes. No connection is made here.

A stream ends with its job. One that ends otherwise (a restart of the service, a proxy that hangs up) is taken up again
after the last event that came, by `Last-Event-ID`: no event is lost or comes twice.
"""

from __future__ import annotations

import json

import httpx

from ctrfast.client.answers import FINAL_STATES, JobEvent
from ctrfast.client.patience import Outcome, Patience
from ctrfast.client.problems import ProblemError, UnreachableError

# The service writes a line at least every 15 s.
STREAM_TIMEOUT = httpx.Timeout(30.0, read=60.0)


class EventStream:
    """Where a reader of a job's events stands.

    Args:
        path: of the events.
        after: number of the last event that is known already.
        patience: with failures in a row.
    """

    def __init__(self, path: str, after: int, patience: Patience) -> None:
        self.path = path
        self._last_seq = after
        self._patience = patience
        self._job_ended = False
        self._events_here = 0
        self._empty_ends = 0
        self._failures = 0
        self._fields: dict[str, str] = {}

    def begin(self) -> dict[str, str]:
        """Headers of the next connection."""
        self._events_here = 0
        self._fields = {}
        return {"Accept": "text/event-stream", "Last-Event-ID": str(self._last_seq)}

    def feed(self, line: str) -> JobEvent | None:
        """Take a line; the event that it completes."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:  # a ping
            return None
        data = json.loads(fields["data"])
        event = JobEvent(seq=int(fields["id"]), type=fields["event"], data=data)
        self._last_seq = event.seq
        self._events_here += 1
        if event.type == "state":
            self._job_ended = data["state"] in FINAL_STATES
        return event

    def pause_s(self, outcome: Outcome, url: httpx.URL) -> float | None:
        """Seconds before the next connection; None where the job has ended.

        Raises:
            ProblemError: the service refuses. UnreachableError: it does not answer, and patience is at its end.
        """
        if self._events_here:
            self._failures = self._empty_ends = 0
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            # A service that shuts down ends its streams as the end of a job does; it is not there when asked again.
            self._empty_ends += not self._events_here
            return None if self._job_ended or self._empty_ends > 1 else self._patience.first_s
        pause = self._patience.pause_s(self._failures, outcome, repeatable=True)
        self._failures += 1
        if pause is None:
            raise outcome_error(outcome, url)
        return pause


def outcome_error(outcome: Outcome, url: httpx.URL) -> ProblemError | UnreachableError:
    """The error for an outcome that stands."""
    return ProblemError.of(outcome) if isinstance(outcome, httpx.Response) else UnreachableError(url, outcome)
