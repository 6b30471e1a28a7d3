"""Accompany one attempt: hear the child, keep the lease, stop or kill it when that is asked for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from service.child import Child
from service.leases import Lease, LeaseLostError, LeaseStore
from service.log_tail import LogTail
from service.outcomes import Transcript
from service.settings import Settings

log = logging.getLogger("service.worker")

T = TypeVar("T")

_AWAY = (OperationalError, InterfaceError)  # what the drivers raise when the database cannot be reached
_LISTEN_S = 0.1
_EXIT_GRACE_S = 10.0  # for a child that has said its last word and does not end


class Attempt:
    """A child at work under a lease.

    Args:
        leases, lease: where to renew, and what.
        child: the process; the caller closes it.
        tail: of the log that the child writes.
        shutdown: set when the worker itself should end.
        sweep: called with each renewal, so that a busy worker looks after others' lapsed leases too.
    """

    def __init__(
        self,
        settings: Settings,
        leases: LeaseStore,
        lease: Lease,
        child: Child,
        tail: LogTail,
        shutdown: threading.Event,
        sweep: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._leases = leases
        self._lease = lease
        self._child = child
        self._tail = tail
        self._shutdown = shutdown
        self._sweep = sweep
        self.transcript = Transcript()
        self.was_told_to_stop = False
        self._kill_at: float | None = None
        self._lease_end = time.monotonic() + settings.lease_s
        self._next_renewal = 0.0

    def accompany(self) -> None:
        """Return once the child has ended and all that it said is written.

        Raises:
            LeaseLostError: the job is somebody else's now, or the lease could not be renewed in time.
        """
        while not self._child.has_ended():
            self._hear()
            must_stop = self._renew_when_due()
            if must_stop or self._shutdown.is_set():
                self._tell_to_stop()
            elif self.transcript.outcome is not None:
                self._kill_within(_EXIT_GRACE_S)
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self._child.kill()
        for message in self._child.drain():
            self.transcript.add(message)
        self.transcript.report.lines += self._tail.read_to_the_end()
        if not self.transcript.report.is_empty():
            report = self.transcript.take_report()
            self.insist(lambda: self._leases.renew(self._lease, report))

    def insist(self, write: Callable[[], T]) -> T:
        """Do a write that must not get lost because the database is away for a while: again until the lease is over.

        Raises:
            SQLAlchemyError: the lease has run out meanwhile, or the worker should end.
            Exception: anything else that `write` raises.
        """
        while True:
            try:
                return write()
            except _AWAY as error:
                if time.monotonic() > self._lease_end or self._shutdown.wait(self._settings.heartbeat_s):
                    raise
                log.warning("job %s: the database is away: %s", self._lease.job_id, type(error).__name__)

    def _hear(self) -> None:
        for message in self._child.read(_LISTEN_S):
            self.transcript.add(message)

    def _renew_when_due(self) -> bool:
        """Renew the lease and write the report. Returns whether the child must stop."""
        now = time.monotonic()
        if now < self._next_renewal:
            return False
        self._next_renewal = now + self._settings.heartbeat_s
        self.transcript.report.lines += self._tail.read()
        try:
            must_stop = self._leases.renew(self._lease, self.transcript.report)
        except SQLAlchemyError as error:
            if now > self._lease_end:
                raise LeaseLostError() from error
            log.warning("job %s: the lease could not be renewed: %s", self._lease.job_id, type(error).__name__)
            return False
        self._lease_end = now + self._settings.lease_s
        self.transcript.take_report()
        self._child.keep_alive()
        self._sweep()
        return must_stop

    def _tell_to_stop(self) -> None:
        if not self.was_told_to_stop:
            self.was_told_to_stop = True
            self._child.terminate()
            self._kill_within(self._settings.cancel_grace_s)
        if self._shutdown.is_set():
            self._kill_within(self._settings.shutdown_grace_s)

    def _kill_within(self, grace_s: float) -> None:
        at = time.monotonic() + grace_s
        self._kill_at = at if self._kill_at is None else min(self._kill_at, at)
