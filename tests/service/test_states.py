"""The table of transitions is the one in the design, and one function writes states."""

import itertools
import re
from pathlib import Path

import pytest

import service
from service.states import FINAL, RETRIED, TRANSITIONS, Action, IllegalMoveError, State, next_state

LEGAL = {
    ("queued", "claimed", "running"),
    ("running", "completed", "succeeded"),
    ("running", "failed", "failed"),
    ("queued", "failed", "failed"),
    ("paused", "failed", "failed"),
    ("running", "queued", "queued"),
    ("queued", "paused", "paused"),
    ("running", "paused", "paused"),
    ("paused", "resumed", "queued"),
    ("queued", "cancelled", "cancelled"),
    ("paused", "cancelled", "cancelled"),
    ("running", "cancelled", "cancelling"),
    ("cancelling", "stopped", "cancelled"),
    ("failed", "retried", "queued"),
    ("cancelled", "retried", "queued"),
}


@pytest.mark.parametrize(("current", "action"), list(itertools.product(State, Action)))
def test_a_move_is_legal_exactly_if_the_design_says_so(current: State, action: Action) -> None:
    wanted = [state for start, name, state in LEGAL if (start, name) == (current, action)]
    if wanted:
        assert next_state(current, action) == wanted[0]
    else:
        with pytest.raises(IllegalMoveError, match=f"A job that is {current} cannot be {action}"):
            next_state(current, action)


def test_only_a_retry_follows_an_end() -> None:
    assert {action for action, edges in TRANSITIONS.items() if FINAL & set(edges)} == {Action.RETRY}


def test_the_reasons_that_a_retry_can_mend() -> None:
    assert sorted(RETRIED) == ["internal", "storage", "worker_lost"]


def test_one_function_writes_states() -> None:
    root = Path(service.__file__).parent
    writers = {
        str(file.relative_to(root)): len(found)
        for file in root.rglob("*.py")
        if "migrations" not in file.parts and (found := re.findall(r"\.state = |state=State\.", file.read_text()))
    }
    assert writers == {"moves.py": 1, "new_jobs.py": 1}  # a new job is queued where it is made
