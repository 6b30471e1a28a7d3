"""A worker: takes jobs one after the other, runs each in a process of its own, and keeps its lease meanwhile.

    claim -> start child -> { hear it, renew the lease with what it said, see whether to stop } -> end the job

Only this process writes to the database; every write carries the lease's fencing token. Where the lease is lost, the
child is killed and nothing more is written.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from ctrfast.errors import CtrFastError
from ctrfast.exit_codes import signal_name
from service.assignments import LOG, Assigner
from service.attempt import Attempt
from service.child import Child
from service.database import Database
from service.datasets import DatasetStore
from service.deliveries import ChampionMovedError, Deliveries
from service.events import read_traceparent
from service.jobs import JobStore
from service.leases import SWEEPS_PER_LEASE, Lease, LeaseLostError, LeaseStore
from service.log_tail import LogTail
from service.logs import about
from service.memory_use import rss_of_family
from service.outcomes import Outcome, failure_of
from service.problems import ServiceError
from service.registry import Registry
from service.settings import Settings
from service.states import Kind, Reason, State
from service.traces import NO_TRACES, Span, Traces, traces_from_environment
from service.worker_roll import WorkerRoll, own_name

log = logging.getLogger("service.worker")

RUNNER = (sys.executable, "-m", "service.runner")


class Worker:
    """Runs jobs until told to stop.

    Args:
        settings: of the service.
        command: the program that does a job (`service.child`).
        traces: where spans go; the caller closes it.
    """

    def __init__(self, settings: Settings, command: Sequence[str] = RUNNER, traces: Traces = NO_TRACES) -> None:
        self._traces = traces
        self._settings = settings
        self._command = tuple(command)
        self._database = Database(settings.url)
        registry = Registry(self._database, settings)
        datasets = DatasetStore(self._database)
        jobs = JobStore(self._database, settings)
        self._leases = LeaseStore(self._database, settings)
        self._roll = WorkerRoll(self._database)
        self._kind: Kind | None = None  # of the job at work
        self._assigner = Assigner(settings, jobs, datasets, registry)
        self._deliveries = Deliveries(settings, datasets, registry)
        self._stop = threading.Event()
        self._next_sweep = 0.0
        self.name = own_name()

    def stop(self) -> None:
        """Finish soon: the running job saves its work and goes back to the queue."""
        self._stop.set()

    def run(self) -> None:
        """Work until `stop` is called. Must run in the main thread: children die with the thread that started them."""
        log.info("worker %s is waiting for jobs", self.name)
        while not self._stop.is_set():
            try:
                self._sweep()
                lease = self._leases.claim(self.name)
            except SQLAlchemyError as error:
                log.warning("the database does not answer: %s", error.__class__.__name__)
                self._stop.wait(self._settings.heartbeat_s)
                continue
            if lease is None:
                self._stop.wait(self._settings.poll_s)
                continue
            with about(job_id=lease.job_id, kind=lease.kind.value, attempt=lease.attempt):
                self._attempt(lease)
        try:
            self._roll.sign_out(self.name)
        except SQLAlchemyError as error:
            log.warning("the worker could not sign out: %s", error.__class__.__name__)
        self._database.dispose()

    def _attempt(self, lease: Lease) -> None:
        log.info("job %s (%s): attempt %d starts", lease.job_id, lease.kind, lease.attempt)
        self._kind = lease.kind
        self._tell_sweep(lease)
        try:
            with self._span(lease) as span:
                state = self._do(lease, span.traceparent)
                span.note({"ctrfast.job.state": state})
                if state is State.FAILED:
                    span.fail(state)
        except LeaseLostError:
            log.warning(
                "job %s: the lease of attempt %d was lost; nothing more is written", lease.job_id, lease.attempt
            )
        except SQLAlchemyError as error:
            # The lease runs out and the job is tried again: whether this write arrived is not known.
            log.error("job %s: the database does not answer: %s", lease.job_id, error.__class__.__name__)
        except Exception:  # one job must not end the worker; its lease runs out and it is tried again
            log.exception("job %s: attempt %d broke off", lease.job_id, lease.attempt)
        else:
            log.info("job %s: %s", lease.job_id, state)
        finally:
            self._kind = None
        self._tell_sweep(lease)

    def _tell_sweep(self, lease: Lease) -> None:
        """Have the sweep that the job belongs to look at its children now rather than at the next look."""
        if lease.parent_id is None:
            return
        try:
            self._leases.settle(lease.parent_id)
        except SQLAlchemyError as error:
            log.warning("the sweep %s could not be told: %s", lease.parent_id, error.__class__.__name__)

    def _span(self, lease: Lease) -> AbstractContextManager[Span]:
        """A span below the job's submission."""
        parent: dict[str, str] = {}
        if self._traces.is_on:
            with self._database.read() as session:
                traceparent = read_traceparent(session, lease.job_id)
            if traceparent is not None:
                parent["traceparent"] = traceparent
        facts: dict[str, str | int] = {"ctrfast.job.id": lease.job_id, "ctrfast.job.kind": lease.kind}
        facts["ctrfast.job.attempt"] = lease.attempt
        return self._traces.span("attempt", facts, parent=parent)

    def _do(self, lease: Lease, traceparent: str | None) -> State:
        try:
            assignment = self._assigner.assign(lease).model_copy(update={"traceparent": traceparent})
            tail = LogTail(assignment.folder / LOG, self._settings.max_log_events)
            child = Child(self._command, assignment, assignment.folder / LOG)
        except SQLAlchemyError:
            raise
        except Exception as error:
            return self._fail(lease, error)
        attempt = Attempt(self._settings, self._leases, lease, child, tail, self._stop, self._sweep)
        try:
            attempt.accompany()
        finally:
            code = child.close()
        transcript = attempt.transcript
        if transcript.outcome is Outcome.DONE:
            return self._deliver(attempt, lease)
        if transcript.outcome is Outcome.FAILED:
            return attempt.insist(lambda: self._leases.fail(lease, transcript.reason, transcript.message))
        if transcript.outcome is Outcome.PRUNED:
            return attempt.insist(lambda: self._leases.prune(lease, transcript.message))
        if attempt.was_told_to_stop:
            return attempt.insist(lambda: self._leases.stopped(lease))
        return attempt.insist(lambda: self._leases.fail(lease, Reason.WORKER_LOST, _death(code)))

    def _deliver(self, attempt: Attempt, lease: Lease) -> State:
        transcript = attempt.transcript
        has_begun = False

        def deliver(session: Session) -> Mapping[str, Any]:
            nonlocal has_begun
            has_begun = True
            return self._deliveries.deliver(session, lease, transcript.metrics, transcript.result)

        def succeed() -> State:
            if has_begun:  # its folder may have moved: another attempt makes it again, unless the commit did arrive
                message = "The database went away while the job's result was put in place."
                return self._leases.fail(lease, Reason.STORAGE, message)
            return self._leases.succeed(lease, transcript.metrics, deliver)

        try:
            return attempt.insist(succeed)
        except (SQLAlchemyError, LeaseLostError):
            raise
        except ChampionMovedError:
            return self._leases.stopped(lease, "`latest` was moved meanwhile; the model is compared with that version.")
        except Exception as error:
            return self._fail(lease, error)

    def _fail(self, lease: Lease, error: Exception) -> State:
        if not isinstance(error, CtrFastError | ServiceError):
            log.error("job %s: an unexpected error", lease.job_id, exc_info=error)
        return self._leases.fail(lease, *failure_of(error))

    def _sweep(self) -> None:
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + self._settings.lease_s / SWEEPS_PER_LEASE
            try:
                self._leases.sweep()
                self._roll.sign(self.name, self._kind, rss_of_family())
            except SQLAlchemyError as error:  # no reason to give the job at work up
                log.warning("no sign of life, and no look for lapsed leases: %s", error.__class__.__name__)


def _death(code: int) -> str:
    name = signal_name(code)
    how = f"ended with code {code} before it was done" if name is None else f"was ended by {name}"
    return f"The job's process {how}."


def run_worker(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT."""
    traces = traces_from_environment("ctrfast-worker")
    worker = Worker(settings, traces=traces)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run()
    traces.close()
