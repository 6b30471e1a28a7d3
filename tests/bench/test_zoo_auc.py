import pytest

from bench.zoo_auc import CASES, figures_of, report
from ctrfast.errors import TrainingError


def made(auc):
    return {"test_auc": auc}


def test_cases_are_the_base_run_and_both_rules():
    assert [(name, case.rule, case.scale) for name, case in CASES.items()] == [
        ("base", "cowclip", 1),
        ("cowclip_64", "cowclip", 64),
        ("adaptive_64", "adaptive", 64),
    ]


def test_a_run_that_is_there_is_not_made_again(tmp_path):
    path, settings = tmp_path / "fm" / "base-1.json", {"seed": 1}
    first = figures_of(path, settings, lambda: made(0.7))
    assert first == {"settings": settings, "metrics": {"test_auc": 0.7}}
    assert figures_of(path, settings, lambda: pytest.fail("made again")) == first


def test_a_run_of_other_settings_is_made_again(tmp_path):
    path = tmp_path / "base-1.json"
    figures_of(path, {"seed": 1}, lambda: made(0.7))
    assert figures_of(path, {"seed": 2}, lambda: made(0.8))["metrics"] == made(0.8)
    assert figures_of(path, {"seed": 2}, lambda: pytest.fail("made again"))["metrics"] == made(0.8)


def test_a_run_that_was_stopped_is_told_so(tmp_path):
    def stops():
        raise TrainingError("The loss is not a number at step 3.")

    figures = figures_of(tmp_path / "base-1.json", {}, stops)
    assert figures["stopped"] == "The loss is not a number at step 3."
    whole = {name: [{"metrics": made(0.7)}, {"metrics": made(0.8)}] for name in CASES}
    table = report({"fm": {**whole, "adaptive_64": [figures, figures]}}, 100, is_real=True)
    assert table.tables[0].rows == [["fm", "0.7500 (0.0707)", "0.7500 (0.0707)", "stopped"]]
    assert "fm, adaptive_64: stopped: The loss is not a number at step 3." in table.notes
