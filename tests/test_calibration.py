"""Calibrations against closed forms and scikit-learn, the choice among them, and the file that holds one."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ctrfast.calibration import Calibration, logits_of, scores_of
from ctrfast.calibration_fit import MOST_KNOTS, fit_calibration, fit_isotonic, fit_line, pool_adjacent_violators
from ctrfast.errors import ArtifactError
from ctrfast.metrics import Predictions, expected_calibration_error, log_loss, sigmoid

PLATT = Calibration(method="platt", scale=0.7, shift=-0.3)
BENT = Calibration(method="isotonic", scores=(0.0, 0.2, 0.6, 1.0), probabilities=(0.0, 0.1, 0.2, 1.0))


def drawn(rows, truth, seed=1):
    """Labels and logits of a network whose true click rate is a function of its logit."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1.5, 1.2, rows)
    return (rng.random(rows) < sigmoid(truth(logits))).astype(np.float64), logits


def test_identity_platt_and_isotonic_by_hand():
    p = np.array([0.0, 0.1, 0.5, 0.8, 1.0], np.float32)
    assert Calibration(method="identity").apply(p) is p
    odds = np.exp(-0.3) * (0.5 / 0.5) ** 0.7
    assert PLATT.apply(p)[2] == pytest.approx(odds / (1 + odds), rel=1e-6)
    np.testing.assert_allclose(PLATT.apply(p)[1:4], sigmoid(0.7 * logits_of(p) - 0.3)[1:4], rtol=1e-6)
    np.testing.assert_allclose(BENT.apply(p), [0, 0.05, 0.175, 0.6, 1], rtol=1e-6)
    assert BENT.apply(p).dtype == PLATT.apply(p).dtype == np.float32


@pytest.mark.parametrize("calibration", [Calibration(method="temperature", scale=2.5), PLATT, BENT])
def test_one_row_is_calibrated_as_many_are_and_ranks_stay(calibration):
    p = np.unique(np.concatenate([[0, 1e-30, 1e-7, 1 - 2**-24, 1], np.linspace(0, 1, 999)])).astype(np.float32)
    together = calibration.apply(p)
    np.testing.assert_array_equal(
        np.concatenate([calibration.apply(p[row : row + 1]) for row in range(len(p))]), together
    )
    assert np.all(np.isfinite(together) & (together >= 0) & (together <= 1))
    assert np.all(np.diff(calibration.exact(p)[2:-2]) > 0)
    assert calibration.apply(p[:0]).shape == (0,)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=40))
def test_pools_are_scikit_learns(points):
    sums, weights = (np.array(each, np.float64) for each in zip(*points, strict=True))
    starts = pool_adjacent_violators(sums, weights)
    values = np.add.reduceat(sums, starts) / np.add.reduceat(weights, starts)
    places = np.arange(len(sums))
    expected = IsotonicRegression().fit(places, sums / weights, sample_weight=weights).predict(places)
    np.testing.assert_allclose(np.repeat(values, np.diff([*starts, len(sums)])), expected, rtol=1e-9, atol=1e-9)
    assert np.all(np.diff(values) > 0)


def test_isotonic_agrees_with_scikit_learns_steps_and_never_ties():
    labels, logits = drawn(150, lambda x: 2 * x + 1)  # fewer rows than knots: no pool is joined with another
    p = scores_of(logits)
    scores, probabilities = fit_isotonic(p, labels)
    edge = 1 / (len(p) + 2)
    steps = IsotonicRegression(y_min=edge, y_max=1 - edge).fit(p, labels).predict(p)
    for score, probability in list(zip(scores, probabilities, strict=True))[1:-1]:
        pool = np.isclose(steps, probability, rtol=1e-6)
        assert pool.any()
        assert p[pool].mean() == pytest.approx(score, rel=1e-5)
    assert np.all(np.diff(scores) > 0)
    assert np.all(np.diff(probabilities) > 0)


@pytest.mark.parametrize("rows", [5000, 60_000])  # below and above the bins
def test_isotonic_finds_a_bent_curve_with_few_knots(rows):
    def bent(x):
        return np.where(x < -1, x - 0.8, 2 * x + 0.2)

    labels, logits = drawn(rows, bent)
    scores, probabilities = fit_isotonic(scores_of(logits), labels)
    assert 5 < len(scores) <= MOST_KNOTS
    fitted = Calibration(method="isotonic", scores=scores, probabilities=probabilities)
    _, fresh = drawn(20_000, bent, seed=2)
    assert np.abs(fitted.exact(scores_of(fresh)) - sigmoid(bent(fresh))).mean() < 0.02
    assert np.abs(sigmoid(fresh) - sigmoid(bent(fresh))).mean() > 0.05


def test_equal_scores_share_a_knot_however_many_rows_they_are():
    p = np.repeat(np.array([0.1, 0.3], np.float32), [30_000, 10_000])
    labels = np.zeros(40_000)
    labels[:6000] = labels[30_000:35_000] = 1
    p[:2] = [0.05, 0.06]
    scores, probabilities = fit_isotonic(p, labels)
    assert np.interp(0.1, scores, probabilities) == pytest.approx(0.2, abs=1e-3)
    assert np.interp(0.3, scores, probabilities) == pytest.approx(0.5, abs=1e-3)


def test_lines_are_scikit_learns():
    labels, logits = drawn(30_000, lambda x: 0.6 * x - 0.4)
    both = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None], labels)
    np.testing.assert_allclose(
        fit_line(logits, labels, with_shift=True), [both.coef_[0, 0], both.intercept_[0]], atol=1e-3
    )
    scale = LogisticRegression(C=np.inf, tol=1e-10, fit_intercept=False).fit(logits[:, None], labels)
    np.testing.assert_allclose(fit_line(logits, labels, with_shift=False), [scale.coef_[0, 0], 0], atol=1e-3)


def test_two_scores_end_at_their_rates():
    x = np.repeat([-2.0, 1.0], 500_000)
    labels = np.concatenate([np.arange(500_000) < 50_000, np.arange(500_000) < 150_000]).astype(np.float64)
    scale, shift = fit_line(x, labels, with_shift=True)
    np.testing.assert_allclose(sigmoid(scale * np.array([-2, 1]) + shift), [0.1, 0.3], rtol=1e-4)


@pytest.mark.parametrize("with_shift", [True, False])
def test_separable_data_has_a_finite_line_where_the_gradient_vanishes(with_shift):
    x = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 400.0])
    labels = (x > 0).astype(np.float64)
    scale, shift = fit_line(x, labels, with_shift=with_shift)
    pull = sigmoid(scale * x + shift) - labels
    assert np.dot(pull, x) + scale - 1 == pytest.approx(0, abs=1e-8)
    assert pull.sum() + shift == pytest.approx(0, abs=1e-8) or not with_shift
    assert 1 < scale < 10


def test_the_method_that_fits_is_chosen_on_rows_that_it_has_not_seen():
    labels, logits = drawn(40_000, lambda x: 0.5 * x - 1)
    chosen = fit_calibration(labels, logits, in_time_order=False, seed=1)
    assert chosen.method == "platt"
    assert (chosen.scale, chosen.shift) == fit_line(logits_of(scores_of(logits)), labels, with_shift=True)
    choice = chosen.choice
    assert (choice.fitted_rows, choice.held_out_rows, chosen.rows) == (20_000, 20_000, 40_000)
    assert set(choice.log_losses) == {"identity", "temperature", "platt", "isotonic"}
    assert min(choice.log_losses, key=choice.log_losses.get) == "platt"
    assert choice.before.ece > 0.05 > 0.02 > choice.after.ece
    assert choice.after.calibration_ratio == pytest.approx(1, abs=0.1)
    assert choice.before.calibration_ratio > 1.2
    assert choice.before.log_loss == pytest.approx(choice.log_losses["identity"], rel=1e-5)
    assert fit_calibration(labels, logits, in_time_order=False, seed=1) == chosen
    assert fit_calibration(labels, logits, in_time_order=False, seed=2).choice != choice


def test_rows_in_time_order_are_judged_by_the_later_half():
    early, late = (drawn(20_000, lambda x, by=by: x + by, seed) for by, seed in ((-1.0, 1), (0.0, 2)))
    labels, logits = (np.concatenate(each) for each in zip(early, late, strict=True))
    assert fit_calibration(labels, logits, in_time_order=True, seed=1).method == "identity"
    assert fit_calibration(labels, logits, in_time_order=False, seed=1).method != "identity"


def test_the_identity_wins_ties():
    labels, logits = np.tile([1.0, 0.0], 200), np.zeros(400)  # a rate of one half, predicted as such
    chosen = fit_calibration(labels, logits, in_time_order=True, seed=1)
    assert chosen.choice.log_losses["temperature"] == chosen.choice.log_losses["identity"]
    assert chosen.method == "identity"


def test_a_network_that_ranks_the_wrong_way_round_is_not_turned():
    labels, logits = drawn(4000, lambda x: -x)
    chosen = fit_calibration(labels, logits, in_time_order=False, seed=1)
    assert not {"temperature", "platt"} & set(chosen.choice.log_losses)


@pytest.mark.parametrize(
    "labels, reason", [([], "no rows"), ([1, 1, 1, 1], "clicks and others"), ([1], "clicks"), ([0, 0, 1, 0], "clicks")]
)
def test_too_little_to_calibrate_by_gives_the_identity_and_says_why(labels, reason):
    chosen = fit_calibration(labels, np.zeros(len(labels)), in_time_order=True, seed=1)
    assert (chosen.method, chosen.rows, chosen.choice) == ("identity", len(labels), None)
    assert reason in chosen.reason


def test_metrics_after_calibration():
    labels, logits = drawn(5000, lambda x: 0.7 * x - 0.3)
    predictions = Predictions()
    predictions.add(labels, logits)
    figures = PLATT.metrics(predictions)
    q = sigmoid(0.7 * logits - 0.3)
    assert figures["calibrated_log_loss"] == pytest.approx(log_loss(labels, logits_of(q)), rel=1e-5)
    assert figures["calibrated_ece"] == pytest.approx(expected_calibration_error(labels, q), rel=1e-3)
    assert figures["calibrated_calibration_ratio"] == pytest.approx(q.mean() / labels.mean(), rel=1e-5)
    assert set(figures) == {
        f"calibrated_{each}" for each in "log_loss normalised_entropy calibration_ratio ece brier".split()
    }
    same = Calibration(method="identity").metrics(predictions)
    assert same["calibrated_brier"] == pytest.approx(predictions.metrics()["brier"], rel=1e-6)


def test_saved_and_loaded_again(tmp_path):
    chosen = fit_calibration(*drawn(2000, lambda x: 2 * x), in_time_order=True, seed=1)
    chosen.save(tmp_path)
    assert Calibration.load(tmp_path) == chosen
    (tmp_path / "calibration.json").write_text('{"method": "identity"}')  # as in bundles of format 1
    assert Calibration.load(tmp_path).method == "identity"
    (tmp_path / "calibration.json").unlink()
    assert "older" in Calibration.load(tmp_path).reason


@pytest.mark.parametrize(
    "content",
    [
        {"method": "magic"},
        {"method": "identity", "scale": 2},
        {"method": "temperature", "shift": 1},
        {"method": "platt", "scale": -1},
        {"method": "platt", "scale": float("nan")},
        {"method": "isotonic"},
        {"method": "isotonic", "scores": [0, 1], "probabilities": [0, 0.5, 1]},
        {"method": "isotonic", "scores": [0, 0.5, 0.5, 1], "probabilities": [0, 0.1, 0.2, 1]},
        {"method": "isotonic", "scores": [0, 0.5, 1], "probabilities": [0.1, 0.2, 1]},
        {"method": "platt", "scores": [0, 1], "probabilities": [0, 1]},
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path, content):
    with pytest.raises(ValidationError):
        Calibration.model_validate(content)
    (tmp_path / "calibration.json").write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=r"calibration\.json of .* cannot be used"):
        Calibration.load(tmp_path)
