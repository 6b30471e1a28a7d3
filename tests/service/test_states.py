"""The table of transitions is the one in the design."""

import itertools

import pytest

from service.states import FINAL, TRANSITIONS, IllegalMoveError, State, require_move

LEGAL = {
    ("queued", "running"),
    ("queued", "cancelled"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "cancelling"),
    ("running", "queued"),
    ("cancelling", "cancelled"),
    ("failed", "queued"),
    ("cancelled", "queued"),
}


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(State, State)))
def test_a_move_is_legal_exactly_if_the_design_says_so(current: State, wanted: State) -> None:
    if (current, wanted) in LEGAL:
        require_move(current, wanted)
    else:
        with pytest.raises(IllegalMoveError):
            require_move(current, wanted)


def test_each_state_has_an_entry_and_no_work_follows_an_end() -> None:
    assert set(TRANSITIONS) == set(State)
    assert all(TRANSITIONS[state] <= {State.QUEUED} for state in FINAL)
