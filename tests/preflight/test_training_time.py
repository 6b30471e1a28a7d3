"""The formula against measured rates, and that it grows with what a run does."""

from types import SimpleNamespace

import pytest

from ctrfast.config import parse_config
from ctrfast.preflight.training_time import Speed, estimate_time, measure_speed
from tests import tiny_clicks

SPEED = Speed(flops=136e9, bandwidth=15e9)  # of the machine that the rates come from
MEASURED = {  # rows per second by batch size, as `python -m bench.train` printed them there
    "dense": {1024: 17_370, 8192: 33_447, 65_536: 38_150, 131_072: 37_182},
    "sparse": {1024: 30_410, 8192: 33_478, 65_536: 32_663, 131_072: 33_607},
}


def of_shape(id_fields, numbers, table_rows, rows):
    schema = SimpleNamespace(
        id_names=range(id_fields), slots=id_fields, numeric_names=range(numbers), labels=("label",)
    )
    fitted = SimpleNamespace(schema_=schema, table_rows=table_rows)
    return SimpleNamespace(fitted=fitted, rows={"train": rows, "valid": 0, "test": 0}.get)


@pytest.mark.parametrize("update", MEASURED)
def test_measured_rates_lie_within_a_factor_of_two(update):
    for batch_size, rows_per_s in MEASURED[update].items():
        config = parse_config({"batch_size": batch_size, "optimizer": {"update": update}})
        found = estimate_time(of_shape(26, 13, 1_067_398, 131_072), config, SPEED)
        assert found.low_s < 131_072 / rows_per_s < found.high_s
        assert found.steps == 131_072 // batch_size


def test_evaluations_and_epochs_count(tiny_dataset):
    once = estimate_time(tiny_dataset, tiny_clicks.settings(epochs=1), SPEED)
    twice = estimate_time(tiny_dataset, tiny_clicks.settings(epochs=2), SPEED)
    often = estimate_time(tiny_dataset, tiny_clicks.settings(epochs=2, evaluate_every_steps=1), SPEED)
    assert (once.steps, twice.steps) == (10, 20)
    assert once.low_s < twice.low_s < often.low_s
    assert twice.high_s == pytest.approx(4 * twice.low_s)


def test_this_machine_has_a_speed():
    speed = measure_speed()
    assert speed.flops > 1e8
    assert speed.bandwidth > 1e7
