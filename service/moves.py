"""The one writer of a job's state: it asks the table, and tells the move in an event of the same transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from service.events import STATE, append_event
from service.states import FINAL, LEASED, Action, State, next_state
from service.tables import Job


def move(session: Session, job: Job, action: Action, now: float, **facts: Any) -> State:
    """Change a job's state. The caller holds the job's row for writing.

    A job that leaves its worker has no lease, and only a running one can be about to pause.

    Raises:
        IllegalMoveError: the table of transitions has no such edge.
    """
    state = next_state(State(job.state), action)
    job.state = state
    if state is not State.RUNNING:
        job.pausing = False
    if state not in LEASED:
        job.lease_owner = job.lease_until = job.eta_s = None
    if state in FINAL:
        job.finished_at = now
    append_event(session, job, STATE, {"state": state, "attempt": job.attempt, **facts})
    return state
