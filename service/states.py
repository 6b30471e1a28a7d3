"""A job's states, what may happen to it in each, and the closed list of reasons for failure.

    queued -> running -> succeeded
                      -> failed(reason)
                      -> cancelling -> cancelled
                      -> paused -> queued            its caller asks to go on
                      -> queued                      a failure that a retry can mend, or its worker is shutting down
    queued -> paused, paused -> cancelled, queued -> cancelled      nothing runs
    queued, paused -> failed(deadline)
    failed, cancelled -> queued                      the caller asks for a retry

`TRANSITIONS` is the only place that knows this, and `service.moves.move` the only writer of a state.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class State(enum.StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Action(enum.StrEnum):
    """What happens to a job. The values end the sentence "A job that is running cannot be ..."."""

    CLAIM = "claimed"
    SUCCEED = "completed"
    FAIL = "failed"
    REQUEUE = "queued"
    PAUSE = "paused"
    RESUME = "resumed"
    CANCEL = "cancelled"
    STOP = "stopped"
    RETRY = "retried"


class Reason(enum.StrEnum):
    """Why a job failed. Closed: callers may branch on it."""

    BAD_DATA = "bad_data"
    BAD_CONFIG = "bad_config"
    OUT_OF_MEMORY = "out_of_memory"
    NAN_LOSS = "nan_loss"
    WORKER_LOST = "worker_lost"
    DEADLINE = "deadline"
    STORAGE = "storage"
    INTERNAL = "internal"


class Kind(enum.StrEnum):
    """What a job does."""

    TRAIN = "train"
    PREPARE = "prepare"
    EVALUATE = "evaluate"
    SCORE = "score"
    SWEEP = "sweep"


TRANSITIONS: Mapping[Action, Mapping[State, State]] = {
    Action.CLAIM: {State.QUEUED: State.RUNNING},
    Action.SUCCEED: {State.RUNNING: State.SUCCEEDED},
    Action.FAIL: {State.RUNNING: State.FAILED, State.QUEUED: State.FAILED, State.PAUSED: State.FAILED},
    Action.REQUEUE: {State.RUNNING: State.QUEUED},
    Action.PAUSE: {State.QUEUED: State.PAUSED, State.RUNNING: State.PAUSED},
    Action.RESUME: {State.PAUSED: State.QUEUED},
    Action.CANCEL: {
        State.QUEUED: State.CANCELLED,
        State.PAUSED: State.CANCELLED,
        State.RUNNING: State.CANCELLING,
    },
    Action.STOP: {State.CANCELLING: State.CANCELLED},
    Action.RETRY: {State.FAILED: State.QUEUED, State.CANCELLED: State.QUEUED},
}

FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
LEASED = frozenset({State.RUNNING, State.CANCELLING})
IDLE = frozenset({State.QUEUED, State.PAUSED})
# Tried again without being asked: bad input stays bad, and a deadline that has passed stays so.
RETRIED = frozenset({Reason.WORKER_LOST, Reason.STORAGE, Reason.INTERNAL})


class IllegalMoveError(Exception):
    """A job's state does not allow what was asked for."""

    def __init__(self, current: State, action: Action) -> None:
        super().__init__(f"A job that is {current} cannot be {action}.")
        self.current = current
        self.action = action


def next_state(current: State, action: Action) -> State:
    """The state that an action leads to. Raises IllegalMoveError where the table has no such edge."""
    try:
        return TRANSITIONS[action][current]
    except KeyError:
        raise IllegalMoveError(current, action) from None
