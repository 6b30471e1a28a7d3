"""Which test is made of which runs, and what the sentences say. The scores are made up."""

from __future__ import annotations

import numpy as np
import pytest

from ctrfast.comparison import ComparedRun, compare_runs
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.kept_scores import KeptScores
from ctrfast.metrics import Predictions
from ctrfast.significance.bootstrap import FIGURES

ROWS = 2500


def scores(noise, seed=1, shift=0.0):
    """Logits that know the click rate but for noise."""
    rng = np.random.default_rng(7)
    truth = rng.normal(-1, 1.2, ROWS)
    labels = (rng.random(ROWS) < 1 / (1 + np.exp(-truth))).astype(np.int8)
    logits = truth + shift + noise * np.random.default_rng(seed).normal(size=ROWS)
    return KeptScores(labels, logits.astype(np.float32))


def run(name, kept, rows="one", seed=1, **settings):
    metrics = {}
    if kept is not None:
        predictions = Predictions()
        predictions.add(kept.labels, kept.logits)
        metrics = {f"test_{figure}": value for figure, value in predictions.metrics().items()}
    values = {"epochs": 1, "scaling.rule": "none", "seed": seed, "dataset": "d" * 64, "plan.l2": 1e-5, **settings}
    return ComparedRun(name, values, metrics, rows, kept)


def by_figure(told):
    return {of.figure: of for of in told.differences}


def test_settings_that_one_run_alone_has_are_told():
    told = compare_runs([run("a", scores(1.0)), run("b", scores(0.5), **{"model.tower.experts": 4})])
    assert [(row.name, row.values) for row in told.settings] == [("model.tower.experts", [None, 4])]
    backwards = compare_runs([run("b", scores(0.5), **{"model.tower.experts": 4}), run("a", scores(1.0))])
    assert backwards.settings[0].values == [4, None]


def test_a_difference_that_is_real_and_one_that_is_not():
    told = compare_runs([run("a", scores(1.0)), run("b", scores(0.1), **{"scaling.rule": "cowclip"})])
    found = by_figure(told)
    assert set(found) == {"auc", *FIGURES}
    assert (found["auc"].test, found["log_loss"].test) == ("delong", "bootstrap")
    assert all(of.paired and of.samples == (ROWS, ROWS) for of in told.differences)
    assert found["auc"].is_real
    assert found["auc"].low > 0 > found["log_loss"].high
    assert told.verdicts[0].startswith("b ranks better than a: test AUC +0.")
    assert told.verdicts[0].endswith(f"DeLong's test on the same {ROWS:,} rows).")
    assert told.verdicts[1].startswith("b fits better than a: test log loss -0.")
    assert "p < 0.002, bootstrap" in told.verdicts[1]
    assert [(row.name, row.values) for row in told.settings] == [("scaling.rule", ["none", "cowclip"])]
    assert "not of the seeds'" in told.notes[0]
    assert told.runs[0].figures["auc"].value == pytest.approx(told.runs[0].metrics["test_auc"], abs=1e-12)

    alike = compare_runs([run("a", scores(0.1, seed=1)), run("b", scores(0.1, seed=2), seed=2)])
    assert not by_figure(alike)["auc"].is_real
    assert alike.verdicts[0].startswith("No difference in test AUC can be told between b and a: ")
    worse = compare_runs([run("a", scores(0.1)), run("b", scores(0.1, shift=1.0))])
    assert worse.verdicts[1].startswith("b fits worse than a: test log loss +0.")


def test_the_level_is_shared_among_several_comparisons():
    runs = [run(str(number), scores(0.1 + 0.05 * number, seed=number)) for number in range(4)]
    told = compare_runs(runs)
    assert {(of.baseline, of.run) for of in told.differences} == {("0", "1"), ("0", "2"), ("0", "3")}
    for of in told.differences:
        assert of.is_real == (of.p < 0.05 / 3)
    unreal = next(line for line in told.verdicts if line.startswith("No difference"))
    assert "of 3 comparisons, p < 0.017 would be" in unreal


def test_seeds_of_two_settings_are_compared_as_groups():
    runs = [
        *(run(f"a{seed}", scores(0.9, seed=seed), seed=seed) for seed in (1, 2, 3)),
        *(run(f"b{seed}", scores(0.1, seed=seed), seed=seed, **{"scaling.rule": "cowclip"}) for seed in (1, 2)),
    ]
    told = compare_runs(runs)
    of = by_figure(told)["auc"]
    assert (of.test, of.samples, of.run, of.baseline) == ("welch", (3, 2), "scaling.rule=cowclip", "scaling.rule=none")
    means = [np.mean([one.figures["auc"].value for one in told.runs if one.settings == group]) for group in (0, 1)]
    assert of.difference == pytest.approx(means[1] - means[0])
    assert "ranks better than scaling.rule=none" in told.verdicts[0]
    assert "Welch's test over 2 and 3 seeds" in told.verdicts[0]
    assert {row.name for row in told.settings} == {"scaling.rule", "seed"}
    copied = compare_runs([*runs[:4], run("copy", runs[3].scores, seed=1, **{"scaling.rule": "cowclip"})])
    assert {of.test for of in copied.differences} == {"delong", "bootstrap"}  # a copy is no second seed
    alone = compare_runs(runs[:4])  # one seed of the second settings: rows are all there is
    assert {of.test for of in alone.differences} == {"delong", "bootstrap"}


def test_other_rows_are_not_paired():
    first, second = scores(1.0), scores(0.1)
    half = KeptScores(second.labels[::2], second.logits[::2])
    told = compare_runs([run("a", first), run("b", half, rows="other", dataset="e" * 64)])
    of = by_figure(told)["auc"]
    assert (of.paired, of.samples) == (False, (ROWS, ROWS // 2))
    paired = by_figure(compare_runs([run("a", first), run("b", second)]))["auc"]
    assert of.high - of.low > paired.high - paired.low
    assert "No paired test is made" in told.notes[0]
    assert told.settings[0].values == ["d" * 12, "e" * 12]
    assert f"on {ROWS // 2:,} rows and {ROWS:,} others" in told.verdicts[0]


def test_a_run_without_scores_is_shown_and_not_tested():
    told = compare_runs([run("a", scores(1.0)), run("b", None)])
    assert told.differences == []
    assert told.verdicts == []
    assert told.notes[0].startswith("No test scores are kept with b")
    assert told.runs[1].figures == {}


def test_refusals():
    one = run("a", scores(1.0))
    with pytest.raises(ConfigError, match="Got 1"):
        compare_runs([one])
    with pytest.raises(ConfigError, match="a more than once"):
        compare_runs([one, one])
    with pytest.raises(ConfigError, match="2 to 50"):
        compare_runs([one] * 51)
    flipped = KeptScores(1 - one.scores.labels, one.scores.logits)
    with pytest.raises(ArtifactError, match="other test labels"):
        compare_runs([one, run("b", flipped)])
