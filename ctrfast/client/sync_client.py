"""The client for ordinary code: each method sends one of `ctrfast.client.calls` and waits for its answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Concatenate, Self

import httpx

from ctrfast.client import calls
from ctrfast.client.address import find_address
from ctrfast.client.answers import Job, JobEvent
from ctrfast.client.calls import Call, JobRef, P, T
from ctrfast.client.event_stream import STREAM_TIMEOUT, EventStream, outcome_error
from ctrfast.client.outcome import refuse_unless_succeeded
from ctrfast.client.patience import Outcome, Patience
from ctrfast.client.progress import job_bar


def _sends(describe: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._ask(describe(*args, **kwargs))

    calls.as_method(ask, describe)
    return ask


class Client:
    """A client of the service; a context manager, or `close()` ends its connections.

    Args:
        url: of the service; None: CTRFAST_URL, else this machine's.
        key: API key; None: CTRFAST_API_KEY, else none is sent.
        timeout_s: without a sign of life of the service.
        patience: with connections that fail, 429 and 503.

    Every method raises ProblemError where the service refuses, and UnreachableError where it does not answer.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        patience: Patience | None = None,
    ) -> None:
        address = find_address(url, key)
        self._patience = Patience() if patience is None else patience
        self._http = httpx.Client(base_url=address.url, headers=address.headers, timeout=timeout_s)

    submit = _sends(calls.submit)
    jobs = _sends(calls.jobs)
    job = _sends(calls.job)
    cancel = _sends(calls.cancel)
    pause = _sends(calls.pause)
    resume = _sends(calls.resume)
    retry = _sends(calls.retry)
    report = _sends(calls.report)
    sweep_table = _sends(calls.sweep_table)
    comparison = _sends(calls.comparison)
    metrics = _sends(calls.metrics)
    logs = _sends(calls.logs)
    log_part = _sends(calls.log_part)
    output = _sends(calls.output)
    plan = _sends(calls.plan)
    datasets = _sends(calls.datasets)
    dataset = _sends(calls.dataset)
    register = _sends(calls.register)
    prepare = _sends(calls.prepare)
    models = _sends(calls.models)
    model = _sends(calls.model)
    set_alias = _sends(calls.set_alias)
    score = _sends(calls.score)
    predict = _sends(calls.predict)
    explain = _sends(calls.explain)
    drift = _sends(calls.drift)
    calibration = _sends(calls.calibration)
    published_results = _sends(calls.published_results)
    set_traffic = _sends(calls.set_traffic)
    shadow = _sends(calls.shadow)

    def events(self, job: JobRef, *, after: int = 0) -> Iterator[JobEvent]:
        """A job's events as they happen, until it ends; each once, over as many connections as it takes."""
        stream = EventStream(f"{calls.job_path(job)}/events", after, self._patience)
        pause: float | None = 0.0
        while pause is not None:
            time.sleep(pause)
            outcome: Outcome
            try:
                with self._http.stream("GET", stream.path, headers=stream.begin(), timeout=STREAM_TIMEOUT) as outcome:
                    if outcome.is_success:
                        for line in outcome.iter_lines():
                            if (event := stream.feed(line)) is not None:
                                yield event
                    else:
                        outcome.read()
            except httpx.TransportError as error:
                outcome = error
            pause = stream.pause_s(outcome, self._http.base_url)

    def wait(self, job: JobRef, *, progress: bool = True, check: bool = False) -> Job:
        """The job once it has ended. progress: show a bar. check: raise JobFailedError unless it succeeded."""
        with job_bar(progress) as show:
            while not (seen := self.job(job)).ended:
                for event in self.events(job):
                    show(event)
        if check:
            refuse_unless_succeeded(seen)
        return seen

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, call: Call[T]) -> T:
        retries = 0
        while True:
            outcome = self._send(call)
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                return call.read(outcome)
            pause = self._patience.pause_s(retries, outcome, repeatable=call.repeatable)
            if pause is None:
                raise outcome_error(outcome, self._http.base_url)
            retries += 1
            time.sleep(pause)

    def _send(self, call: Call[T]) -> Outcome:
        try:
            return self._http.request(
                call.method, call.path, params=call.params, content=call.content, headers=call.headers
            )
        except httpx.TransportError as error:
            return error
