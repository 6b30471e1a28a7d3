"""Searches: what is drawn, what Optuna is asked and told, what a killed search repeats, and what is refused."""

from __future__ import annotations

import builtins
import json
import math
import sys

import pytest

from ctrfast.errors import Cancelled, ConfigError, DependencyError
from ctrfast.sweep import parse_sweep, rounds, run_sweep, sweep_points
from ctrfast.sweep.optuna_search import Trial, ask
from ctrfast.sweep.rounds import point_rounds
from ctrfast.sweep.space import Range, Search
from tests.sweep import point_program
from tests.sweep.test_grid import refused
from tests.sweep.test_runner import COMMAND, starts
from tests.tiny_clicks import SETTINGS

LR = {"low": 1e-4, "high": 0.1, "log": True}
BASE = {**SETTINGS, "optimizer": {"lr_dense": 0.01, "l2": 1e-4}}


def sweep_of(name="random", points=6, **grid):
    return parse_sweep({"base": BASE, "grid": grid, "search": {"name": name, "points": points, "seed": 3}})


def test_points_are_drawn_from_lists_and_ranges_and_run_with_each_seed():
    grid = {"optimizer.lr_embed": LR, "model.embedding_dim": {"low": 2, "high": 5, "integer": True}}
    config = sweep_of(
        points=40, seed=[1, 2], **grid, **{"scaling.rule": ["none", "sqrt"], "optimizer.l2": {"low": 0, "high": 1}}
    )
    points = sweep_points(config)
    assert [point.settings for point in sweep_points(config)] == [point.settings for point in points]
    assert len(points) == 80
    assert [point.config.seed for point in points] == [1, 2] * 40
    rates = [point.config.optimizer.lr_embed for point in points[::2]]
    assert all(1e-4 <= rate <= 0.1 and rate == float(f"{rate:.4g}") for rate in rates)
    assert 10 < sum(rate < 10**-2.5 for rate in rates) < 30  # half of them below the middle of the logarithm
    assert {point.config.model.embedding_dim for point in points} == {2, 3, 4, 5}
    assert all(type(point.settings["model.embedding_dim"]) is int for point in points)
    assert {point.config.scaling.rule for point in points} == {"none", "sqrt"}
    other = parse_sweep({**config.model_dump(), "search": {"name": "random", "points": 40, "seed": 4}})
    assert sweep_points(other)[0].settings != points[0].settings


def test_a_range_keeps_to_its_ends():
    numbers = Range(low=1, high=3, integer=True)
    assert (numbers.ends, numbers.rounded(0.2), numbers.rounded(7)) == ([1, 3], 1, 3)
    assert Range(low=0.12344, high=1).rounded(0.12344) == 0.12344  # its fourth digit would be below


@pytest.mark.parametrize(
    ("values", "path", "words"),
    [
        ({"grid": {"optimizer.l2": {"low": 0, "high": 1}}}, "grid.optimizer.l2", "Add `search`"),
        ({"grid": {"optimizer.l2": {"low": 1, "high": 1}}}, "grid.optimizer.l2", "`low` must be below `high`"),
        ({"grid": {"optimizer.l2": {"low": 0, "high": 1, "log": True}}}, "grid.optimizer.l2", "above 0"),
        ({"grid": {"optimizer.l2": {"low": 0, "high": 1, "logg": True}}}, "grid.optimizer.l2.logg", "not permitted"),
        ({"grid": {"epochs": {"low": 1.5, "high": 4, "integer": True}}}, "grid.epochs", "whole numbers"),
        ({"search": {"name": "rnd", "points": 3}, "grid": {"epochs": [1]}}, "search.name", "random"),
        ({"search": {"name": "random", "points": 0}, "grid": {"epochs": [1]}}, "search.points", "greater"),
        ({"search": {"name": "random", "points": 2, "sampler": "tpe"}, "grid": {"epochs": [1, 2]}}, "search", "optuna"),
        ({"search": {"name": "random", "points": 3}, "grid": {"epochs": [1, 2]}}, "search.points", "drew 2 different"),
        ({"search": {"name": "random", "points": 600}, "grid": {"epochs": [1], "seed": [1, 2]}}, "grid", "x 2 of seed"),
        ({"search": {"name": "optuna", "points": 9}, "grid": {"seed": {"low": 0, "high": 1}}}, "grid.seed", "a list"),
        ({"search": {"name": "optuna", "points": 9}, "grid": {"epochs": {"low": 0, "high": 9}}}, "grid.epochs", "=0"),
        ({"prune": "mean", "grid": {"epochs": [1]}}, "prune", "median"),
    ],
)  # fmt: skip
def test_refusals_name_the_setting(values, path, words):
    error = refused(values)
    assert error.path == path
    assert words in error.message


def test_optuna_learns_from_what_it_is_told_and_asks_the_same_again():
    search = Search(name="optuna", points=30, seed=5)
    grid = {
        "optimizer.lr_embed": Range(**LR),
        "model.hidden": [[8], [8, 8]],
        "epochs": Range(low=1, high=9, integer=True),
    }
    trials = []
    for number in range(24):
        settings = ask(search, grid, trials)
        assert settings == ask(search, grid, trials)
        distance = abs(math.log10(settings["optimizer.lr_embed"] / 0.003))
        state = ("failed", "pruned", "succeeded")[min(number, 2)]
        trials.append(Trial(settings, state, None if state == "failed" else 0.7 - distance))
    assert settings["model.hidden"] in ([8], [8, 8])
    first, last = (
        [abs(math.log10(trial.settings["optimizer.lr_embed"] / 0.003)) for trial in part]
        for part in (trials[:10], trials[-8:])
    )
    assert sum(last) / 8 < 0.6 * sum(first) / 10


def test_a_search_that_is_stopped_goes_on_and_repeats_nothing(tiny_dataset, tmp_path):
    config = sweep_of("optuna", 4, **{"optimizer.lr_embed": LR})
    whole = run_sweep(tiny_dataset, config, tmp_path / "whole", command=COMMAND)
    out, told = tmp_path / "stopped", []
    with pytest.raises(Cancelled, match="after 2 of 4 points"):
        run_sweep(
            tiny_dataset, config, out, command=COMMAND, on_progress=told.append,
            should_stop=lambda: told[-1].done == 2,
        )  # fmt: skip
    (asked,) = (out / "asked").iterdir()
    assert len(asked.read_text().splitlines()) == 3
    result = run_sweep(tiny_dataset, config, out, command=COMMAND)
    assert [row["settings"] for row in result.rows] == [row["settings"] for row in whole.rows]
    assert [row["metrics"] for row in result.rows] == [row["metrics"] for row in whole.rows]
    assert sum(log.read_text().count("seed ") for log in (out / "logs").iterdir()) == 4
    more = parse_sweep({**config.model_dump(), "search": {"name": "optuna", "points": 5, "seed": 3}})
    longer = run_sweep(tiny_dataset, more, out, command=COMMAND)  # goes on where the shorter one ended
    assert [row["settings"] for row in longer.rows][:4] == [row["settings"] for row in whole.rows]
    assert sum(log.read_text().count("seed ") for log in (out / "logs").iterdir()) == 5


def test_a_point_is_worth_the_mean_over_its_seeds(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(
        rounds, "ask", lambda search, grid, trials: told.append(list(trials)) or {"epochs": len(trials) + 1}
    )
    config = sweep_of("optuna", 4, seed=[1, 2], epochs={"low": 1, "high": 9, "integer": True})
    outcomes = iter(
        [
            ("succeeded", 0.7),
            ("succeeded", 0.8),
            ("failed", None),
            ("succeeded", 0.6),
            ("pruned", 0.5),
            ("failed", None),
            *[("failed", None)] * 2,
        ]
    )

    def row_of(point):
        state, auc = next(outcomes)
        return {"state": state, "metrics": {} if auc is None else {"valid_auc": auc}}

    points = [point.settings for part in point_rounds(config, tmp_path, row_of) for point in part]
    assert points == [{"epochs": epochs, "seed": seed} for epochs in (1, 2, 3, 4) for seed in (1, 2)]
    assert [(trial.state, trial.value) for trial in told[-1]] == [
        ("succeeded", pytest.approx(0.75)), ("succeeded", 0.6), ("pruned", 0.5),
    ]  # fmt: skip


def test_without_optuna_one_sentence_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "optuna":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "optuna", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DependencyError, match=r"ctrfast\[optuna\]"):
        ask(Search(name="optuna", points=1), {"optimizer.lr_embed": Range(**LR)}, [])


def test_hopeless_runs_end_early_and_are_never_the_best(tiny_dataset, tmp_path):
    out = tmp_path / "sweep"
    values = {"base": BASE, "grid": {"seed": [5, 6, 7, 1, 8, 2]}, "prune": "median"}
    result = run_sweep(tiny_dataset, parse_sweep(values), out, command=COMMAND)
    assert [row["state"] for row in result.rows] == ["succeeded"] * 3 + ["pruned", "succeeded", "pruned"]
    assert [row["metrics"] for row in result.pruned] == [
        {"valid_auc": pytest.approx(0.6)},
        {"valid_auc": pytest.approx(0.61)},
    ]
    assert result.pruned[0]["reason"] == "median"
    assert "below the median 0.6500" in result.pruned[0]["message"]
    assert "below the median 0.6550" in result.pruned[1]["message"]  # of 5, 6, 7 and 8
    assert result.best.name == "seed=8"
    assert result.groups[0].runs == 4
    assert json.loads((out / "summary.json").read_text())["states"] == {"pruned": 2, "succeeded": 4}
    again = run_sweep(tiny_dataset, parse_sweep(values), out, command=COMMAND)
    assert again.rows == result.rows
    assert starts(out)["1"] == 1
    whole = run_sweep(tiny_dataset, parse_sweep({**values, "prune": None}), out, command=COMMAND)
    assert not whole.pruned
    assert starts(out)["1"] == 2


def test_another_sweep_in_the_folder_takes_over_what_it_has_in_common(tiny_dataset, tmp_path):
    out = tmp_path / "sweep"
    first = {"base": BASE, "grid": {"scaling.rule": ["none"], "seed": [1, 2]}}
    run_sweep(tiny_dataset, parse_sweep(first), out, command=COMMAND)
    wider = parse_sweep(
        {"base": {**BASE, "scaling": {"rule": "none", "base_batch_size": 250}}, "grid": {"seed": [1, 3]}}
    )
    result = run_sweep(tiny_dataset, wider, out, command=COMMAND)
    assert [row["name"] for row in result.rows] == ["rule=none_seed=1", "seed=3"]
    assert starts(out) == {"1": 1, "2": 1, "3": 1}
    longer = parse_sweep({**first, "base": {**BASE, "epochs": 5}})  # the same names, other runs
    names = [row["name"] for row in run_sweep(tiny_dataset, longer, out, command=COMMAND).rows]
    assert [name[:17] for name in names] == ["rule=none_seed=1-", "rule=none_seed=2-"]
    assert [row["name"] for row in run_sweep(tiny_dataset, parse_sweep(first), out, command=COMMAND).rows] == [
        "rule=none_seed=1", "rule=none_seed=2",
    ]  # fmt: skip
    assert len(list((out / "runs").iterdir())) == 5
    assert point_program.NAN not in starts(out)
    with pytest.raises(ConfigError, match="once it has run"):
        sweep_points(sweep_of("optuna", 3, **{"optimizer.lr_embed": LR}))
