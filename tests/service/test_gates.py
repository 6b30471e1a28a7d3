"""What a worse model is refused for, on made-up figures; how they are measured, on a real bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError
from ctrfast.folders import file_hash
from service.assignments import Champion
from service.champions import compare
from service.gates import Comparison, Gates, judge, verdict_of
from service.specs import parse_train_spec

GOOD = {"auc": 0.8, "normalised_entropy": 0.9, "calibration_ratio": 1.0}


def reasons(candidate: dict[str, float], champion: dict[str, float] = GOOD, **gates: Any) -> list[str]:
    compared = Comparison(version=1, split="test", rows="same", candidate={**GOOD, **candidate}, champion=champion)
    return [reason.split(" ")[0] for reason in judge(Gates(**gates), compared)]


@pytest.mark.parametrize(
    ("candidate", "gates", "expected"),
    [
        ({}, {}, []),
        ({"auc": 0.7981}, {}, []),
        ({"auc": 0.7979}, {}, ["AUC"]),
        ({"auc": 0.7979}, {"max_auc_drop": 0.01}, []),
        ({"auc": 0.1}, {"max_auc_drop": None}, []),
        ({"auc": 0.79999}, {"max_auc_drop": 0.0}, ["AUC"]),
        ({"normalised_entropy": 0.9019}, {}, []),
        ({"normalised_entropy": 0.9021}, {}, ["Normalised"]),
        ({"normalised_entropy": 2.0}, {"max_ne_rise": None}, []),
        ({"calibration_ratio": 1.19}, {}, []),
        ({"calibration_ratio": 1.21}, {}, ["Calibration"]),
        ({"calibration_ratio": 0.79}, {}, ["Calibration"]),
        ({"calibration_ratio": 9.0}, {"max_calibration_error": None}, []),
        ({"auc": 0.7, "normalised_entropy": 1.0, "calibration_ratio": 2.0}, {}, ["AUC", "Normalised", "Calibration"]),
    ],
)
def test_a_worse_model_is_refused(candidate: dict[str, float], gates: dict[str, Any], expected: list[str]) -> None:
    assert reasons(candidate, **gates) == expected


def test_a_champion_that_is_off_by_more_refuses_no_calibration() -> None:
    assert reasons({"calibration_ratio": 1.3}, {**GOOD, "calibration_ratio": 0.5}) == []
    assert reasons({"calibration_ratio": 1.3}, {**GOOD, "calibration_ratio": 1.25}) == ["Calibration"]


def test_what_was_not_measured_refuses_nothing() -> None:
    assert judge(Gates(), Comparison()) == []
    assert judge(Gates(), Comparison(version=1, candidate={"auc": 0.5}, champion={})) == []


def test_force_overrules_and_says_so() -> None:
    compared = Comparison(version=1, candidate={"auc": 0.5}, champion={"auc": 0.8})
    refused, forced = verdict_of(Gates(), compared), verdict_of(Gates(force=True), compared)
    assert (
        refused["refused"] == forced["overruled"] == ["AUC 0.50000, the champion's 0.80000; `max_auc_drop` is 0.002."]
    )
    assert refused["overruled"] == forced["refused"] == []
    assert refused["compared"]["champion"] == {"auc": 0.8}


@pytest.mark.parametrize("gates", [{"max_auc_drop": -0.1}, {"max_ne_rise": float("nan")}, {"force": 1}, {"min": 0}])
def test_settings_that_are_no_gates(gates: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Gates(**gates)
    with pytest.raises(ConfigError) as error:
        parse_train_spec({"dataset": "d", "publish_as": "m", "gates": gates})
    assert (error.value.path or "").startswith("spec.gates")


def test_gates_need_a_publication() -> None:
    with pytest.raises(ConfigError, match="goes with `publish_as`"):
        parse_train_spec({"dataset": "d", "gates": {}})


def champion(bundle: Path, **changes: Any) -> Champion:
    metrics = {"test_auc": 0.75, "test_normalised_entropy": 0.85, "valid_auc": 0.1}
    values = {"version": 3, "bundle": bundle, "sha256": file_hash(bundle / "manifest.json"), "metrics": metrics}
    return Champion.model_validate({**values, **changes})


def test_both_are_measured_on_the_same_rows(bundle: Path, dataset: Path) -> None:
    found = compare(bundle, {}, champion(bundle), Dataset.open(dataset), lambda: None)
    assert (found.version, found.split, found.rows, found.note) == (3, "test", "same", None)
    assert found.candidate == found.champion
    assert set(found.champion) == set(GOOD)
    assert judge(Gates(max_auc_drop=0, max_ne_rise=0), found) == []


def test_stored_figures_stand_in_for_a_champion_that_cannot_score(bundle: Path, dataset: Path) -> None:
    exchanged = champion(bundle, sha256="0" * 64)
    found = compare(bundle, {"test_auc": 0.7, "test_log_loss": 0.4}, exchanged, Dataset.open(dataset), lambda: None)
    assert (found.rows, found.candidate) == ("others", {"auc": 0.7})
    assert found.champion == {"auc": 0.75, "normalised_entropy": 0.85}
    assert "not the one that was published" in (found.note or "")
    assert str(bundle.parent) not in (found.note or "")
    assert judge(Gates(), found) == ["AUC 0.70000, the champion's 0.75000; `max_auc_drop` is 0.002."]


def test_a_stop_ends_the_comparison(bundle: Path, dataset: Path) -> None:
    def stop() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        compare(bundle, {}, champion(bundle), Dataset.open(dataset), stop)
