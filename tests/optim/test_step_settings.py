"""Which settings move each row by itself."""

import pytest

from ctrfast.optim.step_settings import StepSettings

SETTINGS = {
    "lr_dense": 1e-3,
    "lr_embed": 1e-3,
    "l2": 1e-3,
    "clip": "adaptive_column",
    "clip_ratio": 0.01,
    "bound": 1e-2,
    "warmup_steps": 0,
    "total_steps": 100,
}


@pytest.mark.parametrize(
    "settings, by_row",
    [
        ({}, True),
        ({"clip": "none"}, True),
        ({"clip_ratio": 1.0, "l2": 0.5}, True),
        ({"clip_ratio": 0.9, "l2": 0.5}, False),
        ({"clip_ratio": 0.9, "l2": 0.5, "update": "sparse"}, True),
        ({"clip": "global", "clip_norm": 1.0}, False),
        ({"clip": "field", "clip_norm": 1.0, "update": "sparse"}, False),
        ({"clip": "column", "clip_norm": 1.0}, False),
        ({"clip": "adaptive_field"}, False),
        ({"optimizer": "lamb"}, False),
        ({"optimizer": "lars"}, False),
    ],
    ids=str,
)
def test_only_steps_by_row_that_leave_absent_rows_unclipped_are_taken_in_place(settings, by_row):
    assert StepSettings(**(SETTINGS | settings)).by_row is by_row
