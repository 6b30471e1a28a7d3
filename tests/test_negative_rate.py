"""A model that was trained on a share of the rows without a click gives the log's own probabilities, everywhere."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from ctrfast.batch_score import score_files
from ctrfast.bundle import Bundle, read_golden
from ctrfast.checkpoint import Checkpoint
from ctrfast.data.batches import batches
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError
from ctrfast.evaluate import evaluate
from ctrfast.export import export_bundle
from ctrfast.folders import seal
from ctrfast.metrics import Predictions, sigmoid
from ctrfast.network import Network
from ctrfast.run import RECEIPT, Run
from ctrfast.run_network import RunScorer
from ctrfast.train import train
from tests import tiny_clicks

RATE = 0.2


@pytest.fixture(scope="module")
def clicks(tmp_path_factory):
    """20,000 rows of which about 12 in 100 were clicked on."""
    labels, numbers, a, b = tiny_clicks.learnable(20_000)
    rng = np.random.default_rng(3)
    labels = labels * (rng.random(len(labels)) < 0.3)
    return tiny_clicks.write_clicks(tmp_path_factory.mktemp("clicks") / "clicks.tsv", labels, numbers, a, b)


@pytest.fixture(scope="module")
def sampled(clicks):
    out = clicks.parent / "dataset"
    prepare([clicks], tiny_clicks.SCHEMA, out, valid_fraction=0.1, test_fraction=0.3, negative_rate=RATE)
    return Dataset.open(out)


@pytest.fixture(scope="module")
def run(sampled):
    return train(sampled, tiny_clicks.settings(), sampled.path.parent / "run").path


def logits_of(run_path, dataset, rate):
    """Labels and logits of the test split, from the run's checkpoint, as if the dataset had kept `rate`."""
    run = Run.open(run_path)
    checkpoint = Checkpoint.open(run.checkpoint, run.seal)
    network = Network.from_checkpoint(run.config.model, dataset.fitted, checkpoint, rate)
    parts = [(batch.labels, network.logits(batch.ids, batch.numbers)) for batch in batches(dataset, "test", 65_536)]
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def metrics_of(labels, logits):
    predictions = Predictions()
    predictions.add(labels, logits)
    return predictions.metrics()


def test_the_mean_prediction_is_the_label_rate_of_the_log(run, sampled):
    labels, corrected = logits_of(run, sampled, RATE)
    _, own = logits_of(run, sampled, 1.0)
    assert sigmoid(corrected).mean() == pytest.approx(labels.mean(), rel=0.1)
    assert sigmoid(own).mean() > 2 * labels.mean()
    p = sigmoid(own.astype(np.float64))
    np.testing.assert_allclose(sigmoid(corrected), p / (p + (1 - p) / RATE), rtol=1e-5)
    assert metrics_of(labels, corrected)["auc"] == pytest.approx(metrics_of(labels, own)["auc"], abs=1e-4)


def test_all_figures_of_run_and_evaluation_are_corrected(run, sampled, clicks):
    labels, corrected = logits_of(run, sampled, RATE)
    expected = metrics_of(labels, corrected)
    of_run, evaluated = Run.open(run).metrics, evaluate(run, [sampled.path]).metrics
    for name in ("auc", "log_loss", "calibration_ratio"):
        assert of_run[f"test_{name}"] == pytest.approx(expected[name], rel=1e-6)
        assert evaluated[name] == pytest.approx(expected[name], rel=1e-6)
    assert of_run["valid_calibration_ratio"] == pytest.approx(1, abs=0.15)
    # The log itself, with all the rows that training left out.
    assert evaluate(run, [clicks]).metrics["calibration_ratio"] == pytest.approx(1, abs=0.1)


def test_figures_of_the_sampled_split_are_those_of_the_log(run, sampled, clicks):
    evaluated = evaluate(run, [sampled.path], "train", segment="b")
    log = evaluate(run, [clicks]).metrics
    assert evaluated.metrics["rows"] == sampled.rows("train")
    assert evaluated.metrics["calibration_ratio"] == pytest.approx(1, abs=0.1)
    for name in ("log_loss", "normalised_entropy", "brier"):
        assert evaluated.metrics[name] == pytest.approx(log[name], rel=0.1)
    assert evaluated.metrics["pr_auc"] == pytest.approx(log["pr_auc"], rel=0.3)  # of rows that it has learned from
    kept = sampled.split("train")
    clicks_share = kept.positives / (kept.positives + (kept.rows - kept.positives) / RATE)
    rates = [(of.label_rate, of.rows, of.calibration_ratio) for of in evaluated.segments.segments]
    assert all(0.5 < ratio < 2 for _, _, ratio in rates)
    assert min(rate for rate, _, _ in rates) < clicks_share < max(rate for rate, _, _ in rates) < kept.label_rate


def test_run_bundle_golden_rows_and_saved_model_score_alike(run, sampled, clicks, tmp_path):
    export_bundle(run, tmp_path / "bundle", saved_model=True)
    assert Bundle.open(tmp_path / "bundle").manifest["negative_rate"] == RATE
    by_run, by_bundle = tmp_path / "run.parquet", tmp_path / "bundle.parquet"
    score_files(run, [clicks], by_run)
    score_files(tmp_path / "bundle", [clicks], by_bundle)
    scores = [pq.read_table(file)["score"].to_numpy() for file in (by_run, by_bundle)]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-5)
    rate = np.array([line.startswith("1") for line in clicks.read_text().splitlines()]).mean()
    assert scores[1].mean() == pytest.approx(rate, rel=0.1)

    ids, numbers, golden = read_golden(run / "golden.parquet")
    np.testing.assert_allclose(RunScorer(Run.open(run)).score_arrays(ids, numbers), golden, rtol=0, atol=1e-6)
    serve = tf.saved_model.load(str(tmp_path / "bundle" / "saved_model")).signatures["serving_default"]
    served = serve(ids=tf.constant(ids), numbers=tf.constant(numbers))["probability"]
    np.testing.assert_allclose(served, golden, rtol=0, atol=1e-5)


def rewrite(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    manifest["seal"] = seal(manifest)
    path.write_text(json.dumps(manifest))


def test_a_run_from_before_the_setting_is_not_corrected(run):
    manifest = run / "manifest.json"
    kept = manifest.read_bytes()
    assert Run.open(run).negative_rate == RATE
    assert (run / RECEIPT).is_file()
    try:
        rewrite(run, lambda content: content.pop("negative_rate"))
        assert Run.open(run).negative_rate == 1.0
        rewrite(run, lambda content: content.update(negative_rate=0))
        with pytest.raises(ArtifactError, match="cannot be read"):
            Run.open(run)
    finally:
        manifest.write_bytes(kept)


def test_a_dataset_with_an_impossible_rate_is_refused(sampled):
    manifest = sampled.path / "manifest.json"
    kept = manifest.read_bytes()
    try:
        rewrite(sampled.path, lambda content: content["preparation"].pop("negative_rate"))
        assert Dataset.open(sampled.path).negative_rate == 1.0
        for bad in (0, 2, "half"):
            rewrite(sampled.path, lambda content, bad=bad: content["preparation"].update(negative_rate=bad))
            with pytest.raises(ArtifactError, match="not a dataset's"):
                Dataset.open(sampled.path)
    finally:
        manifest.write_bytes(kept)
