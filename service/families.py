"""A sweep and its children, which are ordinary train jobs: what is asked of it reaches them, how they end is its end.

The sweep holds no worker while it waits for its children, so one worker is enough for all of them. Nobody tells it how
they fare: whoever comes by looks (`settle`), and twice is harmless. Rows are locked in one order, the sweep before its
children, children by id.

    all ended, points left to ask  running: the next round is queued (`service.asked_sweeps`)
    all succeeded or were pruned   succeeded, or queued for a worker to publish the best (`publish_best_as`)
    some failed                    failed with their commonest reason
    some cancelled, none failed    cancelled
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from ctrfast.errors import DependencyError
from service import wishes
from service.asked_sweeps import next_round, runs_to_come
from service.events import PROGRESS, append_event
from service.moves import move
from service.new_jobs import queue, runs_of_a_sweep
from service.pruned_runs import is_pruned
from service.states import FINAL, LEASED, Action, Reason, State, next_state
from service.sweep_figures import sweep_metrics
from service.tables import Job

_LEAST_PROGRESS = 0.01  # that is worth an event
_BY_ORDER = Job.id  # children have ids in the order of their points


@dataclass(frozen=True)
class _Kin:
    """Children by state, the mean of their progress (1 where one has ended), and whether another round follows."""

    states: Mapping[State, int]
    progress: float
    go_on: bool

    def any_in(self, states: Collection[State]) -> bool:
        return any(self.states.get(state) for state in states)

    @property
    def have_ended(self) -> bool:
        return not self.any_in(set(State) - FINAL)

    @property
    def have_begun(self) -> bool:
        return self.any_in(LEASED | FINAL)

    @property
    def are_paused(self) -> bool:
        return not self.any_in(LEASED | {State.QUEUED})


_COUNTS = (  # made once, as pages ask again and again
    select(Job.parent_id, Job.state, func.count())
    .where(Job.parent_id.in_(bindparam("parents", expanding=True)))
    .group_by(Job.parent_id, Job.state)
)


def count_children(session: Session, parents: Collection[str]) -> dict[str, dict[str, int]]:
    """By sweep, how many of its children are in each state that there is one in."""
    counts: dict[str, dict[str, int]] = {parent: {} for parent in parents}
    for parent, state, count in session.connection().execute(_COUNTS, {"parents": sorted(parents)}):
        counts[str(parent)][state] = count
    return counts


def sweeps_to_settle(session: Session) -> list[str]:
    """Ids of sweeps of any project that wait for their children and are not where those are."""
    is_open = Job.state.in_(sorted(set(State) - FINAL))  # `not_in` would walk through all jobs that ever ended
    query = select(Job).where(Job.waits_for_children, is_open)
    return [parent.id for parent in session.scalars(query) if _is_due(parent, _kin(session, parent))]


def settle(session: Session, parent: Job, now: float) -> None:
    """Bring a sweep to where its children are. The caller holds its row."""
    if not parent.waits_for_children or State(parent.state) in FINAL:
        return
    kin = _kin(session, parent)
    if not _is_due(parent, kin):
        return
    if kin.have_begun and not kin.are_paused:
        _wake(session, parent, now, from_pause=False)
    if abs(kin.progress - parent.progress) >= _LEAST_PROGRESS:
        parent.progress = kin.progress
        append_event(session, parent, PROGRESS, {"progress": parent.progress, "eta_s": None})
    if kin.have_ended and kin.go_on and parent.state != State.CANCELLING:
        _go_on(session, parent, now)
    elif kin.have_ended:
        _end(session, parent, now)
    elif parent.pausing and kin.are_paused:
        move(session, parent, Action.PAUSE, now)


def cancel(session: Session, parent: Job, now: float) -> None:
    """Cancel all children that have not ended; the sweep ends when they have. Twice is no error."""
    if parent.state == State.CANCELLING:
        return
    settle(session, parent, now)  # runs that have all ended are not lost to a wish that comes late
    next_state(State(parent.state), Action.CANCEL)  # refuses before a child is touched
    children = _lock_open(session, parent)
    for child in children:
        wishes.cancel(session, child, now)
    if any(child.state == State.CANCELLING for child in children):
        _wake(session, parent, now)
    move(session, parent, Action.CANCEL, now)
    session.flush()
    if State(parent.state) in FINAL:
        _summarise(session, parent)
    settle(session, parent, now)


def pause(session: Session, parent: Job, now: float) -> None:
    """Pause all children that have not ended; the sweep is paused once none runs."""
    settle(session, parent, now)
    next_state(State(parent.state), Action.PAUSE)
    children = _lock_open(session, parent)
    for child in children:
        if child.state in {State.QUEUED, State.RUNNING}:
            wishes.pause(session, child, now)
    if any(State(child.state) in LEASED for child in children):
        _wake(session, parent, now)
        parent.pausing = True
    else:
        move(session, parent, Action.PAUSE, now)
    session.flush()
    settle(session, parent, now)


def resume(session: Session, parent: Job, now: float) -> None:
    """Resume all children that are paused, or about to be."""
    wishes.resume(session, parent, now)
    for child in _lock_open(session, parent):
        if child.state == State.PAUSED or child.pausing:
            wishes.resume(session, child, now)
    session.flush()
    settle(session, parent, now)


def retry(session: Session, parent: Job, now: float, max_attempts: int) -> None:
    """Retry the children that did not succeed; without such, the sweep's own last step is repeated."""
    wishes.retry(session, parent, now, max_attempts)
    parent.waits_for_children = True
    parent.result = {}
    for child in _locked(session, parent, {State.FAILED, State.CANCELLED}):
        if not is_pruned(child):
            wishes.retry(session, child, now, max_attempts)
    session.flush()
    settle(session, parent, now)


def _kin(session: Session, parent: Job) -> _Kin:
    query = select(Job.state, func.count(), func.sum(Job.progress)).where(Job.parent_id == parent.id)
    rows = session.execute(query.group_by(Job.state)).all()
    states = {State(state): count for state, count, _ in rows}
    done = sum(count if State(state) in FINAL else progress for state, count, progress in rows)
    count, in_all = sum(states.values()), runs_to_come(parent)
    return _Kin(states, done / max(count, in_all, 1), go_on=count < in_all)


def _is_due(parent: Job, kin: _Kin) -> bool:
    """Whether settling would change something."""
    return (
        (kin.have_ended and not (kin.go_on and parent.state == State.PAUSED))
        or (parent.state == State.QUEUED and kin.have_begun and not kin.are_paused)
        or (parent.pausing and kin.are_paused)
        or abs(kin.progress - parent.progress) >= _LEAST_PROGRESS
    )


def _lock_open(session: Session, parent: Job) -> Sequence[Job]:
    return _locked(session, parent, set(State) - FINAL)


def _locked(session: Session, parent: Job, states: Collection[State]) -> Sequence[Job]:
    query = select(Job).where(Job.parent_id == parent.id, Job.state.in_(sorted(states)))
    return session.scalars(query.order_by(_BY_ORDER).with_for_update()).all()


def _wake(session: Session, parent: Job, now: float, *, from_pause: bool = True) -> None:
    """Have a sweep running whose children are at work, or were."""
    if from_pause and parent.state == State.PAUSED:
        move(session, parent, Action.RESUME, now)
    if parent.state == State.QUEUED:
        parent.started_at = parent.started_at or now
        move(session, parent, Action.CLAIM, now)


def _summarise(session: Session, parent: Job) -> Sequence[Job]:
    """Write what the children came to into the sweep's metrics."""
    children = session.scalars(select(Job).where(Job.parent_id == parent.id).order_by(_BY_ORDER)).all()
    parent.metrics = sweep_metrics(parent, children)
    return children


def _end(session: Session, parent: Job, now: float) -> None:
    children = _summarise(session, parent)
    failed = [child for child in children if child.state == State.FAILED]
    is_held = parent.pausing or parent.state == State.PAUSED
    _wake(session, parent, now)
    if parent.state == State.CANCELLING:
        move(session, parent, Action.STOP, now)
    elif failed:
        reason = Reason(Counter(str(child.reason) for child in failed).most_common(1)[0][0])
        first = next(child for child in failed if child.reason == reason)
        parent.reason = reason
        parent.message = f"{len(failed):,} of {len(children):,} runs failed, most often with {reason}: {first.message}"
        move(session, parent, Action.FAIL, now, reason=reason, message=parent.message)
    elif any(child.state == State.CANCELLED and not is_pruned(child) for child in children):
        move(session, parent, Action.CANCEL, now)
        move(session, parent, Action.STOP, now)
    else:
        _succeed(session, parent, now, is_held)


def _go_on(session: Session, parent: Job, now: float) -> None:
    """Queue the next round, unless somebody wants the sweep to wait."""
    if parent.pausing:
        move(session, parent, Action.PAUSE, now)
        return
    children = _summarise(session, parent)
    _wake(session, parent, now)
    try:
        specs = next_round(parent, children)
    except DependencyError as error:  # the API has Optuna, and whoever came by has not
        parent.reason, parent.message = Reason.INTERNAL, error.message
        move(session, parent, Action.FAIL, now, reason=parent.reason, message=parent.message)
    else:
        queue(session, runs_of_a_sweep(parent, specs, now, first=len(children)))


def _succeed(session: Session, parent: Job, now: float, is_held: bool) -> None:
    """is_held: somebody has paused it; then the best waits to be published until it is resumed."""
    best: dict[str, Any] | None = parent.metrics["best"]
    parent.result = {"best": best["job"]} if best is not None else {}
    if parent.spec.get("publish_best_as") is None:
        move(session, parent, Action.SUCCEED, now)
    elif best is None:
        parent.reason = Reason.BAD_DATA
        parent.message = "No run has a validation AUC to choose the best by. Prepare the dataset with validation rows."
        move(session, parent, Action.FAIL, now, reason=parent.reason, message=parent.message)
    else:
        parent.waits_for_children = False  # from here on it is a job like any other, for a worker to publish
        action = Action.PAUSE if is_held else Action.REQUEUE
        move(session, parent, action, now, message="All runs have succeeded; the best waits to be published.")
