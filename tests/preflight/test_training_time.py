"""The formula against measured rates, and that it grows with what a run does."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from ctrfast.config import parse_config
from ctrfast.preflight.training_time import Speed, estimate_time, measure_speed
from tests import tiny_clicks

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "train.md"
SPEED = Speed(flops=136e9, bandwidth=15e9)  # of the machine that the results come from


def of_shape(id_fields, numbers, table_rows, rows):
    schema = SimpleNamespace(id_names=range(id_fields), slots=id_fields, numeric_names=range(numbers))
    fitted = SimpleNamespace(schema_=schema, table_rows=table_rows)
    return SimpleNamespace(fitted=fitted, rows={"train": rows, "valid": 0, "test": 0}.get)


@pytest.mark.parametrize("update", ["dense", "sparse"])
def test_measured_rates_lie_within_a_factor_of_two(update):
    name = {"dense": "ctrfast", "sparse": "ctrfast, update: sparse"}[update]
    lines = [[cell.strip() for cell in line.split("|")] for line in RESULTS.read_text().splitlines()]
    (rates,) = [line[3:7] for line in lines if len(line) > 6 and line[1] == name and "(" in line[3]]
    for batch_size, cell in zip((1024, 8192, 65_536, 131_072), rates, strict=True):
        config = parse_config({"batch_size": batch_size, "optimizer": {"update": update}})
        found = estimate_time(of_shape(26, 13, 1_067_398, 131_072), config, SPEED)
        measured_s = 131_072 / float(cell.split()[0].replace(",", ""))
        assert found.low_s < measured_s < found.high_s
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
