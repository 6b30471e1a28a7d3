"""The points of a grid: their number, order, names and refusals."""

from __future__ import annotations

import pytest

from ctrfast.errors import ConfigError
from ctrfast.sweep import MOST_POINTS, parse_sweep, sweep_points
from ctrfast.sweep.grid import read_sweep

GRID = {"seed": [1, 2], "batch_size": [512, 1024], "scaling.rule": ["none", "cowclip"]}


def refused(values):
    with pytest.raises(ConfigError) as caught:
        parse_sweep(values)
    return caught.value


def test_the_product_in_an_order_that_the_writing_does_not_change():
    points = sweep_points(parse_sweep({"base": {"epochs": 2, "model": {"hidden": [8]}}, "grid": GRID}))
    assert [point.name for point in points][:3] == [
        "rule=none_batch_size=512_seed=1", "rule=none_batch_size=512_seed=2", "rule=none_batch_size=1024_seed=1",
    ]  # fmt: skip
    assert len(points) == 8
    assert all(point.config.epochs == 2 and point.config.model.hidden == (8,) for point in points)
    assert points[-1].config.scaling.rule == "cowclip"
    assert points[-1].settings == {"scaling.rule": "cowclip", "batch_size": 1024, "seed": 2}
    again = sweep_points(
        parse_sweep({"base": {"epochs": 2, "model": {"hidden": [8]}}, "grid": dict(reversed(GRID.items()))})
    )
    assert [point.name for point in again] == [point.name for point in points]


def test_the_grid_wins_over_the_base_and_leaves_it_as_it_is():
    values = {"base": {"optimizer": {"l2": 1e-3}, "seed": 9}, "grid": {"optimizer.l2": [1e-5, 0.0], "seed": [1]}}
    points = sweep_points(parse_sweep(values))
    assert [(point.config.optimizer.l2, point.config.seed) for point in points] == [(1e-5, 1), (0.0, 1)]
    assert [point.name for point in points] == ["l2=1e-05_seed=1", "l2=0_seed=1"]
    assert values["base"] == {"optimizer": {"l2": 1e-3}, "seed": 9}


def test_names_that_cannot_tell_all_end_in_a_digest():
    grid = {"model.name": ["deepfm"], "optimizer.name": ["adam", "lamb"], "model.hidden": [[8, 4], [8] * 32]}
    names = [point.name for point in sweep_points(parse_sweep({"grid": grid}))]
    assert len(set(names)) == 4
    assert names[0].startswith("hidden=8x4_name=deepfm_name=adam-")
    assert all(len(name) < 140 and "/" not in name for name in names)


def test_too_many_points_are_refused_with_the_product():
    error = refused({"grid": {"seed": list(range(101)), "batch_size": list(range(1, 11))}})
    assert "10 of batch_size x 101 of seed = 1,010" in error.message
    assert error.path == "grid"
    assert len(sweep_points(parse_sweep({"grid": {"seed": list(range(MOST_POINTS))}}))) == MOST_POINTS


@pytest.mark.parametrize(
    ("values", "path", "words"),
    [
        ({"grid": {}}, "grid", "at least 1"),
        ({"grid": {"seed": []}}, "grid.seed", "at least 1"),
        ({"grid": {"sed": [1]}}, "grid.sed", "Did you mean seed"),
        ({"grids": {"seed": [1]}}, "grids", "Did you mean grid"),
        ({"grid": {"seed": [1, 1]}}, "grid", "more than once: seed=1"),
        ({"grid": {"seed": [1, True]}}, "grid.seed", "true or false"),
        ({"grid": {"scaling.rule": ["cowclip", "cowclop"]}}, "grid.scaling.rule", "scaling.rule=cowclop"),
        ({"grid": {"seed.x": [1]}, "base": {"seed": 1}}, "grid.seed.x", "holds a value"),
        ({"grid": {"seed": [1]}, "base": {"epochs": 0}}, "base.epochs", "The point seed=1"),
        ({"grid": {"optimizer.clip": ["none"]}, "base": {"optimizer": {"bound": 1.0}}}, "base.optimizer.bound", "clip"),
    ],
)
def test_refusals_name_the_setting(values, path, words):
    error = refused(values)
    assert error.path == path
    assert words in error.message


def test_a_file_may_name_the_dataset(tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text("data: data/clicks\ngrid: {optimizer.l2: [1e-5, 1e-4]}\n")
    config, data = read_sweep(file)
    assert config.grid == {"optimizer.l2": [1e-5, 1e-4]}
    assert str(data) == "data/clicks"
    for text, words in (("- 1", "by name"), ("data: 3\ngrid: {seed: [1]}", "`data` must be")):
        file.write_text(text)
        with pytest.raises(ConfigError, match=words):
            read_sweep(file)
