"""Packed and pruned bundles: what they hold, what they score, what they cost, and when they are refused."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from ctrfast.bundle import Bundle
from ctrfast.calibration import Calibration, logits_of
from ctrfast.calibration_fit import fit_calibration
from ctrfast.cli import app
from ctrfast.data.batches import batches
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.evaluate import evaluate
from ctrfast.export import write_bundle
from ctrfast.export_costs import export_compressed
from ctrfast.folders import read_manifest, write_manifest
from ctrfast.forms import TRAINED, Form, Gate
from ctrfast.packing import PRECISIONS, unpack_kernel, unpack_table
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.score import Scorer
from ctrfast.train import train
from tests import list_clicks, tiny_clicks

FORMS = [Form("float16"), Form("int8"), Form(prune=0.25), Form("int8", 0.5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("costs")


@pytest.fixture(scope="module")
def dataset(folder):
    return list_clicks.make_dataset(folder, list_clicks.learnable(1500))


@pytest.fixture(scope="module")
def run_path(folder, dataset):
    """DCN-Mix has kernels, vectors and tensors of three axes; the data has lists, pooled, and a shared table."""
    model = {"name": "dcn_mix", "embedding_dim": 4, "hidden": [16, 8], "cross_layers": 1, "low_rank": 2}
    train(dataset, tiny_clicks.settings(batch_size=150, epochs=2, model=model), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def bundles(folder, run_path):
    """By form, the trained weights' too."""
    found = {}
    for form in (TRAINED, *FORMS):
        found[form] = folder / form.name
        found[form].mkdir()
        write_bundle(Run.open(run_path), found[form], form)
    return found


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_form_scores_what_its_unpacked_weights_score(bundles, run_path, dataset, form):
    """The weights file alone, unpacked into the network, says what the ONNX graph must score."""
    stored = load_file(bundles[form] / "weights.safetensors")
    scorer = Scorer.load(bundles[form])
    trained = Scorer.load(bundles[TRAINED])
    batch = next(batches(dataset, "test", 300))
    scores, before = (each.score_arrays(batch.ids, batch.numbers) for each in (scorer, trained))
    assert 1e-7 < np.abs(scores - before).max() < 0.3
    if form.prune is None:
        network = open_network(Run.open(run_path))
        for name, weights in network.weights().items():
            value = unpack_table(stored) if name == "table" else unpack_kernel(name, stored)
            assert np.abs(value - weights.numpy()).max() <= np.abs(weights.numpy()).max() / 100
            weights.assign(value)
        expected = 1 / (1 + np.exp(-network.logits(batch.ids, batch.numbers).astype(np.float64)))
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_what_the_files_hold(bundles):
    kinds = {
        form: {name: str(t.dtype) for name, t in load_file(bundles[form] / "weights.safetensors").items()}
        for form in bundles
    }
    assert set(kinds[TRAINED].values()) == {"float32"}
    of_int8 = kinds[Form("int8")]
    assert (of_int8["table"], of_int8["table.scale_linear"]) == ("int8", "float16")
    kernels = {name for name, kind in of_int8.items() if kind == "int8"} - {"table"}
    assert len(kernels) == 4  # inward and gate of the crosses, two of the MLP
    assert {f"{name}.scale" for name in kernels} <= set(of_int8)
    assert {name for name, kind in kinds[Form("float16")].items() if kind == "float16"} == {"table", *kernels}
    sizes = {form: (bundles[form] / "weights.safetensors").stat().st_size for form in bundles}
    assert sizes[Form("int8")] < sizes[Form("float16")] < sizes[Form(prune=0.25)] < sizes[TRAINED]
    said = [Bundle.open(bundles[form]).manifest.get("quantization") for form in (TRAINED, Form("int8", 0.5))]
    assert said[0] is None
    assert (said[1]["precision"], said[1]["prune"]) == ("int8", 0.5)
    assert said[1]["golden_difference"] > 1e-4


def test_the_graph_holds_no_second_copy_of_a_packed_weight(bundles):
    import onnx

    graph = onnx.load(bundles[Form("int8")] / "model.onnx", load_external_data=False).graph
    stored = {t.name: t for t in graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL}
    assert sum(name.startswith("dense") and not name.endswith("scale") for name in stored) == 4
    inside = [t for t in graph.initializer if t.name not in stored and t.data_type == onnx.TensorProto.FLOAT]
    assert not [t.name for t in inside if sorted(t.dims)[-2:] in ([8, 16], [13, 16])]


def test_another_score_of_a_packed_graph_is_seen(bundles, folder):
    copy = folder / "changed"
    shutil.copytree(bundles[Form("int8")], copy)
    weights = copy / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-200:] = bytes(len(content[-200:]))  # the last of the table's levels, or a kernel's
    weights.write_bytes(content)
    rest = {name: value for name, value in read_manifest(copy, "bundle").items() if name not in ("files", "seal")}
    write_manifest(copy, rest)
    with pytest.raises(ArtifactError, match="differ from the training graph"):
        Scorer.load(copy)


def test_costs_are_those_of_the_published_bundle(folder, run_path, dataset):
    seen = []
    costs = export_compressed(
        run_path, folder / "out", Form("int8"), dataset.path, compare=True, saved_model=True, on_cost=seen.append
    )
    assert costs == seen
    assert [cost.form for cost in costs] == [TRAINED, Form("float16"), Form("int8")]
    assert [cost.form.precision for cost in costs] == list(PRECISIONS)
    assert costs[0].metrics["auc"] == pytest.approx(evaluate(run_path, [dataset.path]).metrics["auc"], abs=1e-4)
    sizes = [(folder / "out" / name).stat().st_size for name in ("weights.safetensors", "model.onnx")]
    assert costs[2].model_bytes == sum(sizes) < costs[0].model_bytes
    assert all(min(cost.latency_s.values()) > 0 for cost in costs)

    bundle = Bundle.open(folder / "out")
    said = bundle.manifest["quantization"]
    assert said["split"] == "test"
    assert said["auc_drop"] == pytest.approx(costs[0].metrics["auc"] - costs[2].metrics["auc"])
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert metrics["test_auc"] == costs[2].metrics["auc"]
    assert not [name for name in metrics if name.startswith("valid_")]
    assert {"test_calibrated_ece", "test_calibrated_log_loss"} < set(metrics)
    assert "loss" in metrics
    assert not list(folder.glob(".partial-*"))

    import tensorflow as tf

    ids, numbers, expected = bundle.golden()
    serve = tf.saved_model.load(str(folder / "out" / "saved_model")).signatures["serving_default"]
    found = serve(ids=tf.constant(ids), numbers=tf.constant(numbers))["probability"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_what_is_left_is_calibrated_for_its_own_scores(folder, run_path, dataset):
    export_compressed(run_path, folder / "least", Form(prune=0.9), dataset.path, gate=Gate(1.0, 9.0))
    assert json.loads((folder / "least" / "config.json").read_text())["model"]["hidden"] == [2, 1]

    scorer = Scorer.load(folder / "least")
    batch = next(batches(dataset, "valid", 10_000))
    scores = scorer.score_arrays(batch.ids, batch.numbers)
    fitted = fit_calibration(batch.labels, logits_of(scores), in_time_order=True, seed=Run.open(run_path).config.seed)
    found = Calibration.load(folder / "least")
    assert found.method == fitted.method
    assert found.choice.log_losses == pytest.approx(fitted.choice.log_losses, rel=1e-5)
    assert found != Run.open(run_path).calibration()


def test_refusals(folder, run_path, dataset, tmp_path):
    for wrong, path in (
        (lambda: export_compressed(run_path, tmp_path / "out", TRAINED, dataset.path), "quantize"),
        (lambda: Form("int4"), "quantize"),
        (lambda: Form(prune=1.0), "prune"),
        (lambda: Form("int8", 0.0), "prune"),
        (lambda: Gate(max_auc_drop=-1), "max_auc_drop"),
    ):
        with pytest.raises(ConfigError) as caught:
            wrong()
        assert caught.value.path == path
    other = list_clicks.make_dataset(tmp_path, list_clicks.learnable(300), "other")
    with pytest.raises(ArtifactError, match="another schema or vocabulary"):
        export_compressed(run_path, tmp_path / "out", Form("int8"), other.path)
    assert not (tmp_path / "out").exists()


def test_the_command_shows_the_costs_and_refuses(folder, run_path, dataset):
    def export(out, *options):
        return CliRunner().invoke(app, ["export", str(run_path), "--out", str(folder / out), *map(str, options)])

    done = export("by-command", "--quantize", "float16", "--prune", 0.1, "--data", dataset.path, "--force")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].split()[:3] == ["weights", "AUC", "log"]
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "float32",
        "float16, pruned by 0.1",
        f"bundle: {folder / 'by-command'}",
    ]
    assert Bundle.open(folder / "by-command").manifest["quantization"]["prune"] == 0.1

    done = export("no", "--prune", 0.9, "--data", dataset.path)
    assert "float32, pruned by 0.9" in done.output  # the costs, and why they are too high
    assert isinstance(done.exception, ConfigError)
    assert done.exception.path in ("max_auc_drop", "max_log_loss_rise")
    assert "must be at least what the form float32, pruned by 0.9 costs" in done.exception.message
    assert not list(folder.glob(".partial-*"))
    for options, path in (
        (("--quantize", "int7", "--data", dataset.path), "quantize"),
        (("--quantize", "int8"), "data"),
        (("--compare", "--data", dataset.path), "quantize"),
        (("--prune", 0.5, "--data", dataset.path, "--split", "tset"), "split"),
        (("--prune", 0.5, "--data", dataset.path, "--max-auc-drop", -1), "max_auc_drop"),
    ):
        refused = export("no", *options)
        assert isinstance(refused.exception, ConfigError)
        assert refused.exception.path == path
    assert not (folder / "no").exists()
