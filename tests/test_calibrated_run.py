"""Calibration along its whole way: fitted at training's end, in run, report and bundle, applied by every scorer."""

import shutil

import numpy as np
import pytest

from ctrfast.bundle import Bundle
from ctrfast.calibration import Calibration
from ctrfast.data.batches import batches
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.evaluate import evaluate
from ctrfast.export import export_bundle
from ctrfast.folders import file_hash
from ctrfast.metrics import Predictions, expected_calibration_error
from ctrfast.reliability import draw_reliability
from ctrfast.reliability_bins import Reliability
from ctrfast.run import RELIABILITY, Run
from ctrfast.run_network import RunScorer
from ctrfast.score import Scorer
from ctrfast.train import train
from tests import tiny_clicks
from tests.test_score import reseal

RATE = 0.2
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """Of 20,000 rows, about 13 in 100 clicked on, training keeps one in five of those without a click."""
    folder = tmp_path_factory.mktemp("sampled")
    labels, *inputs = tiny_clicks.learnable(20_000)
    labels = labels * (np.random.default_rng(3).random(len(labels)) < 0.3)
    raw = tiny_clicks.write_clicks(folder / "clicks.tsv", labels, *inputs)
    prepare([raw], tiny_clicks.SCHEMA, folder / "d", valid_fraction=0.3, test_fraction=0.3, negative_rate=RATE)
    return Dataset.open(folder / "d")


@pytest.fixture(scope="module")
def run(sampled):
    """Trained at rates that are far too high: its probabilities are too sure of themselves."""
    rates = {"lr_dense": 0.05, "lr_embed": 0.05, "l2": 0.0}
    return train(sampled, tiny_clicks.settings(epochs=6, optimizer=rates), sampled.path.parent / "run").path


@pytest.fixture(scope="module")
def bundle(run):
    export_bundle(run, run.parent / "bundle")
    return run.parent / "bundle"


def rows_of_test(dataset):
    (batch,) = batches(dataset, "test", 100_000)
    return batch


def test_a_down_sampled_run_is_calibrated_to_the_click_rate_of_all_rows(run, sampled):
    calibration, batch = Run.open(run).calibration(), rows_of_test(sampled)
    scorer = RunScorer(Run.open(run))
    raw = scorer.score_arrays(batch.ids, batch.numbers)
    calibrated = scorer.calibrate(raw)
    assert calibration.method != "identity"
    assert calibration.rows == sampled.rows("valid")
    assert abs(calibrated.mean() / batch.labels.mean() - 1) < 0.1
    errors = [expected_calibration_error(batch.labels, p) for p in (raw, calibrated)]
    assert errors[1] < errors[0] / 2
    metrics = Run.open(run).metrics
    assert metrics["test_ece"] == pytest.approx(errors[0], rel=1e-3)
    assert metrics["test_calibrated_ece"] == pytest.approx(errors[1], rel=1e-3)
    assert metrics["test_calibrated_log_loss"] < metrics["test_log_loss"]
    assert 0.9 < metrics["test_calibrated_calibration_ratio"] < 1.1


def test_evaluation_tells_both(run, sampled):
    metrics = Run.open(run).metrics
    measured = evaluate(run, [sampled.path], "test").metrics
    for name in ("ece", "calibrated_ece", "calibrated_log_loss", "calibrated_brier"):
        assert measured[name] == pytest.approx(metrics[f"test_{name}"], rel=1e-5)
    log = evaluate(run, [sampled.path], "train").metrics  # the sampled split counts for the rows that were left out
    assert log["calibrated_calibration_ratio"] < 2


def test_the_bundle_calibrates_as_the_run_does(run, bundle, sampled):
    batch = rows_of_test(sampled)
    scorers = (RunScorer(Run.open(run)), Scorer.load(bundle))
    assert Bundle.open(bundle).manifest["format"] == 2
    by_run, by_bundle = (scorer.calibrate(scorer.score_arrays(batch.ids, batch.numbers)) for scorer in scorers)
    np.testing.assert_allclose(by_run, by_bundle, rtol=0, atol=1e-5)
    assert np.abs(by_bundle - scorers[1].score_arrays(batch.ids, batch.numbers)).max() > 0.01


def test_a_bundle_of_format_1_has_the_identity(bundle, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(bundle, old)
    assert Scorer.load(old).calibrate(np.array([0.1], np.float32)) != np.float32(0.1)
    (old / "calibration.json").write_text('{"method": "identity"}')

    def as_it_was(manifest):
        manifest["format"] = 1
        manifest["files"]["calibration.json"]["sha256"] = file_hash(old / "calibration.json")

    reseal(old, as_it_was)
    scores = np.array([0.1, 0.7], np.float32)
    assert Scorer.load(old).calibrate(scores) is scores


def test_without_validation_rows_the_identity_is_kept_with_the_reason(tmp_path):
    dataset = tiny_clicks.make_dataset(tmp_path, tiny_clicks.learnable(1500), valid_fraction=0)
    run = train(dataset, tiny_clicks.settings(epochs=1), tmp_path / "run")
    calibration = Run.open(run.path).calibration()
    assert (calibration.method, calibration.reason) == ("identity", "The validation split has no rows.")
    assert run.metrics["test_calibrated_ece"] == pytest.approx(run.metrics["test_ece"], rel=1e-6)
    assert (run.path / RELIABILITY).read_bytes().startswith(PNG)


def test_the_run_holds_a_picture(run):
    assert (run / RELIABILITY).read_bytes().startswith(PNG)
    assert [path.name for path in (run / "report").iterdir()] == ["reliability.png"]


def test_bins_have_wilsons_interval():
    labels, p = np.tile([1, 0, 0, 0, 0], 80), np.repeat([0.1, 0.3], 200)
    bins = Reliability.of(labels, p, bins=2)
    np.testing.assert_allclose(bins.predicted, [0.1, 0.3])
    np.testing.assert_allclose(bins.seen, [0.2, 0.2])
    # 40 of 200, by the formula as it is printed in Wilson 1927.
    np.testing.assert_allclose([bins.low[0], bins.high[0]], [0.1504, 0.2609], atol=1e-4)
    assert len(Reliability.of([1, 0, 0], [0.2, 0.3, 0.1]).seen) == 1


def test_a_picture_of_one_row_and_of_one_score(tmp_path):
    for rows in (1, 300):
        predictions = Predictions()
        predictions.add(np.zeros(rows), np.zeros(rows))
        draw_reliability(tmp_path / "report" / "r.png", predictions, Calibration(method="platt", shift=-1.0), "test")
        assert (tmp_path / "report" / "r.png").read_bytes().startswith(PNG)
