"""What a caller may ask of one job: cancel, pause, resume, retry. The caller of each function holds the job's row.

All raise `IllegalMoveError` where the job's state does not allow it. A sweep that waits for its children is asked
through `service.families`, which has the same four.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from service.moves import move
from service.pruned_runs import PRUNED
from service.states import Action, State
from service.tables import Job


def cancel(session: Session, job: Job, now: float) -> None:
    """At once while it waits, with time to save while it runs. Twice is no error."""
    if job.state != State.CANCELLING:
        move(session, job, Action.CANCEL, now)


def pause(session: Session, job: Job, now: float) -> None:
    """At once while it waits; a running one saves its work first."""
    if job.state == State.RUNNING:
        job.pausing = True  # its worker sees it with the next renewal, and moves it when the work is saved
    else:
        move(session, job, Action.PAUSE, now)


def resume(session: Session, job: Job, now: float) -> None:
    """Back into the queue; one that is still about to pause goes on."""
    if job.state == State.RUNNING and job.pausing:
        job.pausing = False
    else:
        move(session, job, Action.RESUME, now)
        job.not_before = 0.0


def retry(session: Session, job: Job, now: float, max_attempts: int) -> None:
    """Back into the queue with all attempts anew, and a deadline that counts from now: the old one may have passed."""
    move(session, job, Action.RETRY, now)
    job.attempts_left = max_attempts
    job.not_before = 0.0
    if job.deadline_s is not None:
        job.deadline_at = now + job.deadline_s
    job.progress, job.metrics = 0.0, {}
    job.result = {name: value for name, value in job.result.items() if name != PRUNED}
    job.reason = job.message = job.started_at = job.finished_at = job.eta_s = None
