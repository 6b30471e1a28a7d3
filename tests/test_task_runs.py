"""Runs with several labels, whole: prepared, trained, exported, scored and evaluated."""

import json

import numpy as np
import onnxruntime as ort
import pyarrow.parquet as pq
import pytest
import yaml

from ctrfast.batch_score import score_files
from ctrfast.bundle import Bundle
from ctrfast.bundle_evaluation import evaluate_bundle
from ctrfast.data.batches import batches
from ctrfast.data.report import inspect_dataset
from ctrfast.errors import ConfigError, DataError
from ctrfast.evaluate import evaluate
from ctrfast.export import export_bundle
from ctrfast.export_costs import export_compressed
from ctrfast.forms import Form
from ctrfast.kept_scores import load_scores
from ctrfast.metrics import Predictions, auc, log_loss, sigmoid
from ctrfast.preflight import preflight
from ctrfast.run import Run
from ctrfast.run_network import RunScorer, open_network
from ctrfast.score import Scorer
from ctrfast.teacher import Teacher
from ctrfast.train import train
from tests import tiny_clicks, two_labels
from tests.command_line import called, refused

TASKS = {
    "ple": {"kind": "ple", "experts": 1, "shared_experts": 1, "levels": 2, "hidden": [8]},
    "mmoe": {"kind": "mmoe", "experts": 3, "hidden": [8]},
    "shared_bottom": {"kind": "shared_bottom", "hidden": [8]},
}


def settings(kind, **more):
    tower = {"norm": "layer", "dropout": 0.1} if kind == "ple" else {}
    model = {"embedding_dim": 4, "hidden": [24, 16], "tasks": TASKS[kind], "tower": tower}
    return tiny_clicks.settings(model=model, epochs=3, micro_batch_size=125, checkpoint_every_steps=4, **more)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return two_labels.make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("ple") / "run"
    train(data, settings("ple"), out)
    return out


@pytest.fixture(scope="module")
def bundle(run):
    export_bundle(run, run.parent / "bundle")
    return run.parent / "bundle"


def test_each_task_learns_and_has_figures_of_its_own(run, data):
    metrics = Run.open(run).metrics
    assert metrics["test_auc"] > 0.65
    assert metrics["test_auc.buy"] > 0.65
    assert metrics["test_rows"] == data.rows("test")
    assert metrics["test_rows.buy"] == data.split("test").labels["buy"].rows
    assert metrics["test_calibration_ratio.buy"] == pytest.approx(1, abs=0.35)
    assert "test_calibrated_ece" in metrics and "test_calibrated_ece.buy" not in metrics
    assert {"valid_auc", "valid_auc.buy"} <= metrics.keys()


def test_figures_are_those_of_each_labels_known_rows(run, data):
    network = open_network(Run.open(run))
    batch = next(batches(data, "test", 10_000))
    logits = network.logits(batch.ids, batch.numbers)
    known = batch.labels[:, 1] >= 0
    metrics = Run.open(run).metrics
    assert metrics["test_auc.buy"] == pytest.approx(auc(batch.labels[known, 1], logits[known, 1]))
    assert metrics["test_log_loss"] == pytest.approx(log_loss(batch.labels[:, 0], logits[:, 0]))
    kept = load_scores(run, Run.open(run).receipt.test_scores)
    np.testing.assert_array_equal(kept.labels, batch.labels[:, 0])
    np.testing.assert_allclose(kept.logits, logits[:, 0], atol=1e-5)


def test_the_bundle_gives_a_probability_for_each_label(run, bundle, data):
    scorer, batch = Scorer.load(bundle), next(batches(data, "valid", 300))
    assert scorer.check_golden() <= 1e-5
    assert scorer.bundle.golden()[2].shape == (256, 2)
    assert Bundle.open(bundle).manifest["labels"] == ["click", "buy"]
    (output,) = ort.InferenceSession(bundle / "model.onnx").get_outputs()
    assert output.name == "probabilities"
    found = scorer.predict_arrays(batch.ids, batch.numbers)
    expected = sigmoid(open_network(Run.open(run)).logits(batch.ids, batch.numbers))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(scorer.score_arrays(batch.ids, batch.numbers), found[:, 0])
    np.testing.assert_allclose(RunScorer(Run.open(run)).score_arrays(batch.ids, batch.numbers), found[:, 0], atol=1e-5)
    assert scorer.predict_arrays(batch.ids[:0], batch.numbers[:0]).shape == (0, 2)
    assert scorer.score_rows([{"a": "a1", "n": 0.5}]).shape == (1,)


@pytest.mark.parametrize("which", ["run", "bundle"])
def test_scores_of_a_file_have_a_column_for_each_label(which, run, bundle, data, tmp_path):
    clicks, bought, (numbers, a, b) = two_labels.learnable(150, seed=3)
    raw = two_labels.write_raw(tmp_path / "raw.tsv", clicks, bought, (numbers, a, b))
    score_files({"run": run, "bundle": bundle}[which], [raw], tmp_path / "out.parquet", calibrated=True)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["score", "score_buy", "calibrated"]
    scorer = Scorer.load(bundle)
    rows = [{"n": f"{n:.3f}", "a": f"a{one}", "b": f"b{other}"} for n, one, other in zip(numbers, a, b, strict=True)]
    expected = scorer.predict(scorer.encoder.encode_rows(rows))
    np.testing.assert_allclose(table["score"], expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(table["score_buy"], expected[:, 1], atol=1e-5)
    np.testing.assert_allclose(table["calibrated"], scorer.calibrate(expected[:, 0]), atol=1e-5)


def test_evaluation_knows_every_label(run, bundle, data, tmp_path):
    metrics = Run.open(run).metrics
    found = evaluate(run, [data.path], "test", segment="b")
    for name in ("auc", "auc.buy", "log_loss.buy", "calibrated_ece"):
        assert found.metrics[name] == pytest.approx(metrics[f"test_{name}"])
    assert sum(segment.rows for segment in found.segments.segments) == data.rows("test")
    raw = two_labels.write_raw(tmp_path / "raw.tsv", *two_labels.learnable(4200))
    of_raw = evaluate(run, [raw]).metrics
    assert of_raw["rows"] == 4200
    assert of_raw["auc.buy"] > 0.65
    of_bundle = evaluate_bundle(Scorer.load(bundle), data, "test")
    assert of_bundle["auc.buy"] == pytest.approx(metrics["test_auc.buy"], abs=1e-6)


def test_a_smaller_form_keeps_all_labels(run, data, tmp_path):
    costs = export_compressed(run, tmp_path / "small", Form("int8"), data.path)
    assert costs[-1].metrics["auc.buy"] == pytest.approx(costs[0].metrics["auc.buy"], abs=0.02)
    assert Scorer.load(tmp_path / "small").check_golden() <= 1e-5


def test_a_saved_model_gives_all_labels(run, bundle, data, tmp_path):
    import tensorflow as tf

    export_bundle(run, tmp_path / "bundle", saved_model=True)
    batch = next(batches(data, "test", 16))
    serve = tf.saved_model.load(str(tmp_path / "bundle" / "saved_model")).signatures["serving_default"]
    found = serve(ids=tf.constant(batch.ids), numbers=tf.constant(batch.numbers))
    expected = Scorer.load(bundle).predict_arrays(batch.ids, batch.numbers)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["mmoe", "shared_bottom"])
def test_the_other_heads_learn_too(kind, data, tmp_path):
    metrics = train(data, settings(kind), tmp_path / "run").metrics
    assert min(metrics["test_auc"], metrics["test_auc.buy"]) > 0.65


def test_labels_that_do_not_fit_are_refused_before_a_run(data, run, tmp_path):
    without = tiny_clicks.settings()
    for config, path in ((without, "model.tasks"), (tiny_clicks.settings(model={"name": "lr"}), "model.name")):
        with pytest.raises(ConfigError) as error:
            train(data, config, tmp_path / "run")
        assert error.value.path == path
        assert not (tmp_path / "run").exists()
    findings = preflight(data, without, 2**34).findings
    assert [each.path for each in findings if each.level == "error"] == ["model.tasks"]
    assert not [each for each in preflight(data, settings("ple"), 2**34).findings if each.level == "error"]
    with pytest.raises(ConfigError, match="a run of one label"):
        Teacher(_with_mixtures(data, tmp_path), data, "deepfm", 0.5)


def _with_mixtures(data, folder):
    model = {"embedding_dim": 4, "hidden": [8, 8], "tasks": "shared_bottom", "tower": "moe"}
    train(data, tiny_clicks.settings(model=model, epochs=1), folder / "mixtures")
    return Run.open(folder / "mixtures")


def test_a_label_that_never_changes_is_refused(tmp_path):
    clicks, _, fields = two_labels.learnable(600)
    raw = two_labels.write_raw(tmp_path / "raw.tsv", clicks, ["0"] * 600, fields)
    from ctrfast.data.prepare import prepare
    from ctrfast.data.shards import Dataset

    prepare([raw], two_labels.SCHEMA, tmp_path / "data")
    with pytest.raises(DataError, match="rows with buy 1 and with buy 0") as error:
        train(Dataset.open(tmp_path / "data"), settings("mmoe"), tmp_path / "run")
    assert error.value.path == "dataset.label"


def test_the_command_line_goes_from_clicks_to_scores(tmp_path):
    raw = two_labels.write_raw(tmp_path / "raw.tsv", *two_labels.learnable(1500))
    schema = json.loads(two_labels.SCHEMA.model_dump_json())
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(schema))
    data, out, scores = (tmp_path / name for name in ("data", "run", "scores.parquet"))
    called("prepare", raw, "--schema", tmp_path / "schema.yaml", "--out", data)
    assert "buy: 0." in called("inspect", data, "--html", tmp_path / "report.html").stdout
    assert "Rates by label" in (tmp_path / "report.html").read_text()
    train_with = ("train", "--data", data, "--out", out, "--batch-size", 100, "--set", "model.hidden=[16]")
    assert "`tasks` must be set for a dataset of 2 labels" in refused(*train_with)
    called(*train_with, "--set", "model.tasks=mmoe")
    assert "auc.buy" in called("evaluate", out, "--data", data).stdout
    called("score", out, raw, "--out", scores)
    assert pq.read_schema(scores).names == ["score", "score_buy"]


def test_predictions_of_several_tasks_merge_into_those_of_all_rows():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(-1, 2, (60, 2)), rng.normal(size=(60, 2))
    labels[:, 0] = abs(labels[:, 0])
    whole, left, right = (Predictions(tasks=("click", "buy")) for _ in range(3))
    whole.add(labels, logits)
    left.add(labels[:20], logits[:20])
    right.add(labels[20:], logits[20:])
    left.merge(right)
    assert left.metrics() == whole.metrics()
    single = Predictions()
    single.add(labels[:, 0], logits[:, 0])
    of_first = {name: value for name, value in whole.metrics().items() if "." not in name}
    assert of_first == pytest.approx(single.metrics())
    known = labels[:, 1] >= 0
    assert whole.metrics()["rows.buy"] == known.sum()
    assert whole.metrics()["brier.buy"] == pytest.approx(
        np.mean((sigmoid(logits[known, 1]) - labels[known, 1]) ** 2), rel=1e-5
    )
    assert Predictions(tasks=("click", "buy")).metrics() == {}
    unknown = Predictions(tasks=("click", "buy"))
    unknown.add([[1, -1], [0, -1]], [[0.5, 0], [0.1, 0]])
    assert "rows.buy" not in unknown.metrics()


def test_the_report_of_a_dataset_of_one_label_has_no_rates_by_label(tmp_path):
    dataset = tiny_clicks.make_dataset(tmp_path, tiny_clicks.learnable(400))
    assert inspect_dataset(dataset).label_rates == {}
