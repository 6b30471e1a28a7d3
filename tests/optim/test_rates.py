"""Learning rates at chosen steps."""

import pytest
import tensorflow as tf

from ctrfast.optim.rates import rates
from ctrfast.optim.step_settings import StepSettings


@pytest.mark.parametrize(
    "lr_decay, warmup_steps, step, decay, embed, dense",
    [
        ("constant", 0, 1, 1.0, 2, 8),
        ("constant", 4, 1, 1.0, 2, 2),
        ("constant", 4, 4, 1.0, 2, 8),
        ("constant", 4, 9, 1.0, 2, 8),
        ("plateau", 4, 9, 0.5, 1, 4),
        ("cosine", 0, 1, 1.0, 2, 8),  # the first step has the whole rate
        ("cosine", 0, 6, 1.0, 1, 4),  # half-way
        ("cosine", 0, 10, 1.0, 2 * 0.0244717, 8 * 0.0244717),  # the last has some left
        ("cosine", 0, 12, 1.0, 0, 0),
        ("cosine", 12, 6, 0.5, 0.5, 1),
        ("cooldown", 0, 6, 1.0, 2, 8),  # the last step at the whole rate
        ("cooldown", 0, 7, 1.0, 1.6, 6.4),
        ("cooldown", 0, 10, 1.0, 0.4, 1.6),
        ("cooldown", 12, 8, 0.5, 0.6, 1.6),
        ("cooldown", 0, 12, 1.0, 0, 0),
    ],
)
def test_rates(lr_decay, warmup_steps, step, decay, embed, dense):
    settings = StepSettings(
        lr_dense=8.0,
        lr_embed=2.0,
        l2=0.0,
        clip="none",
        warmup_steps=warmup_steps,
        total_steps=10,
        lr_decay=lr_decay,
    )
    got = rates(settings, tf.constant(float(step)), tf.constant(decay))
    assert [float(rate) for rate in got] == pytest.approx([embed, dense], rel=1e-5, abs=1e-6)
