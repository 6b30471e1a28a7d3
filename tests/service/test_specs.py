"""Specs are read in full at submission, and errors name the setting by its path in the request."""

from __future__ import annotations

from typing import Any

import pytest

from ctrfast.errors import ConfigError
from ctrfast.schema import preset
from service.specs import EvaluateSpec, ScoreSpec, parse_prepare_spec, parse_spec, parse_train_spec

PREPARE = {"name": "n", "raw": ["a"], "preset": "criteo"}


def test_a_train_spec_is_the_librarys_config_and_two_settings_more() -> None:
    spec = parse_train_spec({"dataset": "d", "publish_as": "m", "batch_size": 64, "model": {"name": "wide_deep"}})
    assert (spec.dataset, spec.publish_as) == ("d", "m")
    assert (spec.config.batch_size, spec.config.model.name) == (64, "wide_deep")


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({}, "spec.dataset"),
        ({"dataset": "d", "batch_size": 0}, "spec.batch_size"),
        ({"dataset": "d", "model": {"name": "deepfn"}}, "spec.model.name"),
        ({"dataset": "d", "scaling": {"rule": "cowclap"}}, "spec.scaling.rule"),
        ({"dataset": "d", "optimizer": {"lr_dens": 1}}, "spec.optimizer.lr_dens"),
        ({"dataset": "d", "nonsense": 1}, "spec.nonsense"),
        ({"datset": "d"}, "spec.datset"),
        ({"dataset": "../d"}, "spec.dataset"),
        ({"dataset": "d", "publish_as": ".."}, "spec.publish_as"),
        ({"dataset": "d", "publish_as": "a/b"}, "spec.publish_as"),
        ({"dataset": "d", "publish_as": "m\n"}, "spec.publish_as"),
        ({"dataset": "d", "warm_start": {}}, "spec.warm_start"),
        ({"dataset": "d", "warm_start": {"job": "j", "model": "m", "version": 1}}, "spec.warm_start"),
        ({"dataset": "d", "warm_start": {"model": "m"}}, "spec.warm_start"),
    ],
)
def test_bad_train_specs(values: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_train_spec(values)
    assert caught.value.path == path


def test_near_names_are_suggested() -> None:
    with pytest.raises(ConfigError, match="Did you mean dataset"):
        parse_train_spec({"datset": "d"})
    with pytest.raises(ConfigError, match="Did you mean cowclip"):
        parse_train_spec({"dataset": "d", "scaling": {"rule": "cowclap"}})


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"preset": "criteoo"}, "prepare.preset"),
        ({"preset": None}, "prepare"),
        ({"schema": preset("criteo").model_dump(mode="json")}, "prepare"),
        ({"preset": None, "schema": {"name": "own"}}, "prepare.schema.columns"),
        ({"raw": []}, "prepare.raw"),
        ({"split": "other"}, "prepare.split"),
        ({"split": "time"}, "prepare.split"),
        ({"split": "column"}, "prepare.split_column"),
        ({"split_column": "C1"}, "prepare.split_column"),
        ({"split": "column", "split_column": "day"}, "prepare.split_column"),
        ({"negative_rate": 0}, "prepare.negative_rate"),
        ({"negative_rate": 1.5}, "prepare.negative_rate"),
        ({"valid_fraction": 0.5, "test_fraction": 0.5}, "prepare"),
        ({"min_count": 0}, "prepare.min_count"),
        ({"grow": True}, "prepare"),
        ({"vocabulary_from": "../d"}, "prepare.vocabulary_from"),
        ({"max_bad_rows": -1}, "prepare.max_bad_rows"),
        ({"max_bad_rows": "much"}, "prepare.max_bad_rows"),
        ({"workers": 0}, "prepare.workers"),
        ({"workers": 1025}, "prepare.workers"),
        ({"seeed": 1}, "prepare.seeed"),
        ({"name": ".hidden"}, "prepare.name"),
    ],
)
def test_bad_prepare_specs(change: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_prepare_spec({**PREPARE, **change}, "prepare")
    assert caught.value.path == path


@pytest.mark.parametrize(
    "values",
    [{"dataset": "d"}, {"dataset": "d", "job": "j", "model": "m"}, {"dataset": "d", "job": "j", "version": 1}],
)
def test_an_evaluation_has_one_source(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        parse_spec(EvaluateSpec, values)


@pytest.mark.parametrize("out", ["../x", "a/b", "", ".x", "x" * 65])
def test_an_output_is_a_plain_name(out: str) -> None:
    with pytest.raises(ConfigError):
        parse_spec(ScoreSpec, {"model": "m", "inputs": ["a"], "out": out})
