"""Forward passes of the heads of several tasks in numpy, one row and one expert at a time."""

from __future__ import annotations

import numpy as np

from tests.models.networks_oracle import joined, softmax, value
from tests.models.towers_oracle import BESIDE, hidden, tower


def logits(model, rows, numbers):
    """rows (B, F, D+1), numbers (B, N) -> (B, T), in float64."""
    rows, numbers = rows.astype(np.float64), numbers.astype(np.float64)
    e, linear = rows[:, :, :-1], rows[:, :, -1]
    first = linear.sum(1) + numbers @ value(model.linear.weights_of_numbers)[:, 0] + value(model.linear.bias)
    inputs = joined(e, numbers)
    beside = first + BESIDE[model.config.name](model, e, inputs)
    seen = SEEN[model.config.tasks.kind](model, inputs)
    columns = [
        share * beside + tower(own, each)
        for share, own, each in zip(value(model.shares_of_tasks), model.mlp.of_tasks, seen, strict=True)
    ]
    return np.stack(columns, axis=1)


def shared_bottom(model, inputs):
    return [hidden(model.mlp.bottom, inputs, 0)] * model.tasks


def mmoe(model, inputs):
    (level,) = model.mlp.levels
    outputs = [hidden(expert, inputs, 0) for expert in level.shared_experts]
    return [weighed(gate, inputs, outputs) for gate in level.gates]


def ple(model, inputs):
    of_task, of_all = dict.fromkeys(range(model.tasks), inputs), inputs
    own_count = model.config.tasks.experts
    for level in model.mlp.levels:
        own = {
            task: [hidden(level.experts[task * own_count + n], of_task[task], 0) for n in range(own_count)]
            for task in of_task
        }
        shared = [hidden(expert, of_all, 0) for expert in level.shared_experts]
        before = dict(of_task)
        of_task = {task: weighed(level.gates[task], before[task], own[task] + shared) for task in before}
        if level.shared_gate is not None:
            of_all = weighed(
                level.shared_gate, of_all, [*(each for of_one in own.values() for each in of_one), *shared]
            )
    assert level.shared_gate is None  # of the last one
    return list(of_task.values())


SEEN = {"shared_bottom": shared_bottom, "mmoe": mmoe, "ple": ple}


def weighed(gate, inputs, outputs):
    total = np.zeros_like(outputs[0])
    for row, weights in enumerate(softmax(inputs @ value(gate.kernel), 1)):
        assert len(weights) == len(outputs)
        for weight, expert in zip(weights, outputs, strict=True):
            total[row] += weight * expert[row]
    return total
