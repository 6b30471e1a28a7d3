"""One case: submit, wait for the moment, kill, start again, wait for the end, look whether all is well."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from ctrfast.client import ProblemError
from service.assignments import RUN
from service.states import FINAL
from service.tables import Job
from tests.service.kill_matrix import verdicts
from tests.service.kill_matrix.fleet import Fleet, wait_until
from tests.service.kill_matrix.moments import MissedError, hold
from tests.service.kill_matrix.submissions import Burst

TARGETS = ("api", "worker", "training", "postgres")
_TRIES = 40  # at hitting a moment; on a machine that has other work most may miss it
_PATIENCE_S = 240.0
_numbers = itertools.count(1)

CompareRuns = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Case:
    """What is killed, and when."""

    target: str
    moment: str

    def __str__(self) -> str:
        return f"{self.target} at {self.moment}"


@dataclass
class Outcome:
    """wrong: what was found, nothing where all is well. seconds: from the kill until the job went on."""

    seconds: float
    wrong: list[str] = field(default_factory=list)


class Bench:
    """A fleet, a spec and the undisturbed run that each case is compared with.

    Args:
        fleet: the service; a dataset that `spec` names is registered.
        spec: of a train job.
        compare_runs: compares the undisturbed run's folder with another; AssertionError says what differs.
    """

    def __init__(self, fleet: Fleet, spec: Mapping[str, Any], compare_runs: CompareRuns | None = None) -> None:
        self.fleet = fleet
        self._spec = spec
        self._compare_runs = compare_runs
        self._undisturbed, *_ = self._submit()
        job = self._ended(self._undisturbed)
        self._figures = verdicts.figures(job.metrics)
        if job.state != "succeeded" or job.attempt != 1 or not self._figures:
            raise RuntimeError(f"the undisturbed run is {job.state} ({job.message}): {self._figures}")

    def run(self, case: Case) -> Outcome:
        """Do a case; a job that passes the moment too fast is followed by another."""
        for _ in range(_TRIES):
            with suppress(MissedError):
                return self._run(case)
        raise MissedError(f"{case}: {_TRIES} jobs passed the moment")

    def _run(self, case: Case) -> Outcome:
        fleet = self.fleet
        fillers: dict[str, str] = {}
        if case.moment == "submit":
            job_id, key, model, fillers, seconds = self._kill_at_submit(case.target)
        else:
            job_id, key, model = self._submit()
            held = hold(case.moment, case.target, fleet, job_id, model)
            try:
                seen = self._kill(case.target, job_id)
            finally:
                with suppress(psutil.NoSuchProcess):
                    held.resume()
            seconds = self._go_on(case.target, job_id, *seen)
        self._ended(job_id)
        outcome = Outcome(seconds)
        outcome.wrong += verdicts.of_job(fleet, job_id, key, model, self._figures)
        outcome.wrong += verdicts.of_fillers(fleet, fillers)
        outcome.wrong += verdicts.of_service(fleet)
        if self._compare_runs is not None and not outcome.wrong:
            try:
                self._compare_runs(self._folder(self._undisturbed), self._folder(job_id))
            except AssertionError as error:
                outcome.wrong.append(f"its run differs from the undisturbed one: {error}")
        if len(fleet.client.predict(model, [{}])) != 1:
            outcome.wrong.append("its model does not score")
        return outcome

    def _kill_at_submit(self, target: str) -> tuple[str, str, str, dict[str, str], float]:
        """Kill while requests are on their way; the training process needs a job before."""
        fleet = self.fleet
        job_id, key, model = self._submit()
        if target == "training":
            wait_until(fleet.runner, "the training process", _PATIENCE_S)
        burst = Burst(fleet, key, {**self._spec, "publish_as": None})
        try:
            burst.wait()
            seen = self._kill(target, job_id)
            seconds = self._go_on(target, job_id, *seen)
        finally:
            fillers = burst.end()
            for filler in fillers.values():
                self._cancel(filler)
        again = fleet.client.submit("train", {**self._spec, "publish_as": model}, idempotency_key=key)
        if again.id != job_id:
            raise RuntimeError(f"the key {key} made a second job")
        return job_id, key, model, fillers, seconds

    def _cancel(self, job_id: str) -> None:
        """Cancel a filler, unless its turn came and it has ended."""
        try:
            self.fleet.client.cancel(job_id)
        except ProblemError as error:
            if error.code != "illegal_state":
                raise
        wait_until(lambda: self._job(job_id).state in FINAL, "the end of a filler", _PATIENCE_S)

    def _submit(self) -> tuple[str, str, str]:
        """A new published train job: its id, key and model."""
        name = f"case-{next(_numbers)}"
        job = self.fleet.client.submit("train", {**self._spec, "publish_as": name}, idempotency_key=name)
        return job.id, name, name

    def _kill(self, target: str, job_id: str) -> tuple[float, int, int]:
        """Kill; returns the time, and the job's newest event and attempt before."""
        before = self._job(job_id)
        self.fleet.kill(target)
        return time.monotonic(), before.last_seq, before.attempt

    def _go_on(self, target: str, job_id: str, killed_at: float, seq: int, attempt: int) -> float:
        """Start what was killed, as a supervisor would; returns the seconds from the kill until the job went on."""
        if target != "training":
            self.fleet.start(target)

        def goes_on() -> bool:
            job = self.fleet.job(job_id)
            if job is None or job.last_seq <= seq:
                return False
            return target in {"api", "postgres"} or job.attempt > attempt or job.state in FINAL

        wait_until(goes_on, "the job's next event", _PATIENCE_S)
        wait_until(self.fleet.answers, "the API's answer", _PATIENCE_S)
        return time.monotonic() - killed_at

    def _ended(self, job_id: str) -> Job:
        wait_until(lambda: self._job(job_id).state in FINAL, "the end of the job", _PATIENCE_S)
        wait_until(lambda: self.fleet.runner() is None, "the end of its process", _PATIENCE_S)
        return self._job(job_id)

    def _job(self, job_id: str) -> Job:
        return wait_until(lambda: self.fleet.job(job_id), "the database", _PATIENCE_S)

    def _folder(self, job_id: str) -> Path:
        return self.fleet.settings.job_folder(job_id) / RUN
