"""A job's states, the legal moves between them, and the closed list of reasons for failure.

    queued -> running -> succeeded
                      -> failed(reason)
                      -> cancelling -> cancelled
                      -> queued                      its worker was lost or is shutting down
    queued -> cancelled                              nothing runs yet
    failed, cancelled -> queued                      the caller asks for a retry

`TRANSITIONS` is the only place that knows this; every write of a state goes through `require_move`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class State(enum.StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


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


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLING, State.QUEUED}),
    State.CANCELLING: frozenset({State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
}

FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
LEASED = frozenset({State.RUNNING, State.CANCELLING})


class IllegalMoveError(Exception):
    """A job cannot go from its state to the one asked for."""

    def __init__(self, current: State, wanted: State) -> None:
        super().__init__(f"A job that is {current} cannot become {wanted}.")
        self.current = current
        self.wanted = wanted


def require_move(current: State, wanted: State) -> None:
    """Raise IllegalMoveError unless the table allows the move."""
    if wanted not in TRANSITIONS[current]:
        raise IllegalMoveError(current, wanted)
